//! Servers that answer ranged requests wrongly: the reason of each, and what is forgiven.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use forewarn::model::reason::{Blame, Reason};
use serde_json::json;

use super::{asked, by_ranges, measure, watch};
use crate::peers::files::{File, index_first, index_last, range};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Act, Peer, answer, say};

/// Answers the first request well, and the later ones by `later`.
async fn turning(later: impl Fn(&File, &str) -> Vec<u8> + Send + Sync + 'static) -> Peer {
    let file = File::of(index_last());
    let count = Arc::new(AtomicUsize::new(0));
    Peer::site(move |request| match count.fetch_add(1, Ordering::Relaxed) {
        0 => file.answer(request),
        _ => later(&file, request),
    })
    .await
}

/// A partial answer with this `content-range`.
fn part(range: &str, body: &[u8]) -> Vec<u8> {
    answer("206 Partial Content", &[("content-range", range)], body)
}

async fn fails(peer: &Peer, reason: Reason, words: &str) {
    let result = by_ranges(peer).await;
    let detail = result.assert_failed(reason, Blame::Target);
    assert!(detail.contains(words), "{detail}");
    peer.ended(peer.connections()).await;
}

#[tokio::test]
async fn a_first_answer_that_makes_no_sense_is_a_breach_of_protocol() {
    for (range, words) in [
        ("bytes 1-10/100", "asked for bytes from 0, got those from 1"),
        ("bytes 10-0/100", "no content-range that can be read"),
        ("bytes 0-100/100", "no content-range that can be read"),
        ("bytes */100", "no content-range that can be read"),
        ("pages 0-9/100", "no content-range that can be read"),
        ("bytes 0-99999999999999999999999/*", "no content-range that can be read"),
    ] {
        let peer = Peer::site(move |_| part(range, &[0; 10])).await;
        fails(&peer, Reason::Protocol, words).await;
    }
    let peer = Peer::site(|_| answer("206 Partial Content", &[], [0; 10])).await;
    fails(&peer, Reason::Protocol, "no content-range that can be read").await;
    let gzip = &[("content-encoding", "gzip"), ("content-range", "bytes 0-9/10")];
    let peer = Peer::site(|_| answer("206 Partial Content", gzip, [0; 10])).await;
    fails(&peer, Reason::Protocol, "compressed as Gzip").await;
}

#[tokio::test]
async fn a_file_that_changes_in_between_is_told() {
    let changed = |request: &str, total: u64, tag: &str| {
        let (first, _) = range(request).unwrap();
        let range = format!("bytes {first}-{first}/{total}");
        answer("206 Partial Content", &[("content-range", range.as_str()), ("etag", tag)], "x")
    };
    let peer = turning(move |file, request| changed(request, file.len() + 1, "\"v1\"")).await;
    fails(&peer, Reason::Protocol, "the file changed while it was read: from").await;
    let peer = turning(move |file, request| changed(request, file.len(), "\"v2\"")).await;
    fails(&peer, Reason::Protocol, "the file changed while it was read: it has another etag").await;
    // What a server does that honours `if-range`.
    let peer = turning(|_, _| answer("200 OK", &[("etag", "\"v2\"")], &*index_first())).await;
    fails(&peer, Reason::Protocol, "the file changed while it was read").await;
}

#[tokio::test]
async fn a_refused_range_within_the_file_is_a_breach_of_protocol() {
    let peer = turning(|_, _| answer("416 Range Not Satisfiable", &[], "")).await;
    fails(&peer, Reason::Protocol, "were refused as beyond the file's end (416)").await;
    let peer = Peer::site(|_| answer("416 Range Not Satisfiable", &[("content-range", "bytes */500")], "")).await;
    fails(&peer, Reason::Protocol, "bytes from 0 of 500 were refused").await;
}

#[tokio::test]
async fn an_empty_file_is_empty() {
    for headers in [&[("content-range", "bytes */0")][..], &[]] {
        let peer = Peer::site(move |_| answer("416 Range Not Satisfiable", headers, "")).await;
        fails(&peer, Reason::NoOutput, "0 bytes").await;
        let result = watch(&peer.url("/"), json!({"mode": "ranges", "media": null})).await;
        assert_eq!(result.assert_failed(Reason::NoOutput, Blame::Target), "the file has 0 bytes");
    }
}

