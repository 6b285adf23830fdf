//! `expect` and `warn` on a whole attempt; each rule by itself is tested beside the judge.

use forewarn::model::reason::{Blame, Reason};
use serde_json::{Value, json};

use crate::peers::authority::Authority;
use crate::peers::probing::{Inspect, probe};
use crate::peers::tcp::{Peer, answer, ok};

#[tokio::test]
async fn a_status_is_judged_without_being_asked() {
    for (status, reason, detail) in [
        ("404 Not Found", Reason::HttpStatus, "got 404 Not Found"),
        ("418 Whatever", Reason::HttpStatus, "got 418 I'm a teapot"),
        ("401 No", Reason::Auth, "got 401 Unauthorized"),
        ("403 No", Reason::Auth, "got 403 Forbidden"),
        ("429 Slow", Reason::RateLimited, "got 429 Too Many Requests"),
        ("500 Oops", Reason::Unavailable, "got 500 Internal Server Error"),
        ("503 Oops", Reason::Unavailable, "got 503 Service Unavailable"),
        ("599 Mine", Reason::Unavailable, "got 599"),
        ("304 Same", Reason::HttpStatus, "got 304 Not Modified"),
    ] {
        let peer = Peer::site(move |_| answer(status, &[], "")).await;
        let result = probe(json!({"url": peer.url("/")})).await;
        let text = result.assert_failed(reason, Blame::Target);
        assert_eq!(text, format!("expected status 2xx, {detail}"));
        let code = status[..3].parse().unwrap();
        assert_eq!(result.findings.measure("status"), Some(code));
    }
}

#[tokio::test]
async fn other_statuses_can_be_expected() {
    let peer = Peer::site(|_| answer("404 Not Found", &[], "")).await;
    let ask = |status: Value| probe(json!({"url": peer.url("/"), "expect": {"status": status}}));
    ask(json!("404")).await.assert_ok();
    ask(json!(["2xx", "400-409"])).await.assert_ok();
    let result = ask(json!(["200", "5xx"])).await;
    assert_eq!(
        result.assert_failed(Reason::HttpStatus, Blame::Target),
        "expected status 200 or 5xx, got 404 Not Found"
    );
}

#[tokio::test]
async fn a_warning_degrades_and_a_failure_outweighs_it() {
    let peer = Peer::site(|_| ok("Create")).await;
    let result = probe(json!({"url": peer.url("/"), "warn": {"body": {"contains": "Delete"}}})).await;
    let failure = result.degraded();
    assert_eq!(failure.reason, Reason::Assertion);
    assert_eq!(failure.detail, "expected the body to contain `Delete`; it starts with `Create`");
    let both = json!({
        "url": peer.url("/"),
        "expect": {"headers": {"x-a": {"equals": "b"}}},
        "warn": {"body": {"contains": "Delete"}},
    });
    let result = probe(both).await;
    assert_eq!(result.assert_failed(Reason::Assertion, Blame::Target), "expected header x-a, there is none");
    assert_eq!(result.steps("expect").len(), 1);
    assert_eq!(result.steps("warn").len(), 1, "what degrades is told beside what fails");
}

#[tokio::test]
async fn several_breaches_are_all_told_and_the_most_telling_one_leads() {
    let peer = Peer::site(|_| answer("503 Oops", &[], "sorry")).await;
    let expect = json!({"body": {"contains": ["a", "b"]}, "headers": {"x-a": {"equals": "b"}}, "https": true});
    let result = probe(json!({"url": peer.url("/"), "expect": expect})).await;
    let detail = result.assert_failed(Reason::Unavailable, Blame::Target);
    assert_eq!(detail, "expected status 2xx, got 503 Service Unavailable (and 4 more)");
    assert_eq!(result.steps("expect").len(), 5);
}

#[tokio::test]
async fn a_pattern_that_decides_is_counted() {
    let peer = Peer::site(|_| ok("Create")).await;
    let result = probe(json!({"url": peer.url("/"), "expect": {"body": {"matches": "^Del"}}})).await;
    result.assert_failed(Reason::Assertion, Blame::Target);
    assert_eq!(result.findings.measure("failed_due_to_regex"), Some(1.0));
}

#[tokio::test]
async fn a_slow_answer_that_is_right_is_slow() {
    let peer = Peer::site(|_| ok("Create")).await;
    // No answer takes no time at all.
    let result = probe(json!({"url": peer.url("/"), "expect": {"within": "0ms"}})).await;
    assert_eq!(result.failed().reason, Reason::Slow);
    let result = probe(json!({"url": peer.url("/"), "warn": {"first_byte_within": "0ms"}})).await;
    assert_eq!(result.degraded().reason, Reason::Slow);
    probe(json!({"url": peer.url("/"), "expect": {"within": "9s", "first_byte_within": "9s"}})).await.assert_ok();
}

#[tokio::test]
async fn a_certificate_that_lasts_too_short_degrades() {
    let root = Authority::new("root");
    let peer = Peer::secure_site(root.issue(&["localhost"]).server(&[]), |_| ok("")).await;
    let ask = |days: &str| {
        let warn = json!({"certificate": {"valid_for": days}});
        probe(json!({"url": peer.secure_url("/"), "tls": {"ca": root.pem()}, "warn": warn}))
    };
    ask("14d").await.assert_ok();
    let result = ask("36500d").await;
    let failure = result.degraded();
    assert_eq!(failure.reason, Reason::Tls);
    assert!(failure.detail.contains("on 2100-01-01T00:00:00Z; expected 36500d at least"), "{}", failure.detail);
}

#[tokio::test]
async fn a_body_that_is_too_large_says_so_at_the_announcement() {
    let peer = Peer::site(|_| ok(&"x".repeat(100))).await;
    let ask = |limit: &str| probe(json!({"url": peer.url("/"), "max_body": limit}));
    ask("100").await.assert_ok();
    let result = ask("99").await;
    assert_eq!(
        result.assert_failed(Reason::BodyTooLarge, Blame::Target),
        "the body as announced is larger than max_body, 99B"
    );
    assert_eq!(result.findings.measure("status"), Some(200.0), "what the head said is kept");
}

#[tokio::test]
async fn a_bad_status_counts_for_more_than_its_broken_body() {
    let peer = Peer::site(|_| answer("503 Oops", &[], "x".repeat(100))).await;
    let result = probe(json!({"url": peer.url("/"), "max_body": "99"})).await;
    assert_eq!(
        result.assert_failed(Reason::Unavailable, Blame::Target),
        "expected status 2xx, got 503 Service Unavailable; also, the body as announced is larger than max_body, 99B"
    );
}
