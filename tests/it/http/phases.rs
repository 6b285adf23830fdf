//! Which phases are entered, which facts come of them, and that HTTP/1.1 and HTTP/2 are both spoken.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use forewarn::model::reason::{Blame, Reason};
use http_body_util::Full;
use hyper::Response;
use serde_json::json;

use crate::peers::authority::Authority;
use crate::peers::dns::Dns;
use crate::peers::probing::{Inspect, probe};
use crate::peers::tcp::{Peer, Script, answer, ok, path};

fn http2(_: hyper::Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
    Response::builder().header("x-a", "b").body(Full::from("over h2")).unwrap()
}

#[tokio::test]
async fn an_address_in_the_clear_needs_neither_lookup_nor_tls() {
    let peer = Peer::site(|_| ok("Create")).await;
    let result = probe(json!({"url": peer.url("/")})).await;
    result.assert_ok();
    assert_eq!(result.phases(), ["connect", "processing", "transfer"]);
    assert_eq!(result.fact("remote"), peer.address.to_string());
    assert_eq!(result.fact("protocol"), "HTTP/1.1");
    assert_eq!(result.fact("final_url"), "", "there was no redirect");
    assert_eq!(result.fact("tls_version"), "");
    let measure = |key| result.findings.measure(key);
    assert_eq!(measure("status"), Some(200.0));
    assert_eq!(measure("content_length"), Some(6.0));
    assert_eq!(measure("body_bytes"), Some(6.0));
    assert_eq!(measure("redirects"), Some(0.0));
    assert_eq!(measure("https"), Some(0.0));
    assert_eq!(measure("http_version"), Some(1.1));
    assert_eq!(measure("ip_protocol"), Some(4.0));
    assert_eq!(measure("failed_due_to_regex"), Some(0.0));
    assert_eq!(measure("last_modified"), None);
    assert_eq!(measure("certificate_expiry"), None);
}

#[tokio::test]
async fn a_name_over_tls_has_every_phase_and_they_add_up_to_no_more_than_the_whole() {
    let root = Authority::new("root");
    let peer = Peer::secure_site(root.issue(&["pika.test"]).server(&[]), |_| ok("Create")).await;
    let dns = Dns::pointing_to(Ipv4Addr::LOCALHOST).await;
    let result = probe(json!({
        "url": format!("https://pika.test:{}/", peer.address.port()),
        "resolve": {"server": [dns.address.to_string()]},
        "tls": {"ca": root.pem()},
    }))
    .await;
    result.assert_ok();
    assert_eq!(result.phases(), ["resolve", "connect", "tls", "processing", "transfer"]);
    let sum: Duration = result.findings.phases.iter().map(|(_, took)| *took).sum();
    assert!(sum <= result.took, "{sum:?} of {:?}", result.took);
    assert!(result.findings.phase("tls").unwrap() > Duration::ZERO);
    assert_eq!(result.findings.measure("https"), Some(1.0));
}

#[tokio::test]
async fn phases_are_summed_over_redirects_and_each_hop_is_told() {
    let peer = Peer::site(|request| match path(request) {
        "/" => answer("302 Found", &[("location", "/there?token=1")], "moved"),
        _ => ok("there"),
    })
    .await;
    let result = probe(json!({"url": peer.url("/")})).await;
    result.assert_ok();
    assert_eq!(peer.connections(), 2, "each hop is a fresh connection");
    for phase in ["connect", "processing", "transfer"] {
        assert_eq!(result.steps(phase).len(), 2, "{phase}");
        let steps = result.findings.steps.iter().filter(|step| step.name == phase);
        let sum: Duration = steps.map(|step| step.took).sum();
        assert_eq!(result.findings.phase(phase), Some(sum), "{phase}");
    }
    assert_eq!(result.steps("redirect"), [format!("302 to {}", peer.url("/there"))]);
    assert_eq!(result.fact("final_url"), peer.url("/there"), "without the query, which may hold a token");
    assert_eq!(result.findings.measure("redirects"), Some(1.0));
    assert_eq!(result.findings.measure("body_bytes"), Some(5.0));
}

