//! Addresses that are asked for: chains of requests, what they extract, and where the key goes.

use forewarn::model::reason::{Blame, Reason};
use forewarn::model::result::ProbeResult;
use serde_json::{Value, json};

use super::{download, serving};
use crate::peers::files::{File, index_first};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Peer, answer, header, path};

const KEY: &str = "sk-0123456789abcdef";

fn key() -> Value {
    json!({"authorization": {"$shown": "Key ${env:KEY}", "value": format!("Key {KEY}")}, "x-team": "pika"})
}

/// An API of a list and items; `url` is what an item says of its video.
async fn api(url: impl Into<Value>) -> Peer {
    let item = json!({"video": {"url": url.into()}}).to_string();
    Peer::site(move |request| match path(request) {
        "/api/videos?limit=1" => answer("200 OK", &[], r#"{"items": [{"id": "v/7"}]}"#),
        "/api/videos/v/7" => answer("200 OK", &[("x-next", "abc")], &item),
        path if path.starts_with("/files/") => answer("200 OK", &[("content-type", "video/mp4")], &*index_first()),
        _ => answer("404 Not Found", &[], r#"{"detail": "no such video"}"#),
    })
    .await
}

/// One attempt whose address is asked for in two requests.
async fn asking(api: &Peer, more: Value) -> ProbeResult {
    let mut settings = json!({
        "from": [
            {"url": api.url("/api/videos?limit=1"), "headers": key(), "extract": {"id": "$.items[0].id"}},
            {"url": format!("{}/api/videos/{{id}}", api.url("")), "extract": {"url": "$.video.url"}},
        ],
        "media": {"video": true},
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    download(settings).await
}

#[tokio::test]
async fn the_key_goes_to_the_api_and_not_to_the_files() {
    let files = serving(File::of(index_first())).await;
    let api = api(files.url("/files/7.mp4?X-Amz-Signature=s1gned")).await;
    for mode in ["full", "ranges"] {
        let result = asking(&api, json!({"mode": mode, "headers": key()})).await;
        result.assert_ok();
        assert_eq!(result.phases()[0], "locate");
        let shown = serde_json::to_string(&result).unwrap();
        assert!(!shown.contains("s1gned") && !shown.contains(KEY), "{shown}");
    }
    for request in api.requests() {
        assert_eq!(header(&request, "authorization"), [format!("Key {KEY}")], "{request}");
        assert_eq!(header(&request, "x-team"), ["pika"]);
    }
    assert!(!files.requests().is_empty());
    for request in files.requests() {
        assert!(!request.contains(KEY), "{request}");
        assert_eq!(header(&request, "x-team"), Vec::<&str>::new());
        assert!(path(&request).contains("s1gned"));
    }
}

#[tokio::test]
async fn the_key_goes_to_origins_that_are_listed() {
    let files = serving(File::of(index_first())).await;
    let api = api(files.url("/files/7.mp4")).await;
    asking(&api, json!({"headers": key(), "trusted": files.url("")})).await.assert_ok();
    assert_eq!(header(&files.request(), "authorization"), [format!("Key {KEY}")]);
    // Headers of the first request are not the download's, wherever it goes.
    asking(&api, json!({"trusted": files.url("")})).await.assert_ok();
    assert_eq!(header(&files.requests()[1], "authorization"), Vec::<&str>::new());
}

#[tokio::test]
async fn the_key_does_not_follow_a_redirect_of_the_api() {
    let elsewhere = api("/files/7.mp4").await;
    let location = elsewhere.url("/api/videos?limit=1");
    let api = Peer::site(move |_| answer("302 Found", &[("location", location.as_str())], "")).await;
    asking(&api, json!({})).await;
    assert!(!elsewhere.requests().is_empty());
    assert!(elsewhere.requests().iter().all(|request| !request.contains(KEY)), "{:?}", elsewhere.requests());
}

#[tokio::test]
async fn an_address_without_a_host_belongs_to_where_it_was_found() {
    for url in ["/files/7.mp4", "../../../files/7.mp4", "../../../../files/7.mp4?a=b"] {
        let api = api(url).await;
        asking(&api, json!({})).await.assert_ok();
        assert!(path(&api.requests()[2]).starts_with("/files/7.mp4"), "{url}");
    }
}

#[tokio::test]
async fn an_address_may_be_put_together() {
    let api = api("unused").await;
    let template = format!("{}/files/{{id}}.mp4?token={{next}}", api.url(""));
    let more = json!({
        "url": template,
        "from": [
            {"url": api.url("/api/videos?limit=1"), "extract": {"id": {"from": "$.items[0].id", "matches": "v/(.*)"}}},
            {"url": api.url("/api/videos/v/7"), "extract": {"next": "header:x-next"}},
        ],
    });
    asking(&api, more).await.assert_ok();
    assert_eq!(path(&api.requests()[2]), "/files/7.mp4?token=abc");
}

#[tokio::test]
async fn what_is_missing_says_which_request_lacked_it() {
    for (url, reason, words) in [
        (
            Value::Null,
            Reason::NoOutput,
            "request 2 of `from`: expected a value at $.video.url for `url`, there is none",
        ),
        (json!(""), Reason::NoOutput, "for `url`, there is none"),
        (
            json!(["a"]),
            Reason::Protocol,
            "expected a text of at most 4096 bytes at $.video.url, got a list or an object",
        ),
        (json!("x".repeat(5000)), Reason::Protocol, "got of 5000 bytes"),
    ] {
        let api = api(url).await;
        let result = asking(&api, json!({})).await;
        let detail = result.assert_failed(reason, Blame::Target);
        assert!(detail.contains(words), "{detail}");
    }
}

#[tokio::test]
async fn an_api_that_fails_says_so_in_its_words() {
    for (status, body, reason, words) in [
        (
            "404 Not Found",
            r#"{"detail": "no such account"}"#,
            Reason::HttpStatus,
            "request 1 of `from`: expected status 2xx, got 404: no such account",
        ),
        ("401 Unauthorized", r#"{"error": {"message": "bad key"}}"#, Reason::Auth, "got 401: bad key"),
        ("503 Busy", "<html>busy</html>", Reason::Unavailable, "got 503: <html>busy"),
        ("402 Pay", "{}", Reason::Quota, "got 402"),
        (
            "200 OK",
            "<html>login</html>",
            Reason::NoOutput,
            "there is none; expected JSON in the answer, got `<html>login",
        ),
        ("200 OK", "", Reason::NoOutput, "expected JSON in the answer, got nothing"),
        ("200 OK", "{\"items\": [", Reason::NoOutput, "expected JSON in the body"),
    ] {
        let api = Peer::site(move |_| answer(status, &[], body)).await;
        let result = asking(&api, json!({})).await;
        let failure = result.failed();
        assert_eq!(failure.reason, reason, "{}", failure.detail);
        assert!(failure.detail.contains(words), "{}", failure.detail);
        assert_eq!(api.requests().len(), 1, "nothing is asked twice");
    }
    let large = format!("{{\"items\": [{{\"id\": \"{}\"}}]}}", "x".repeat(2 << 20));
    let api = Peer::site(move |_| answer("200 OK", &[], &large)).await;
    asking(&api, json!({})).await.assert_failed(Reason::BodyTooLarge, Blame::Target);
    let deep = "[".repeat(100_000);
    let api = Peer::site(move |_| answer("200 OK", &[], &deep)).await;
    asking(&api, json!({})).await.failed();
}

#[tokio::test]
async fn an_address_that_means_harm_is_not_followed() {
    for url in [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "ftp://x.test/v.mp4",
        "data:video/mp4;base64,AAAA",
        "http://user:pw@127.0.0.1/",
        "http://",
        "http://[::1",
    ] {
        let api = api(url).await;
        let result = asking(&api, json!({})).await;
        let detail = result.assert_failed(Reason::Protocol, Blame::Target);
        assert!(!detail.contains("pw@"), "{detail}");
        assert_eq!(api.requests().len(), 2, "{url}");
    }
    // A name that would leave its place in the next request's address.
    let hostile = Peer::site(|_| answer("200 OK", &[], r#"{"items": [{"id": "../admin"}]}"#)).await;
    let result = asking(&hostile, json!({})).await;
    let detail = result.assert_failed(Reason::Protocol, Blame::Target);
    assert!(detail.contains("would leave its place"), "{detail}");
    assert_eq!(hostile.requests().len(), 1);
}
