//! What is sent: methods, headers, bodies, credentials.

use bytes::Bytes;
use forewarn::model::reason::{Blame, Reason};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::peers::probing::{Inspect, probe};
use crate::peers::tcp::{Peer, Script, header, ok};

/// The one request that a probe with these settings sends.
async fn sent(mut settings: Value) -> String {
    let peer = Peer::site(|_| ok("")).await;
    settings["url"] = peer.url("/a%20b?q=1&r=%2F#part").into();
    probe(settings).await.assert_ok();
    peer.request()
}

#[tokio::test]
async fn a_request_is_complete_and_modest() {
    let peer = Peer::site(|_| ok("")).await;
    probe(json!({"url": peer.url("/a%20b?q=1#part")})).await.assert_ok();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "GET /a%20b?q=1 HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nuser-agent: forewarn/{version}\r\n\
         accept: */*\r\naccept-encoding: gzip, deflate, br, zstd\r\n\r\n",
        peer.address
    );
    assert_eq!(peer.request(), expected);
}

#[tokio::test]
async fn every_method_is_sent_as_written() {
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let request = sent(json!({"method": method})).await;
        assert!(request.starts_with(&format!("{method} /a%20b?q=1&r=%2F HTTP/1.1\r\n")), "{request}");
    }
}

#[tokio::test]
async fn head_expects_no_body_whatever_length_is_announced() {
    let peer = Peer::site(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n".to_vec()).await;
    let result = probe(json!({"url": peer.url("/"), "method": "HEAD"})).await;
    result.assert_ok();
    assert_eq!(result.findings.measure("content_length"), Some(5000.0));
    assert_eq!(result.findings.measure("body_bytes"), Some(0.0));
}

#[tokio::test]
async fn own_headers_replace_the_defaults_and_may_repeat() {
    let request = sent(json!({"headers": {
        "User-Agent": "pika/1",
        "accept": ["text/html", "text/plain"],
        "x-a": ["1", "2"],
        "host": "other.test",
        "content-length": "999",
        "transfer-encoding": "chunked",
    }}))
    .await;
    assert_eq!(header(&request, "user-agent"), ["pika/1"]);
    assert_eq!(header(&request, "accept"), ["text/html", "text/plain"]);
    assert_eq!(header(&request, "x-a"), ["1", "2"]);
    assert_eq!(header(&request, "host"), ["other.test"]);
    assert_eq!(header(&request, "content-length"), Vec::<&str>::new(), "framing is not the settings' business");
    assert_eq!(header(&request, "transfer-encoding"), Vec::<&str>::new());
}

#[tokio::test]
async fn bodies_come_with_their_kind_and_length() {
    let ends = |request: &str, body: &str| assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
    let request = sent(json!({"method": "POST", "body": "a=b"})).await;
    assert_eq!((header(&request, "content-type"), header(&request, "content-length")), (vec![], vec!["3"]));
    ends(&request, "a=b");
    let request = sent(json!({"method": "POST", "json": {"z": 1, "a": ["ä"]}})).await;
    assert_eq!(header(&request, "content-type"), ["application/json"]);
    ends(&request, "{\"z\":1,\"a\":[\"ä\"]}");
    let request = sent(json!({"method": "POST", "form": {"a b": "c&d", "e": "ä"}})).await;
    assert_eq!(header(&request, "content-type"), ["application/x-www-form-urlencoded"]);
    ends(&request, "a+b=c%26d&e=%C3%A4");
    let own = json!({"method": "POST", "json": {}, "headers": {"content-type": "application/ld+json"}});
    assert_eq!(header(&sent(own).await, "content-type"), ["application/ld+json"]);
    let empty = sent(json!({"method": "POST"})).await;
    assert_eq!(header(&empty, "content-length"), ["0"], "{empty}");
}

#[tokio::test]
async fn credentials_are_sent() {
    let request = sent(json!({"auth": {"basic": {"username": "ann", "password": "p:ß"}}})).await;
    assert_eq!(header(&request, "authorization"), ["Basic YW5uOnA6w58="]);
    let request = sent(json!({"auth": {"bearer": "t0ken"}})).await;
    assert_eq!(header(&request, "authorization"), ["Bearer t0ken"]);
}

#[tokio::test]
async fn credentials_that_no_header_can_carry_are_the_settings_fault() {
    let peer = Peer::site(|_| ok("")).await;
    let result = probe(json!({"url": peer.url("/"), "auth": {"bearer": "t0ken\n"}})).await;
    let detail = result.assert_failed(Reason::Config, Blame::Agent);
    assert!(detail.starts_with("what `auth` gives holds a line end"), "{detail}");
    assert!(!detail.contains("t0ken"));
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn http2_carries_the_same_request() {
    let echo = |request: hyper::Request<hyper::body::Incoming>| {
        let text = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
        hyper::Response::new(Full::new(Bytes::from(text)))
    };
    let peer = Peer::start(None, Script::Http2(std::sync::Arc::new(echo))).await;
    let result = probe(json!({
        "url": peer.url("/a?q=1"), "version": "http2", "method": "POST", "json": {},
        "headers": {"host": "pika.test", "x-a": ["1", "2"]}, "auth": {"bearer": "t0ken"},
        "expect": {"body": {"contains": [
            "POST http://pika.test/a?q=1 ", "\"x-a\": \"1\", \"x-a\": \"2\"", "\"authorization\": \"Bearer t0ken\"",
            "\"content-type\": \"application/json\"", "\"content-length\": \"2\"",
        ], "not_contains": ["\"host\"", "\"connection\""]}},
    }))
    .await;
    result.assert_ok();
}

#[tokio::test]
async fn an_answer_in_any_coding_is_read() {
    use std::io::Write as _;
    let plain = "a video is born ".repeat(50);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(plain.as_bytes()).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(plain.as_bytes()).unwrap();
    let zstd = zstd::encode_all(plain.as_bytes(), 3).unwrap();
    // The text a hundred times would not fit: this is `hello` by `brotli`.
    let brotli = b"\x0b\x02\x80hello\x03".to_vec();
    for (coding, body, text) in [
        ("gzip", gzip.finish().unwrap(), plain.as_str()),
        ("deflate", zlib.finish().unwrap(), &plain),
        ("zstd", zstd, &plain),
        ("br", brotli, "hello"),
    ] {
        let length = body.len();
        let answer = crate::peers::tcp::answer("200 OK", &[("content-encoding", coding)], body);
        let peer = Peer::site(move |_| answer.clone()).await;
        let result = probe(json!({"url": peer.url("/"), "expect": {"body": {"equals": text}}})).await;
        result.assert_ok();
        let measure = |key| result.findings.measure(key).map(|value| value.to_string());
        assert_eq!(measure("content_length"), Some(length.to_string()), "{coding}: as sent");
        assert_eq!(measure("body_bytes"), Some(text.len().to_string()), "{coding}: as read");
    }
}
