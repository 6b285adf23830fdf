//! A connection that is kept for the next attempt, and what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use forewarn::model::reason::{Blame, Reason};
use http_body_util::Full;
use serde_json::json;

use crate::peers::authority::Authority;
use crate::peers::probing::{Inspect, attempt, prober};
use crate::peers::tcp::{Act, Peer, Script, answer, ok, path, say};

#[tokio::test]
async fn a_kept_connection_has_no_opening_phases_and_the_same_facts() {
    let root = Authority::new("root");
    let peer = Peer::secure_site(root.issue(&["localhost"]).server(&[]), |_| ok("Create")).await;
    let prober = prober(json!({
        "url": peer.secure_url("/"), "tls": {"ca": root.pem()}, "reuse_connection": true,
        "resolve": {"family": "ipv4"}, "expect": {"certificate": {"valid_for": "14d"}},
    }));
    let first = attempt(&*prober).await;
    let second = attempt(&*prober).await;
    first.assert_ok();
    second.assert_ok();
    assert_eq!(first.phases(), ["resolve", "connect", "tls", "processing", "transfer"]);
    assert_eq!(second.phases(), ["processing", "transfer"]);
    assert_eq!(peer.connections(), 1);
    assert!(!peer.requests()[1].contains("connection: close"));
    for key in ["remote", "tls_version", "certificate_subject", "certificate_not_after"] {
        assert_eq!(first.fact(key), second.fact(key), "{key}");
    }
    assert_eq!(second.findings.measure("ip_protocol"), Some(4.0));
    assert_eq!(second.findings.measure("certificate_expiry"), Some(4_102_444_800.0));
}

#[tokio::test]
async fn without_the_setting_every_attempt_connects() {
    let peer = Peer::site(|_| ok("")).await;
    let prober = prober(json!({"url": peer.url("/")}));
    attempt(&*prober).await.assert_ok();
    attempt(&*prober).await.assert_ok();
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn http2_connections_are_kept_too() {
    let peer =
        Peer::start(None, Script::Http2(Arc::new(|_| hyper::Response::new(Full::new(Bytes::from("hello")))))).await;
    let prober = prober(json!({"url": peer.url("/"), "version": "http2", "reuse_connection": true}));
    for _ in 0..3 {
        attempt(&*prober).await.assert_ok();
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_the_peer_closed_meanwhile_is_opened_again() {
    let peer = Peer::playing([Act::Hear, say(ok("once"))]).await;
    let prober = prober(json!({"url": peer.url("/"), "reuse_connection": true, "method": "POST"}));
    attempt(&*prober).await.assert_ok();
    // The client learns of the closing while nobody looks, as between two attempts half a minute apart.
    tokio::task::yield_now().await;
    let second = attempt(&*prober).await;
    second.assert_ok();
    assert!(second.phases().contains(&"connect"));
    assert_eq!(second.steps("processing")[0], "the kept connection had been closed");
    assert_eq!(peer.connections(), 2);
}

/// A peer that closes a connection when it hears a second request on it.
async fn closing_on_the_second() -> Peer {
    Peer::playing([Act::Hear, say(ok("once")), Act::Hear]).await
}

#[tokio::test]
async fn a_request_that_only_met_a_closing_peer_is_sent_again_if_that_is_harmless() {
    let peer = closing_on_the_second().await;
    let get = prober(json!({"url": peer.url("/"), "reuse_connection": true}));
    attempt(&*get).await.assert_ok();
    attempt(&*get).await.assert_ok();
    assert_eq!(peer.connections(), 2);

    let peer = closing_on_the_second().await;
    let post = prober(json!({"url": peer.url("/"), "reuse_connection": true, "method": "POST", "body": "pay"}));
    attempt(&*post).await.assert_ok();
    let second = attempt(&*post).await;
    let detail = second.assert_failed(Reason::Network, Blame::Target);
    assert_eq!(detail, "the connection was closed by the peer before a byte of the answer came");
    assert_eq!(peer.requests().iter().filter(|request| request.ends_with("pay")).count(), 2, "never a third time");
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_says_close_is_believed() {
    let peer = Peer::site(|_| answer("200 OK", &[("connection", "close")], "")).await;
    let prober = prober(json!({"url": peer.url("/"), "reuse_connection": true}));
    attempt(&*prober).await.assert_ok();
    attempt(&*prober).await.assert_ok();
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn what_comes_uninvited_on_a_kept_connection_is_no_answer() {
    let uninvited = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    let peer = Peer::playing([Act::Hear, say([ok("once"), uninvited].concat())]).await;
    let prober = prober(json!({"url": peer.url("/"), "reuse_connection": true}));
    attempt(&*prober).await.assert_ok();
    tokio::task::yield_now().await;
    attempt(&*prober).await.assert_ok();
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn after_a_redirect_the_first_connection_is_kept() {
    let hits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hits);
    let peer = Peer::site(move |request| match path(request) {
        "/" => {
            count.fetch_add(1, Ordering::Relaxed);
            answer("302 Found", &[("location", "/there")], "moved")
        }
        _ => ok("there"),
    })
    .await;
    let prober = prober(json!({"url": peer.url("/"), "reuse_connection": true}));
    for _ in 0..3 {
        attempt(&*prober).await.assert_ok();
    }
    assert_eq!(hits.load(Ordering::Relaxed), 3);
    assert_eq!(peer.connections(), 4, "one for `/`, one each time for `/there`");
}

#[tokio::test]
async fn a_failed_attempt_keeps_no_connection() {
    let peer = Peer::playing([Act::Hear, say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort")]).await;
    let prober = prober(json!({"url": peer.url("/"), "reuse_connection": true}));
    attempt(&*prober).await.assert_failed(Reason::Truncated, Blame::Target);
    attempt(&*prober).await.assert_failed(Reason::Truncated, Blame::Target);
    assert_eq!(peer.connections(), 2);
}