#[tokio::test]
async fn http2_is_spoken_over_tls_where_the_peer_offers_it() {
    let root = Authority::new("root");
    let identity = root.issue(&["localhost"]);
    let peer = Peer::start(Some(identity.server(&["h2"])), Script::Http2(std::sync::Arc::new(http2))).await;
    let settings = json!({"url": peer.secure_url("/"), "tls": {"ca": root.pem()},
        "expect": {"body": {"contains": ["over h2"]}, "http_version": ["2"], "headers": {"x-a": {"equals": "b"}}}});
    let result = probe(settings).await;
    result.assert_ok();
    assert_eq!(result.fact("protocol"), "HTTP/2");
    assert_eq!(result.findings.measure("http_version"), Some(2.0));
    assert_eq!(result.phases(), ["resolve", "connect", "tls", "processing", "transfer"]);
}

#[tokio::test]
async fn http2_is_spoken_in_the_clear_with_prior_knowledge() {
    let peer = Peer::start(None, Script::Http2(std::sync::Arc::new(http2))).await;
    let result = probe(json!({"url": peer.url("/"), "version": "http2"})).await;
    result.assert_ok();
    assert_eq!(result.fact("protocol"), "HTTP/2");
}

#[tokio::test]
async fn http1_alone_can_be_asked_for() {
    let root = Authority::new("root");
    let config = || root.issue(&["localhost"]).server(&["h2", "http/1.1"]);
    let peer = Peer::secure_site(config(), |_| ok("")).await;
    let result = probe(json!({"url": peer.secure_url("/"), "version": "http1", "tls": {"ca": root.pem()}})).await;
    assert_eq!(result.assert_ok().fact("protocol"), "HTTP/1.1");
}

#[tokio::test]
async fn a_peer_without_http2_fails_a_probe_that_wants_it() {
    let root = Authority::new("root");
    let identity = root.issue(&["localhost"]);
    let ask = |url: String| json!({"url": url, "version": "http2", "tls": {"ca": root.pem()}});
    let silent = Peer::secure_site(identity.server(&[]), |_| ok("")).await;
    let result = probe(ask(silent.secure_url("/"))).await;
    let detail = result.assert_failed(Reason::Protocol, Blame::Target);
    assert_eq!(detail, "the peer does not offer HTTP/2 in the TLS handshake (ALPN)");
    let other = Peer::secure_site(identity.server(&["http/1.1"]), |_| ok("")).await;
    let result = probe(ask(other.secure_url("/"))).await;
    let detail = result.assert_failed(Reason::Tls, Blame::Target);
    assert!(detail.contains("no_application_protocol: it speaks none of the HTTP versions"), "{detail}");
}

#[tokio::test]
async fn every_key_that_results_carry_is_in_the_tables() {
    let root = Authority::new("root");
    let peer = Peer::secure_site(root.issue(&["localhost"]).server(&[]), |request| match path(request) {
        "/" => answer("301 Moved", &[("location", "/there")], ""),
        _ => answer("200 OK", &[("last-modified", "Wed, 31 Dec 2025 12:00:00 GMT")], "there"),
    })
    .await;
    let result = probe(json!({"url": peer.secure_url("/"), "tls": {"verify": false}})).await;
    result.assert_ok();
    let (kind, findings) = (result.kind, &result.findings);
    let missing = |known: bool, key: &str| assert!(known, "{key} is in no table");
    findings.phases.iter().for_each(|(key, _)| missing(kind.phases.contains(key), key));
    findings.measures.iter().for_each(|(key, _)| missing(kind.measures.iter().any(|row| row.key == *key), key));
    findings.facts.iter().for_each(|(key, _)| missing(kind.facts.iter().any(|row| row.key == *key), key));
    // And the other way: this attempt learned all there is.
    kind.phases.iter().for_each(|phase| assert!(findings.phase(phase).is_some(), "{phase}"));
    kind.measures.iter().for_each(|row| assert!(findings.measure(row.key).is_some(), "{}", row.key));
    kind.facts.iter().for_each(|row| assert!(findings.fact(row.key).is_some(), "{}", row.key));
}
