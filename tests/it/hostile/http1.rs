//! Peers that break HTTP/1.1, or what lies under it.

use std::io::Write as _;

use forewarn::model::reason::Reason;
use serde_json::json;

use super::{Row, endless, harmless, row};
use crate::peers::tcp::{Act, answer, ok, say};

const HEAD: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// Hears a request, says this, closes.
fn says(text: impl Into<Vec<u8>>) -> [Act; 2] {
    [Act::Hear, say(text)]
}

/// Hears a request, says this, then that for ever.
fn repeats(start: impl Into<Vec<u8>>, then: impl Into<Vec<u8>>) -> [Act; 3] {
    [Act::Hear, say(start), Act::Repeat(then.into())]
}

pub(super) fn rows() -> Vec<Row> {
    [heads(), bodies(), bombs(), closings()].into_iter().flatten().collect()
}

fn heads() -> Vec<Row> {
    use Reason::{BodyTooLarge, HttpStatus, Protocol};
    vec![
        row("endless headers", repeats(HEAD, "x: y\r\n"), Protocol, "headers are more than 64KiB or too many"),
        row("an endless header line", repeats(format!("{HEAD}x: "), "y".repeat(4096)), Protocol, "more than 64KiB"),
        row("an endless header name", repeats(HEAD, "x".repeat(4096)), Protocol, "more than 64KiB"),
        row("a status line of 10 MB", repeats("HTTP/1.1 200 ", "y".repeat(4096)), Protocol, "more than 64KiB"),
        row("101 headers", says(format!("{HEAD}{}\r\n", "x: y\r\n".repeat(101))), Protocol, "or too many"),
        harmless("99 headers", says(format!("{HEAD}{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(99)))),
        row("a storm of 100", repeats("", "HTTP/1.1 100 Continue\r\n\r\n"), Protocol, "no answer in it"),
        row("a storm of 103", repeats("", "HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"), Protocol, "no answer in it"),
        harmless("one 103 before the answer", says([b"HTTP/1.1 103 Hints\r\n\r\n".to_vec(), ok("x")].concat())),
        endless("headers, a byte at a time", [Act::Hear, say(HEAD), Act::Drip(b"x: y\r\n".to_vec())], "processing"),
        row("HTTP/0.9", says("<html>hello</html>"), Protocol, "waiting for the answer"),
        row("another protocol", [say("SSH-2.0-OpenSSH_9.2\r\n"), Act::Hang], Protocol, "waiting for the answer"),
        row("garbage", says([0xff, 0, 0x1b, b'[', b'2', b'J', 0xfe, b'\n', b'\n']), Protocol, "waiting for the answer"),
        row("a version of the future", says("HTTP/3.7 200 OK\r\n\r\n"), Protocol, "invalid HTTP version"),
        row("no status", says("HTTP/1.1 OK\r\n\r\n"), Protocol, "invalid HTTP status"),
        row("a status of four digits", says("HTTP/1.1 2000 OK\r\n\r\n"), Protocol, "invalid HTTP"),
        row("a status of no class", says(answer("999 Odd", &[], "")), HttpStatus, "got 999"),
        row("a space in a header's name", says(format!("{HEAD}a b: c\r\n\r\n")), Protocol, "invalid HTTP header"),
        row("a NUL in a header", says(format!("{HEAD}a: b\0c\r\n\r\n")), Protocol, "invalid HTTP header"),
        harmless("bare line feeds (RFC 9112 §2.2)", says("HTTP/1.1 200 OK\ncontent-length: 1\n\nx")),
        harmless("headers that are no UTF-8", says(b"HTTP/1.1 200 \xff\r\nx: \xfe\xff\r\ncontent-length: 0\r\n\r\n")),
        row(
            "an unasked switch of protocols",
            says("HTTP/1.1 101 Switch\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
            HttpStatus,
            "got 101",
        ),
        harmless("a second answer after the first", says([ok("one"), ok("two")].concat())),
        row(
            "two lengths",
            says(format!("{HEAD}content-length: 1\r\ncontent-length: 2\r\n\r\nxy")),
            Protocol,
            "content-length",
        ),
        row("two lengths in one", says(format!("{HEAD}content-length: 1, 2\r\n\r\nxy")), Protocol, "content-length"),
        harmless("one length twice", says(format!("{HEAD}content-length: 1\r\ncontent-length: 1\r\n\r\nx"))),
        row("a negative length", says(format!("{HEAD}content-length: -1\r\n\r\nx")), Protocol, "content-length"),
        row("a signed length", says(format!("{HEAD}content-length: +1\r\n\r\nx")), Protocol, "content-length"),
        row(
            "a length beyond 2^64",
            says(format!("{HEAD}content-length: 99999999999999999999\r\n\r\n")),
            Protocol,
            "content-length",
        ),
        row(
            "a length of 8 EiB",
            says(format!("{HEAD}content-length: 9223372036854775807\r\n\r\nx")),
            BodyTooLarge,
            "the body as announced is larger than max_body",
        ),
        harmless(
            "chunks and a length (RFC 9112 §6.3)",
            says(format!("{HEAD}transfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n1\r\nx\r\n0\r\n\r\n")),
        ),
    ]
}

fn bodies() -> Vec<Row> {
    use Reason::{BodyTooLarge, Protocol, Truncated};
    let endless_body = || repeats(format!("{HEAD}\r\n"), "y".repeat(4096));
    vec![
        row("an endless body", endless_body(), BodyTooLarge, "the body is larger than max_body, 3MiB"),
        row("an endless body that rules look at", endless_body(), BodyTooLarge, "larger than max_body")
            .with(json!({"expect": {"body": {"contains": "Create", "json": {"path": "$"}}}})),
        row(
            "endless large chunks",
            repeats(CHUNKED, format!("fff\r\n{}\r\n", "y".repeat(4095))),
            BodyTooLarge,
            "larger than max_body",
        ),
        row(
            "endless tiny chunks",
            repeats(CHUNKED, "1\r\ny\r\n".repeat(500)),
            BodyTooLarge,
            "and the framing account for",
        ),
        row(
            "an endless chunk extension",
            repeats(format!("{CHUNKED}1;"), "y".repeat(4096)),
            Protocol,
            "chunk extensions over limit",
        ),
        row("an endless chunk size", repeats(CHUNKED, "0".repeat(4096)), BodyTooLarge, ""),
        row("a chunk of 2^64 bytes", says(format!("{CHUNKED}ffffffffffffffffff\r\nx")), Protocol, "invalid chunk size"),
        row("a chunk size that is none", says(format!("{CHUNKED}zz\r\nx")), Protocol, "Invalid chunk size line"),
        row("endless trailers", repeats(format!("{CHUNKED}0\r\n"), "x: y\r\n"), Protocol, "trailers"),
        row("an endless trailer", repeats(format!("{CHUNKED}0\r\nx: "), "y".repeat(4096)), Protocol, "trailers"),
        endless(
            "a body, a byte at a time",
            [Act::Hear, say(format!("{HEAD}\r\n")), Act::Drip(b"x".to_vec())],
            "transfer",
        ),
        endless("chunks, a byte at a time", [Act::Hear, say(CHUNKED), Act::Drip(b"1\r\nx\r\n".to_vec())], "transfer"),
        harmless("a body that is no UTF-8", says(answer("200 OK", &[], [0xff; 1000])))
            .with(json!({"expect": {"body": {"not_contains": "x", "not_matches": "y", "size": {"min": "1000"}}}})),
        row(
            "gzip that is none",
            says(answer("200 OK", &[("content-encoding", "gzip")], "<html>hello</html>")),
            Protocol,
            "not valid Gzip data",
        ),
        row(
            "gzip that stops",
            says(answer("200 OK", &[("content-encoding", "gzip")], [0x1f, 0x8b, 8, 0, 0, 0])),
            Truncated,
            "stops short",
        ),
        row(
            "two codings",
            says(answer("200 OK", &[("content-encoding", "gzip, br")], "x")),
            Protocol,
            "compressed twice",
        ),
        harmless("a coding that is none", says(answer("200 OK", &[("content-encoding", "utf-8")], "x"))),
        row(
            "terminal escapes",
            says(answer("200 OK", &[("x-a", "b")], "\x1b[2J\x1b]0;owned\x07")),
            Reason::Assertion,
            "it starts with `\\u{1b}[2J",
        )
        .with(json!({"expect": {"body": {"contains": "Create"}}})),
    ]
}

/// Little data that becomes much.
fn bombs() -> Vec<Row> {
    let zeros = vec![0; 64 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&zeros).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(&zeros).unwrap();
    let zstd = zstd::encode_all(&zeros[..], 19).unwrap();
    drop(zeros);
    let mut rows: Vec<_> = [
        ("a gzip bomb", "gzip", gzip.finish().unwrap()),
        ("a deflate bomb", "deflate", zlib.finish().unwrap()),
        ("a zstd bomb", "zstd", zstd),
        ("a brotli bomb", "br", BROTLI_BOMB.to_vec()),
    ]
    .into_iter()
    .map(|(name, coding, body)| {
        let acts = says(answer("200 OK", &[("content-encoding", coding)], body));
        row(name, acts, Reason::BodyTooLarge, "the decompressed body is larger than max_body, 3MiB")
            .with(json!({"expect": {"body": {"contains": "Create"}}}))
    })
    .collect();
    let json = |name, body: String, reason, words| {
        row(name, says(ok(&body)), reason, words)
            .with(json!({"expect": {"body": {"json": {"path": "$.x", "equals": 1}}}}))
    };
    // Many values, and a string that fills the rest.
    let keys: Vec<_> = (0..5_000).map(|number| format!("\"{number:05}\":0,")).collect();
    let keys = keys.concat();
    let body = format!("{{{keys}\"x\":\"{}\"}}", "y".repeat((3 << 20) - keys.len() - 100));
    rows.push(json("JSON as large as it may be", body, Reason::Assertion, "to be 1, got"));
    // An object of one member is the dearest value for its text.
    let body = format!("[{}0]", "{\"x\":0},".repeat(12_500));
    rows.push(json("JSON of as many values as there may be", body, Reason::Assertion, "expected a value at $.x"));
    rows.push(json(
        "JSON of a million values",
        format!("[{}0]", "0,".repeat(1_000_000)),
        Reason::BodyTooLarge,
        "values takes too much memory",
    ));
    rows.push(json(
        "JSON of a million levels",
        "[".repeat(1_000_000),
        Reason::BodyTooLarge,
        "values takes too much memory",
    ));
    rows.push(json("JSON of a thousand levels", "[".repeat(1_000), Reason::Assertion, "recursion limit exceeded"));
    rows
}

fn closings() -> Vec<Row> {
    use Reason::{Network, Truncated};
    vec![
        row("closing at once", [], Network, "before a byte of the answer"),
        row("closing in the status line", says("HTTP/1"), Network, "after 6 bytes, before the answer's headers ended"),
        row("closing in the headers", says(format!("{HEAD}x:")), Network, "after 19 bytes, before"),
        row(
            "closing in the body",
            says(format!("{HEAD}content-length: 5\r\n\r\nx")),
            Truncated,
            "after 1 of 5 announced",
        ),
        row("closing before a chunk's size", says(CHUNKED), Truncated, "after 0 bytes"),
        row("closing in a chunk's size", says(format!("{CHUNKED}5")), Truncated, "after 0 bytes"),
        row("closing in a chunk", says(format!("{CHUNKED}5\r\nx")), Truncated, "after 1 bytes"),
        row("closing before the last chunk", says(format!("{CHUNKED}1\r\nx\r\n")), Truncated, "after 1 bytes"),
        row("resetting at once", [Act::Reset], Network, "reset by the peer"),
        row("resetting after the request", [Act::Hear, Act::Reset], Network, "reset by the peer"),
    ]
}

/// 50 MiB of zeros, by `brotli -q 9 -w 22`, the largest window that is taken by default.
const BROTLI_BOMB: &[u8] =
    b"\xcb\xff\xff\x3f\x00\x24\x00\xe2\xb1\x40\x72\xef\xff\xf8\xff\xff\x07\x80\x04\x40\x1c\x16\x80\xee\xfd\x1f\xff\xff\
\xff\x00\x90\x00\x88\xc3\x02\xd0\xbd\xff\xe3\xff\xff\x1f\x00\x12\x00\x71\x58\x00\xba\xf7\x7f\xfc\xff\xff\x03\x40\
\x02\x20\x0e\x0b\x40\xf7\xfe\x8f\xff\xff\x7f\x00\x48\x00\xc4\x61\x01\xe8\xde\xff\xe5\xff\xff\x07\x00\x09\x80\x38\
\x2c\x00\xdd\xfb\x0f";
