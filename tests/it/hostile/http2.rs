//! Peers that break HTTP/2, or flood it.

use forewarn::model::reason::Reason;
use serde_json::json;

use super::{Row, endless, harmless, row};
use crate::peers::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, headers, literal, settings,
};
use crate::peers::tcp::{Act, say};

/// Says hello, hears the request, then this.
fn hearing(then: impl IntoIterator<Item = Act>) -> Vec<Act> {
    [say(settings()), Act::HearFrames].into_iter().chain(then).collect()
}

pub(super) fn rows() -> Vec<Row> {
    let rows = [floods(), broken(), ended()].into_iter().flatten();
    rows.map(|row| {
        let mut settings = row.settings.clone();
        settings["version"] = "http2".into();
        row.with(settings)
    })
    .collect()
}

fn floods() -> Vec<Row> {
    use Reason::Protocol;
    let repeat = |bytes: Vec<u8>| hearing([Act::Repeat(bytes)]);
    let after_head = |bytes: Vec<u8>| hearing([say(headers(END_HEADERS)), Act::Repeat(bytes)]);
    let interim = frame(HEADERS, END_HEADERS, 1, b"\x08\x03100");
    let many: Vec<u8> = (0..400).flat_map(|_| literal("x", &[b'y'; 250])).collect();
    // One entry of the table, named by one byte each time.
    let bomb = [b"\x88\x40\x01x\x7f\x81\x1d".to_vec(), vec![b'y'; 3840], vec![0xbe; 12_000]].concat();
    vec![
        row("a SETTINGS flood", repeat(settings().repeat(100)), Protocol, "no answer in it"),
        row("a PING flood", repeat(frame(PING, 0, 0, &[0; 8]).repeat(100)), Protocol, "no answer in it"),
        row(
            "a WINDOW_UPDATE flood",
            repeat(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(100)),
            Protocol,
            "no answer in it",
        ),
        row(
            "a flood of frames that nobody knows",
            repeat(frame(0xfa, 0, 0, &[0; 100]).repeat(40)),
            Protocol,
            "no answer in it",
        ),
        row("a storm of 100", repeat(interim.repeat(100)), Protocol, ""),
        row(
            "endless CONTINUATION",
            hearing([say(headers(0)), Act::Repeat(frame(CONTINUATION, 0, 1, &literal("x", b"y")).repeat(100))]),
            Protocol,
            "the peer broke HTTP/2",
        ),
        row(
            "empty CONTINUATION",
            hearing([say(headers(0)), Act::Repeat(frame(CONTINUATION, 0, 1, b"").repeat(100))]),
            Protocol,
            "the peer broke HTTP/2",
        ),
        row("100 kB of headers", hearing([say(large(&many))]), Protocol, ""),
        row("a header table that is named again and again", hearing([say(large(&bomb))]), Protocol, ""),
        row("empty DATA", after_head(frame(DATA, 0, 1, b"").repeat(100)), Protocol, "excessive load"),
        row(
            "DATA beyond every window",
            after_head(frame(DATA, 0, 1, &[0; 16_384])),
            Protocol,
            "flow-control protocol violated",
        ),
        row(
            "padding without end",
            after_head(frame(DATA, 8, 1, &[&[255][..], &[0; 255]].concat()).repeat(20)),
            Protocol,
            "excessive load",
        ),
    ]
}

fn broken() -> Vec<Row> {
    use Reason::Protocol;
    let breaks = |name, bytes: Vec<u8>| row(name, hearing([say(bytes), Act::Hang]), Protocol, "the peer broke HTTP/2");
    vec![
        row("HTTP/1.1", [say("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"), Act::Hang], Protocol, ""),
        harmless("no SETTINGS at first", [Act::HearFrames, say(headers(END_HEADERS | END_STREAM)), Act::Hang]),
        breaks("a frame of 16 MB", vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]),
        breaks("headers that are no HPACK", frame(HEADERS, END_HEADERS, 1, &[0xff; 50])),
        breaks("an answer without a status", frame(HEADERS, END_HEADERS, 1, &literal("x", b"y"))),
        breaks("DATA before HEADERS", frame(DATA, 0, 1, b"x")),
        breaks("an answer to nothing", frame(HEADERS, END_HEADERS, 7, &[0x88])),
        breaks("a push", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82])),
        breaks("a window that overflows", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        breaks("CONTINUATION out of nowhere", frame(CONTINUATION, 0, 1, b"")),
        row(
            "fewer bytes than announced",
            hearing([
                say([
                    frame(HEADERS, END_HEADERS, 1, &[&[0x88][..], &literal("content-length", b"9")].concat()),
                    frame(DATA, END_STREAM, 1, b"x"),
                ]
                .concat()),
                Act::Hang,
            ]),
            Reason::Truncated,
            "another length than the 9 bytes announced",
        ),
    ]
}

fn ended() -> Vec<Row> {
    use Reason::{Network, Truncated};
    let post = json!({"method": "POST", "body": "x"});
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let no_streams = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0]);
    let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11]);
    let reset = |code| frame(RST_STREAM, 0, 1, &[0, 0, 0, code]);
    vec![
        row(
            "resetting the stream",
            hearing([say(reset(2)), Act::Hang]),
            Network,
            "ended the request by HTTP/2: unexpected internal error",
        ),
        row(
            "refusing the stream",
            hearing([say(reset(7)), Act::Hang]),
            Network,
            "ended the request by HTTP/2: refused stream",
        ),
        row(
            "resetting the stream in its body",
            hearing([say([headers(END_HEADERS), reset(2)].concat()), Act::Hang]),
            Network,
            "ended the request by HTTP/2",
        ),
        row("going away", hearing([say(goaway), Act::Hang]), Network, "ended the connection by HTTP/2"),
        row("closing at once", [], Network, "before a byte of the answer"),
        row("closing after hello", hearing([]), Network, "closed by the peer"),
        row(
            "closing in the body",
            hearing([say([headers(END_HEADERS), frame(DATA, 0, 1, b"x")].concat())]),
            Truncated,
            "the body ended after 1 bytes",
        ),
        endless("no window for the body", [say(no_window), Act::HearFrames, Act::Hang], "processing").with(post),
        endless("no stream for the request", [say(no_streams), Act::Hang], "processing"),
        endless("an answer that never ends", hearing([say(headers(END_HEADERS)), Act::Hang]), "transfer"),
    ]
}

/// A block of headers in as many frames as it takes.
fn large(block: &[u8]) -> Vec<u8> {
    let mut pieces = block.chunks(16_000).peekable();
    let mut out = Vec::new();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        out.extend(frame(kind, flags, 1, piece));
        kind = CONTINUATION;
    }
    out
}
