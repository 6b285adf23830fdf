//! Ordinary ways to fail: refused, reset, closed, too slow; each in each phase. And that nothing is left behind.

use std::time::Duration;

use forewarn::model::reason::{Blame, Reason};
use forewarn::model::result::ProbeResult;
use serde_json::{Value, json};

use crate::peers::authority::Authority;
use crate::peers::probing::{Inspect, attempt_within, probe, prober};
use crate::peers::tcp::{Act, Peer, Script, ok, say};

const SHORT: Duration = Duration::from_millis(300);

async fn shortly(settings: Value) -> ProbeResult {
    attempt_within(&*prober(settings), SHORT).await
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let result = probe(json!({"url": format!("http://{address}/")})).await;
    let detail = result.assert_failed(Reason::Connect, Blame::Target);
    assert_eq!(detail, format!("{address} refused the connection: nothing listens there, or a firewall rejects it"));
    assert_eq!(result.phases(), ["connect"]);
    assert_eq!(result.fact("remote"), "");
}

#[tokio::test]
async fn a_timeout_names_the_phase_that_it_hit() {
    let timed_out = |result: &ProbeResult, phase: &str| {
        let detail = result.assert_failed(Reason::Timeout, Blame::Target);
        assert!(detail.starts_with(&format!("not done within 300ms: stopped in phase {phase},")), "{detail}");
        assert_eq!(result.phases().last(), Some(&phase));
        assert!(result.took >= SHORT && result.took < SHORT * 3, "{:?}", result.took);
    };
    let silent = Peer::playing([Act::Hang]).await;
    timed_out(&shortly(json!({"url": silent.secure_url("/")})).await, "tls");
    timed_out(&shortly(json!({"url": silent.url("/")})).await, "processing");
    timed_out(&shortly(json!({"url": silent.url("/"), "version": "http2"})).await, "processing");
    let half = Peer::playing([Act::Hear, say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), Act::Hang]).await;
    let result = shortly(json!({"url": half.url("/")})).await;
    timed_out(&result, "transfer");
    assert_eq!(result.findings.measure("status"), Some(200.0), "what was learned is kept");
}

#[tokio::test]
async fn a_timeout_while_connecting_names_that() {
    // A listener whose backlog is full leaves further handshakes unanswered.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _filler = std::net::TcpStream::connect(address).unwrap();
    let result = shortly(json!({"url": format!("http://{address}/")})).await;
    let detail = result.assert_failed(Reason::Timeout, Blame::Target);
    assert!(detail.contains("stopped in phase connect"), "{detail}");
}

