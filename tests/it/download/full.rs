//! Whole files: what is measured of a good transfer, and the reason of each that goes wrong.

use std::time::Duration;

use forewarn::model::reason::{Blame, Reason};
use forewarn::probe::download::Download;
use serde_json::{Value, json};

use super::{measure, serving, watch};
use crate::peers::files::{File, fragmented, index_first, index_last};
use crate::peers::http2::{DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, frame, literal, settings};
use crate::peers::probing::{Inspect, attempt_within, prober_of};
use crate::peers::tcp::{Act, Peer, answer, header, say};

#[tokio::test]
async fn a_whole_file_is_measured() {
    for video in [index_first(), index_last(), fragmented()] {
        let size = video.len();
        let peer = serving(File::of(video)).await;
        let result = watch(&peer.url("/v.mp4"), json!({})).await;
        result.assert_ok();
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let wanted = size as f64;
        assert!((measure(&result, "bytes") - wanted).abs() < 0.5);
        assert!(measure(&result, "throughput") > 0.0);
        assert!(measure(&result, "longest_stall") < 5.0);
        assert!((0.0..5.0).contains(&measure(&result, "first_byte")));
        assert!((measure(&result, "media_duration") - 4.0).abs() < 0.1);
        assert!(result.fact("media").starts_with("mp4, h264 640x360, 4.0s"), "{}", result.fact("media"));
        assert_eq!(result.phases(), ["connect", "processing", "transfer"]);
        let request = peer.request();
        assert!(request.starts_with("GET /v.mp4 "), "{request}");
        assert_eq!((header(&request, "range"), header(&request, "accept-encoding")), (vec![], vec!["identity"]));
        peer.ended(1).await;
    }
}

/// A transfer that goes wrong.
struct Row {
    name: &'static str,
    acts: Vec<Act>,
    settings: Value,
    reason: Reason,
    words: &'static str,
}

fn row(name: &'static str, acts: impl Into<Vec<Act>>, reason: Reason, words: &'static str) -> Row {
    Row { name, acts: acts.into(), settings: json!({}), reason, words }
}

impl Row {
    fn with(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }

    async fn complaint(self) -> Option<String> {
        let peer = Peer::playing(self.acts).await;
        let mut settings = json!({"url": peer.url("/"), "media": {"video": true}});
        settings.as_object_mut().unwrap().extend(self.settings.as_object().unwrap().clone());
        let result = attempt_within(&*prober_of::<Download>(settings), Duration::from_secs(20)).await;
        // What the attempt opened is closed although the peer would go on.
        peer.ended(peer.connections()).await;
        let failure = result.outcome.failure();
        let is_right = failure.is_some_and(|failure| {
            (failure.reason, failure.blame) == (self.reason, Blame::Target) && failure.detail.contains(self.words)
        });
        let is_tame = serde_json::to_string(&result).unwrap().len() < 16_384;
        (!is_right || !is_tame).then(|| format!("{}: {:?}", self.name, result.outcome))
    }
}