#[tokio::test]
async fn a_part_that_is_shorter_than_it_says_is_truncated() {
    let peer = Peer::site(|_| part("bytes 0-65535/900000", &[0; 1000])).await;
    fails(&peer, Reason::Truncated, "announced 65536 bytes from byte 0 and ended after 1000").await;
    let head = "HTTP/1.1 206 Partial\r\ncontent-range: bytes 0-65535/900000\r\ncontent-length: 65536\r\n\r\nabc";
    let peer = Peer::playing([Act::Hear, say(head)]).await;
    fails(&peer, Reason::Truncated, "the body ended after 3 of 65536 announced bytes").await;
    let peer = Peer::playing([Act::Hear, say(head), Act::Reset]).await;
    fails(&peer, Reason::Network, "reset").await;
    let peer = Peer::playing([Act::Hear, say(head), Act::Hang]).await;
    let result = watch(&peer.url("/"), json!({"mode": "ranges", "expect": {"stall": "150ms"}})).await;
    result.assert_failed(Reason::Stalled, Blame::Target);
    assert!(measure(&result, "longest_stall") >= 0.15);
}

#[tokio::test]
async fn an_end_that_is_promised_and_not_there_is_missed() {
    let file = File::of(index_first());
    let peer = Peer::site(move |request| match range(request).unwrap().0 {
        0 => file.answer(request),
        _ => answer("404 Not Found", &[], "gone"),
    })
    .await;
    fails(&peer, Reason::HttpStatus, "expected status 206 or 200 from").await;
}

#[tokio::test]
async fn what_brings_less_or_more_than_was_asked_for_is_forgiven() {
    // Less at once, as some caches do.
    let file = File::of(index_last());
    let peer = Peer::site(move |request| {
        let (first, _) = range(request).unwrap();
        let last = (first + 29_999).min(file.len() - 1);
        part(&format!("bytes {first}-{last}/{}", file.len()), &file.bytes(first, last))
    })
    .await;
    by_ranges(&peer).await.assert_ok();
    // All the rest at once; what was not asked for is not taken.
    let file = File::of(index_last());
    let peer = Peer::site(move |request| {
        let (first, last) = (range(request).unwrap().0, file.len() - 1);
        part(&format!("bytes {first}-{last}/{}", file.len()), &file.bytes(first, last))
    })
    .await;
    by_ranges(&peer).await.assert_ok();
    // A whole that has no length.
    let file = File::of(index_last());
    let peer = Peer::site(move |request| {
        let (first, last) = range(request).unwrap();
        if first >= file.len() {
            return answer("416 Range Not Satisfiable", &[], "");
        }
        let last = last.unwrap_or(u64::MAX).min(file.len() - 1);
        part(&format!("bytes {first}-{last}/*"), &file.bytes(first, last))
    })
    .await;
    by_ranges(&peer).await.assert_ok();
    let result = watch(&peer.url("/"), json!({"mode": "ranges", "expect": {"size": {"min": "1"}}})).await;
    let detail = result.assert_failed(Reason::Assertion, Blame::Target);
    assert!(detail.contains("does not say how long the file is"), "{detail}");
}

#[tokio::test]
async fn a_huge_file_without_ranges_is_given_up_at_once() {
    let start = File::vast(10 << 30).start();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", File::vast(10 << 30).len());
    let peer = Peer::playing([Act::Hear, say([head.as_bytes(), &start].concat()), Act::Repeat(vec![0; 65_536])]).await;
    let result = by_ranges(&peer).await;
    let detail = result.assert_failed(Reason::BodyTooLarge, Blame::Target);
    assert_eq!(detail, "the file is larger than max_bytes, 256MiB");
    assert!(measure(&result, "bytes") < 2_000_000.0);
    peer.ended(1).await;
    // The index comes first: what follows does not matter.
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", index_first().len());
    let peer = Peer::playing([Act::Hear, say([head.as_bytes(), &index_first()[..100_000]].concat()), Act::Hang]).await;
    by_ranges(&peer).await.assert_ok();
    peer.ended(1).await;
}

/// Each fragment is far from the next: after a few requests the rest is read in one go.
#[tokio::test]
async fn many_far_places_do_not_take_many_requests() {
    let video = crate::peers::files::fragmented();
    // A box that nobody looks at before each fragment makes them lie far apart.
    let mut wide = Vec::new();
    let mut at = 0;
    while at + 8 <= video.len() {
        let size = u32::from_be_bytes(video[at..at + 4].try_into().unwrap()) as usize;
        if &video[at + 4..at + 8] == b"moof" {
            wide.extend_from_slice(&200_008_u32.to_be_bytes());
            wide.extend_from_slice(b"free");
            wide.resize(wide.len() + 200_000, 0);
        }
        wide.extend_from_slice(&video[at..at + size]);
        at += size;
    }
    assert!(wide.len() > 10_000_000);
    let file = File::of(wide);
    let peer = Peer::site(move |request| file.answer(request)).await;
    let result = by_ranges(&peer).await;
    result.assert_ok();
    let asked = asked(&peer);
    assert_eq!(asked.len(), 9, "{asked:?}");
    assert_eq!(asked[8].1, None, "{asked:?}");
    assert!((measure(&result, "media_duration") - 4.0).abs() < 0.2);
}
