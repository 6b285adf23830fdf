//! What is expected of a file: its sum, its name, its size, its pace; and what is only a blemish.

use forewarn::model::reason::{Blame, Reason};
use serde_json::{Value, json};

use super::{download, serving, watch};
use crate::peers::files::{File, index_first, sha256};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Act, Peer, answer, say};

#[tokio::test]
async fn a_sum_is_of_every_byte() {
    let right = sha256(&index_first());
    let peer = serving(File::of(index_first())).await;
    watch(&peer.url("/"), json!({"expect": {"sha256": right.to_uppercase()}})).await.assert_ok();
    download(json!({"url": peer.url("/"), "expect": {"sha256": right}})).await.assert_ok();
    let wrong = "0".repeat(64);
    let result = watch(&peer.url("/"), json!({"expect": {"sha256": wrong}})).await;
    let detail = result.assert_failed(Reason::Assertion, Blame::Target);
    assert_eq!(detail, format!("expected SHA-256 {wrong}, got {right}: it is another file"));
    let result = watch(&peer.url("/"), json!({"warn": {"sha256": wrong}})).await;
    assert_eq!(result.degraded().reason, Reason::Assertion);
}

/// One attempt at a video that its server calls so.
async fn called(content_type: Option<&'static str>, more: Value) -> forewarn::model::result::ProbeResult {
    let file = File::of(index_first());
    let headers: Vec<_> = content_type.iter().map(|name| ("content-type", *name)).collect();
    let peer = Peer::site(move |request| file.answer_with(request, &headers)).await;
    watch(&peer.url("/"), more).await
}

#[tokio::test]
async fn what_the_server_calls_it_is_compared_with_what_it_is() {
    for mode in ["full", "ranges"] {
        for fine in [
            None,
            Some("video/mp4"),
            Some("Video/MP4; codecs=avc1"),
            Some("application/octet-stream"),
            Some("video/quicktime"),
        ] {
            called(fine, json!({"mode": mode})).await.assert_ok();
        }
        let result = called(Some("video/webm"), json!({"mode": mode})).await;
        assert_eq!(result.degraded().detail, "the file is called video/webm, and is video/mp4 by its first bytes");
        let long: &str = Box::leak(format!("text/{}", "x".repeat(2000)).into_boxed_str());
        assert!(called(Some(long), json!({"mode": mode})).await.degraded().detail.len() < 200);
        let rule = json!({"mode": mode, "expect": {"content_type": "video/*"}});
        called(Some("video/mp4"), rule.clone()).await.assert_ok();
        for (name, words) in [
            (Some("text/html"), "expected content type video/*, got text/html"),
            (None, "expected content type video/*, there is none"),
        ] {
            let result = called(name, rule.clone()).await;
            assert_eq!(result.assert_failed(Reason::Assertion, Blame::Target), words);
        }
        let rule = json!({"mode": mode, "warn": {"content_type": ["video/mp4", "video/webm"]}});
        let result = called(Some("application/octet-stream"), rule).await;
        assert!(
            result.degraded().detail.starts_with("expected content type video/mp4 or video/webm, got application/")
        );
    }
}

#[tokio::test]
async fn the_picture_is_looked_at_where_that_is_asked_for() {
    let peer = serving(File::of(index_first())).await;
    let decode = json!({"video": true, "decode": "first_frame"});
    watch(&peer.url("/"), json!({"media": decode})).await.assert_ok();
    let peer = serving(File::of(&include_bytes!("../../../src/demo/assets/black.mp4")[..])).await;
    watch(&peer.url("/"), json!({})).await.assert_ok();
    let result = watch(&peer.url("/"), json!({"media": decode})).await;
    let detail = result.assert_failed(Reason::NotPlayable, Blame::Target);
    assert!(detail.contains("black"), "{detail}");
}

#[tokio::test]
async fn sizes_are_bounded_on_both_sides() {
    let peer = serving(File::of(index_first())).await;
    for mode in ["full", "ranges"] {
        for (rule, words) in [
            (json!({"min": "2MB"}), "expected a file of at least 2MB, got "),
            (json!({"max": "1KB"}), "expected a file of at most 1kB, got "),
        ] {
            let result = watch(&peer.url("/"), json!({"mode": mode, "expect": {"size": rule}})).await;
            let detail = result.assert_failed(Reason::Assertion, Blame::Target);
            assert!(detail.starts_with(words), "{detail}");
        }
        let rules = json!({"mode": mode, "media": {"min_bytes": "2MB"}});
        watch(&peer.url("/"), rules).await.assert_failed(Reason::Assertion, Blame::Target);
    }
}

#[tokio::test]
async fn a_pace_may_be_a_blemish_or_a_failure() {
    let there = serving(File::of(index_first())).await;
    // A byte a millisecond, so that the way there takes a while.
    let moved = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", there.url("/"));
    let peer = Peer::playing([Act::Hear, Act::Drip(moved.into_bytes())]).await;
    for (rule, reason) in [
        (json!({"first_byte_within": "20ms"}), Reason::Slow),
        (json!({"min_throughput": "1000GB"}), Reason::Slow),
        (json!({"within": "20ms"}), Reason::Slow),
    ] {
        watch(&peer.url("/"), json!({"expect": rule})).await.assert_failed(reason, Blame::Target);
        assert_eq!(watch(&peer.url("/"), json!({"warn": rule})).await.degraded().reason, reason);
    }
    // Nothing comes for some time, which is less than what ends the transfer.
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab";
    let peer = Peer::playing([Act::Hear, say(head), Act::Drip(b"c".to_vec())]).await;
    let result = download(json!({"url": peer.url("/"), "warn": {"stall": "1ms"}})).await;
    assert_eq!(result.degraded().reason, Reason::Stalled);
}

#[tokio::test]
async fn failing_weighs_more_than_a_blemish() {
    let result =
        called(Some("video/webm"), json!({"expect": {"size": {"min": "2MB"}}, "warn": {"within": "1ms"}})).await;
    result.assert_failed(Reason::Assertion, Blame::Target);
    let peer = Peer::site(|_| answer("200 OK", &[("content-type", "video/webm")], &*index_first())).await;
    let result = watch(&peer.url("/"), json!({"media": {"container": "webm"}})).await;
    let detail = result.assert_failed(Reason::Assertion, Blame::Target);
    assert!(detail.starts_with("expected webm, got mp4"), "{detail}");
}