async fn play(rows: Vec<Row>) {
    let complaints: Vec<_> = futures_util::future::join_all(rows.into_iter().map(Row::complaint)).await;
    let complaints: Vec<_> = complaints.into_iter().flatten().collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The head of an answer with these headers.
fn head(headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\n{headers}\r\n")
}

fn says(head: &str, body: &[u8]) -> Vec<Act> {
    vec![Act::Hear, say([head.as_bytes(), body].concat())]
}

#[tokio::test]
async fn each_broken_transfer_has_its_reason() {
    use Reason::{BodyTooLarge, Network, NotPlayable, Protocol, Stalled, Truncated};
    let video = index_first();
    let length = format!("content-length: {}\r\n", video.len());
    let half = &video[..video.len() / 2];
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let chunked = "transfer-encoding: chunked\r\n";
    let and = |mut acts: Vec<Act>, act: Act| {
        acts.push(act);
        acts
    };
    let quick = json!({"expect": {"stall": "200ms"}});
    play(vec![
        row("a body that is shorter than announced", says(&head(&length), half), Truncated, "announced bytes"),
        row(
            "a length that cuts",
            says(&head("content-length: 5000\r\n"), &video),
            Truncated,
            "the file ends at byte 5000",
        ),
        row("no length, and half a body", says(&head(""), half), Truncated, "the file ends at byte"),
        row("chunks that stop", says(&head(chunked), &chunk(half)), Truncated, "the body ended after"),
        row(
            "half a file in chunks that end",
            says(&head(chunked), &[&chunk(half)[..], b"0\r\n\r\n"].concat()),
            Truncated,
            "the file ends at byte",
        ),
        row("a reset in the middle", and(says(&head(&length), half), Act::Reset), Network, "reset"),
        row(
            "silence in the middle",
            and(says(&head(&length), half), Act::Hang),
            Stalled,
            "no byte came for 200ms, after",
        )
        .with(quick.clone()),
        row("silence behind the head", and(says(&head(&length), b""), Act::Hang), Stalled, "after 0 of").with(quick),
        row(
            "a body without end",
            and(says(&head(""), &video), Act::Repeat(vec![0; 4096])),
            BodyTooLarge,
            "larger than max_bytes, 2MiB",
        )
        .with(json!({"max_bytes": "2MiB"})),
        row(
            "chunks without end",
            and(says(&head(chunked), &chunk(&video)), Act::Repeat(chunk(&[0; 4096]))),
            BodyTooLarge,
            "larger than max_bytes",
        )
        .with(json!({"max_bytes": "2MiB"})),
        row(
            "tiny chunks without end",
            and(says(&head(chunked), &chunk(&video)), Act::Repeat(chunk(b"x").repeat(500))),
            BodyTooLarge,
            "framing",
        )
        .with(json!({"max_bytes": "2MiB"})),
        row(
            "ten GiB announced",
            and(says(&head("content-length: 10737418240\r\n"), &video), Act::Hang),
            BodyTooLarge,
            "announced with more than max_bytes, 256MiB",
        ),
        row(
            "a page",
            says(&head(""), b"<!doctype html><title>Sorry</title>"),
            NotPlayable,
            "an HTML page: `<!doctype html>",
        ),
        row("nothing", says(&head("content-length: 0\r\n"), b""), Reason::NoOutput, "the file has 0 bytes"),
        row(
            "nothing, not looked into",
            says(&head("content-length: 0\r\n"), b""),
            Reason::NoOutput,
            "the file has 0 bytes",
        )
        .with(json!({"media": null})),
        row(
            "compressed unasked",
            says(&head("content-encoding: gzip\r\n"), b"\x1f\x8b\x08"),
            Protocol,
            "compressed as Gzip, though it was asked for as it is",
        ),
        row("compressed twice", says(&head("content-encoding: gzip, br\r\n"), b"\x1f\x8b\x08"), Protocol, "twice"),
        row("another protocol", vec![say("SSH-2.0-OpenSSH_9.2\r\n"), Act::Hang], Protocol, "waiting for the answer"),
        row("no answer", vec![Act::Hear], Network, "closed by the peer before a byte"),
        row(
            "endless headers",
            vec![Act::Hear, say("HTTP/1.1 200 OK\r\n"), Act::Repeat(b"x: y\r\n".to_vec())],
            Protocol,
            "too many",
        ),
        row(
            "a part unasked",
            says("HTTP/1.1 206 Partial\r\ncontent-range: bytes 0-9/10\r\ncontent-length: 10\r\n\r\n", &[0; 10]),
            Reason::HttpStatus,
            "expected status 200",
        ),
    ])
    .await;
}

/// An answer in HTTP/2 that announces 5000 bytes, and these frames behind it.
fn says_frames(frames: &[Vec<u8>]) -> Vec<Act> {
    let head = [&[0x88][..], &literal("content-length", b"5000")].concat();
    let head = frame(HEADERS, END_HEADERS, 1, &head);
    vec![Act::HearFrames, say([&settings()[..], &head, &frames.concat()].concat()), Act::Hang]
}

#[tokio::test]
async fn each_broken_transfer_has_its_reason_in_http2_too() {
    use Reason::{Network, Stalled, Truncated};
    let some = frame(DATA, 0, 1, &index_first()[..3000]);
    let with = |stall: &str| json!({"version": "http2", "expect": {"stall": stall}});
    let silent = with("200ms");
    play(vec![
        row("a short body", says_frames(&[some.clone(), frame(DATA, END_STREAM, 1, b"x")]), Truncated, "announced")
            .with(with("10s")),
        row(
            "a long body",
            says_frames(&[some.clone(), frame(DATA, END_STREAM, 1, &[0; 3000])]),
            Truncated,
            "another length",
        )
        .with(with("10s")),
        row(
            "a cancelled stream",
            says_frames(&[some.clone(), frame(RST_STREAM, 0, 1, &2_u32.to_be_bytes())]),
            Network,
            "by HTTP/2",
        )
        .with(with("10s")),
        row("silence", says_frames(&[some]), Stalled, "after 3000 of 5000 bytes").with(silent),
    ])
    .await;
}

#[tokio::test]
async fn a_whole_file_may_come_in_any_framing() {
    let video = index_last();
    let chunks: Vec<u8> = video
        .chunks(50_000)
        .flat_map(|part| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat())
        .collect();
    let both = format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n", u64::MAX);
    for (headers, body) in [
        ("", video.to_vec()),
        ("transfer-encoding: chunked\r\n", [&chunks[..], b"0\r\n\r\n"].concat()),
        // RFC 9112 §6.3: the chunks count.
        (both.as_str(), [&chunks[..], b"0\r\n\r\n"].concat()),
        // A character set where the coding should stand, as object stores have it.
        ("content-encoding: aws-chunked\r\n", video.to_vec()),
    ] {
        let peer = Peer::playing(says(&head(headers), &body)).await;
        let result = watch(&peer.url("/"), json!({"expect": {"size": {"min": "900KB"}}})).await;
        result.assert_ok();
        assert!(measure(&result, "bytes") > 900_000.0, "{headers}");
    }
}

#[tokio::test]
async fn what_comes_slowly_is_slow_and_what_is_silent_is_stalled() {
    let video = index_first();
    // A byte a millisecond: never silent, and far below what is expected.
    let acts = vec![Act::Hear, say(head("content-length: 500\r\n")), Act::Drip(vec![7])];
    let peer = Peer::playing(acts).await;
    let slow = json!({"media": null, "expect": {"min_throughput": "100KB", "stall": "1s"}});
    let result = watch(&peer.url("/"), slow).await;
    let detail = result.assert_failed(Reason::Slow, Blame::Target);
    assert!(detail.starts_with("expected 100kB a second at least, got "), "{detail}");
    // Silence is measured, also where it ends the attempt.
    let head = head(&format!("content-length: {}\r\n", video.len()));
    let peer = Peer::playing([Act::Hear, say([head.as_bytes(), &video[..70_000]].concat()), Act::Hang]).await;
    let result = watch(&peer.url("/"), json!({"expect": {"stall": "150ms"}})).await;
    result.assert_failed(Reason::Stalled, Blame::Target);
    assert!(measure(&result, "longest_stall") >= 0.15);
    assert!((measure(&result, "bytes") - 70_000.0).abs() < 0.5);
    peer.ended(1).await;
}

#[tokio::test]
async fn an_attempt_that_runs_out_of_time_says_where() {
    let peer = Peer::playing([Act::Hear, say(head("content-length: 1000000\r\n")), Act::Drip(vec![7])]).await;
    let settings = json!({"url": peer.url("/"), "media": null});
    let result = attempt_within(&*prober_of::<Download>(settings), Duration::from_millis(300)).await;
    let detail = result.assert_failed(Reason::Timeout, Blame::Target);
    assert!(detail.contains("in phase transfer"), "{detail}");
    peer.ended(1).await;
}

#[tokio::test]
async fn no_more_than_the_limit_is_taken() {
    let peer = Peer::playing([Act::Hear, say(head("")), Act::Repeat(vec![0; 4096])]).await;
    let result = watch(&peer.url("/"), json!({"media": null, "max_bytes": "1MiB"})).await;
    result.assert_failed(Reason::BodyTooLarge, Blame::Target);
    let taken = measure(&result, "bytes");
    assert!((1_048_577.0..1_600_000.0).contains(&taken), "{taken}");
    peer.ended(1).await;
}

#[tokio::test]
async fn a_file_that_is_none_is_told_without_reading_on() {
    let page = "<html>".repeat(1 << 20);
    let peer = Peer::site(move |_| answer("200 OK", &[("content-type", "video/mp4")], &page)).await;
    let result = watch(&peer.url("/"), json!({})).await;
    result.assert_failed(Reason::NotPlayable, Blame::Target);
    assert!(measure(&result, "bytes") < 1_000_000.0);
    peer.ended(1).await;
}