#[tokio::test]
async fn a_close_is_told_by_where_it_came() {
    let root = Authority::new("root");
    let tls = json!({"ca": root.pem()});
    for (acts, reason, detail) in [
        (vec![], Reason::Network, "the connection was closed by the peer before a byte of the answer came"),
        (vec![Act::Hear], Reason::Network, "the connection was closed by the peer before a byte of the answer came"),
        (
            vec![Act::Hear, say("HTTP/1.1 200")],
            Reason::Network,
            "the connection was closed by the peer after 12 bytes, before the answer's headers ended",
        ),
        (
            vec![Act::Hear, say("HTTP/1.1 200 OK\r\nx: y\r\n")],
            Reason::Network,
            "the connection was closed by the peer after 23 bytes, before the answer's headers ended",
        ),
        (
            vec![Act::Hear, say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")],
            Reason::Truncated,
            "the body ended after 4 of 9 announced bytes",
        ),
        (
            vec![Act::Hear, say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel")],
            Reason::Truncated,
            "the body ended after 3 bytes",
        ),
    ] {
        let peer = Peer::playing(acts.clone()).await;
        let result = probe(json!({"url": peer.url("/")})).await;
        assert_eq!(result.assert_failed(reason, Blame::Target), detail, "{acts:?}");
        let config = root.issue(&["localhost"]).server(&[]);
        let peer = Peer::start(Some(config), Script::Acts(acts.clone().into())).await;
        let result = probe(json!({"url": peer.secure_url("/"), "tls": tls})).await;
        assert_eq!(result.assert_failed(reason, Blame::Target), detail, "over TLS: {acts:?}");
    }
    let peer = Peer::playing([Act::Take(5)]).await;
    let result = probe(json!({"url": peer.secure_url("/")})).await;
    let detail = result.assert_failed(Reason::Network, Blame::Target);
    assert_eq!(detail, "TLS handshake: the connection was closed by the peer too early");
}

#[tokio::test]
async fn a_reset_is_told_by_where_it_came() {
    let peer = Peer::playing([Act::Take(5), Act::Reset]).await;
    let result = probe(json!({"url": peer.secure_url("/")})).await;
    let detail = result.assert_failed(Reason::Network, Blame::Target);
    assert_eq!(detail, "TLS handshake: the connection was reset by the peer");
    let peer = Peer::playing([Act::Hear, Act::Reset]).await;
    let result = probe(json!({"url": peer.url("/")})).await;
    let detail = result.assert_failed(Reason::Network, Blame::Target);
    assert_eq!(detail, "waiting for the answer: the connection was reset by the peer");
}

#[tokio::test]
async fn an_end_of_the_connection_can_be_the_end_of_the_body() {
    let peer = Peer::playing([Act::Hear, say("HTTP/1.0 200 OK\r\n\r\nto the end")]).await;
    let expect = json!({"body": {"equals": "to the end"}, "http_version": "1.0"});
    let result = probe(json!({"url": peer.url("/"), "expect": expect})).await;
    assert_eq!(result.assert_ok().findings.measure("content_length"), Some(-1.0));
}

#[tokio::test]
async fn an_attempt_that_is_dropped_leaves_nothing_behind() {
    let root = Authority::new("root");
    let identity = root.issue(&["localhost"]);
    let metrics = tokio::runtime::Handle::current().metrics();
    let hanging = Peer::playing([Act::Hear, Act::Hang]).await;
    // The preface, SETTINGS and the request are 24 bytes and more.
    let acts = [Act::Take(24), say(b"\0\0\0\x04\0\0\0\0\0"), Act::Hang];
    let http2 = Peer::playing(acts.clone()).await;
    let secure = Peer::start(Some(identity.server(&["h2"])), Script::Acts(acts.into())).await;
    let before = metrics.num_alive_tasks();
    for settings in [
        json!({"url": hanging.url("/")}),
        json!({"url": hanging.url("/"), "reuse_connection": true}),
        json!({"url": http2.url("/"), "version": "http2"}),
        json!({"url": secure.secure_url("/"), "tls": {"ca": root.pem()}}),
    ] {
        let prober = prober(settings);
        let result = attempt_within(&*prober, SHORT).await;
        result.assert_failed(Reason::Timeout, Blame::Target);
    }
    // Each peer sees its connections end although the probers' runtime goes on.
    hanging.ended(2).await;
    http2.ended(1).await;
    secure.ended(1).await;
    while metrics.num_alive_tasks() > before {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_http2_attempt_that_is_over_leaves_nothing_behind() {
    let answer = |_| hyper::Response::new(http_body_util::Full::new(bytes::Bytes::from("hello")));
    let peer = Peer::start(None, Script::Http2(std::sync::Arc::new(answer))).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    probe(json!({"url": peer.url("/"), "version": "http2"})).await.assert_ok();
    peer.ended(1).await;
    while metrics.num_alive_tasks() > before {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn attempts_of_one_prober_can_overlap() {
    let peer = Peer::site(|_| ok("Create")).await;
    for reuse in [false, true] {
        let prober = prober(json!({"url": peer.url("/"), "reuse_connection": reuse}));
        let attempts = (0..20).map(|_| attempt_within(&*prober, Duration::from_secs(10)));
        for result in futures_util::future::join_all(attempts).await {
            result.assert_ok();
        }
    }
}
