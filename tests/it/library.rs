//! The `library` probe against APIs that are well, that have lost videos, and that mean harm.

use forewarn::base::clock::Clock;
use forewarn::model::reason::{Blame, Reason};
use forewarn::model::result::ProbeResult;
use forewarn::probe::library::Library;
use serde_json::{Value, json};

use crate::peers::files::{File, index_first, range};
use crate::peers::probing::{Inspect, attempt, prober_of};
use crate::peers::tcp::{Peer, answer, header, path};

const KEY: &str = "sk-0123456789abcdef";
const DAY: i64 = 86_400;

/// A list of videos that are so many days old, called `v0`, `v1`, ….
fn listed(days: &[i64]) -> Value {
    let now = Clock::system().now().as_second();
    let item = |(index, days): (usize, &i64)| json!({"id": format!("v{index}"), "created_at": now - days * DAY});
    json!({"items": days.iter().enumerate().map(item).collect::<Vec<_>>()})
}

/// An API with this list, whose items all say this; other paths bring a video.
async fn api(list: Value, item: (&'static str, Value)) -> Peer {
    let (list, item) = (list.to_string(), (item.0, item.1.to_string()));
    let file = File::of(index_first());
    Peer::site(move |request| match path(request) {
        "/api/library" => answer("200 OK", &[], &list),
        path if path.starts_with("/api/library/") => answer(item.0, &[], &item.1),
        _ => file.answer(request),
    })
    .await
}

/// The settings for such an API.
fn settings(api: &Peer) -> Value {
    let key = json!({"$shown": "Key ${env:KEY}", "value": format!("Key {KEY}")});
    json!({
        "list": {"url": api.url("/api/library"), "headers": {"authorization": key}},
        "items": "$.items[*]",
        "created": "$.created_at",
        "item": {"url": format!("{}/api/library/{{id}}", api.url(""))},
        "url": "$.video.url",
    })
}

async fn check(api: &Peer, more: Value) -> ProbeResult {
    let mut settings = settings(api);
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    attempt(&*prober_of::<Library>(settings)).await
}

fn at(url: impl Into<Value>) -> (&'static str, Value) {
    ("200 OK", json!({"video": {"url": url.into()}}))
}

#[tokio::test]
async fn an_old_video_is_opened_by_a_fresh_address() {
    let api = api(listed(&[0, 30, 7]), at("/files/a.mp4?X-Amz-Signature=s1gned")).await;
    let more = json!({"at_least": 3, "newest_within": "1d", "older_than": "14d", "media": {"video": true, "min_duration": "3s"}});
    let result = check(&api, more).await;
    result.assert_ok();
    assert_eq!((result.findings.measure("items"), result.fact("video")), (Some(3.0), "v1"));
    assert!(result.findings.measure("newest_age").unwrap() < 60.0);
    assert!((result.findings.measure("oldest_age").unwrap() / 86_400.0 - 30.0).abs() < 0.1);
    assert!(result.fact("media").starts_with("mp4, h264"), "{}", result.fact("media"));
    assert_eq!(result.phases(), ["list", "item", "connect", "processing", "transfer"]);
    let requests = api.requests();
    assert_eq!(
        requests[..2].iter().map(|request| path(request)).collect::<Vec<_>>(),
        ["/api/library", "/api/library/v1"]
    );
    assert!(requests[2..].iter().all(|request| range(request).is_some()), "{requests:?}");
    assert!(!serde_json::to_string(&result).unwrap().contains("s1gned"));
    let result = check(&api, json!({"pick": "newest", "mode": "full"})).await;
    result.assert_ok();
    assert_eq!(result.fact("video"), "v0");
    assert_eq!(range(api.requests().last().unwrap()), None);
}

#[tokio::test]
async fn the_key_goes_to_the_api_and_not_to_the_files() {
    for mode in ["ranges", "full"] {
        let files = Peer::site(|request| File::of(index_first()).answer(request)).await;
        let api = api(listed(&[30]), at(files.url("/a.mp4"))).await;
        check(&api, json!({"mode": mode, "trusted": files.url("")})).await.assert_ok();
        for request in api.requests() {
            assert_eq!(header(&request, "authorization"), [format!("Key {KEY}")]);
        }
        assert!(!files.requests().is_empty());
        // Not even where it may go: a signed address with a key beside it is refused.
        assert!(files.requests().iter().all(|request| !request.contains(KEY)));
    }
    // Nor to an API of somebody else that items are asked from.
    let other = api(json!({}), at("/a.mp4")).await;
    let api = api(listed(&[30]), at("unused")).await;
    check(&api, json!({"item": {"url": format!("{}/api/library/{{id}}", other.url(""))}})).await.assert_ok();
    assert!(other.requests().iter().all(|request| !request.contains(KEY)));
}

#[tokio::test]
async fn the_list_may_have_the_addresses() {
    let list = json!({"data": [{"file": "files/new.mp4"}, {"file": "files/old.mp4"}]});
    let api = api(list, at("unused")).await;
    let more = json!({"item": null, "created": null, "items": "$.data[*]", "url": "$.file"});
    check(&api, more.clone()).await.assert_ok();
    assert_eq!(path(&api.requests()[1]), "/api/files/old.mp4", "the last is the oldest");
    let result = check(&api, json!({"item": null, "created": null, "items": "$.data[*]", "url": "$.gone"})).await;
    let detail = result.assert_failed(Reason::NoOutput, Blame::Target);
    assert_eq!(detail, "a saved video is listed without an address at $.gone");
}

#[tokio::test]
async fn what_is_missing_or_stale_is_told() {
    for (days, more, reason, words) in [
        (&[][..], json!({}), Reason::NoOutput, "expected 1 saved videos at least, the library lists 0"),
        (&[1, 2], json!({"at_least": 3}), Reason::NoOutput, "expected 3 saved videos at least, the library lists 2"),
        (
            &[3, 9],
            json!({"newest_within": "1d"}),
            Reason::Stale,
            "the newest saved video is 72h00m old, expected 1d at most",
        ),
        (
            &[3, 9],
            json!({"older_than": "14d"}),
            Reason::NoOutput,
            "no saved video of 14d or more is listed; the oldest is 216h00m old",
        ),
    ] {
        let api = api(listed(days), at("/a.mp4")).await;
        let result = check(&api, more).await;
        let detail = result.assert_failed(reason, Blame::Target);
        assert!(detail.starts_with(words), "{detail}");
        assert_eq!(api.requests().len(), 1, "nothing is opened");
    }
    let api = api(json!({"items": [{"id": "a", "created_at": "yesterday"}]}), at("/a.mp4")).await;
    let result = check(&api, json!({"newest_within": "1d"})).await;
    assert_eq!(result.assert_failed(Reason::NoOutput, Blame::Target), "no listed video says when it was saved");
}

#[tokio::test]
async fn a_list_that_is_none_is_told() {
    for (status, body, reason, words) in [
        ("200 OK", "<html>login</html>", Reason::Assertion, "expected JSON in the answer, got `<html>login"),
        ("200 OK", r#"{"items": null}"#, Reason::NoOutput, "the library lists 0"),
        ("200 OK", "[1, 2]", Reason::NoOutput, "the library lists 0"),
        ("401 Unauthorized", r#"{"detail": "bad key"}"#, Reason::Auth, "got 401: bad key"),
        ("500 Oops", "", Reason::Unavailable, "got 500"),
    ] {
        let api = Peer::site(move |_| answer(status, &[], body)).await;
        let result = check(&api, json!({})).await;
        let detail = result.assert_failed(reason, Blame::Target);
        assert!(detail.contains(words), "{detail}");
    }
}

#[tokio::test]
async fn a_video_that_is_listed_and_not_there_is_told() {
    for (item, reason, words) in [
        (
            ("404 Not Found", json!({"detail": "gone"})),
            Reason::HttpStatus,
            "a saved video: expected status 2xx, got 404: gone",
        ),
        (("410 Gone", json!({})), Reason::HttpStatus, "a saved video: expected status 2xx, got 410"),
        (at(Value::Null), Reason::NoOutput, "a saved video is listed without an address at $.video.url"),
        (at(""), Reason::NoOutput, "without an address"),
        (at(json!({"a": 1})), Reason::NoOutput, "without an address"),
        (("200 OK", json!({})), Reason::NoOutput, "without an address"),
        (("200 OK", json!("a page")), Reason::NoOutput, "without an address"),
        (
            at("file:///etc/passwd"),
            Reason::Protocol,
            "a saved video: the service gave an address that cannot be used, `file:///etc/passwd`",
        ),
        (at("http://user:s3cret@127.0.0.1/"), Reason::Protocol, "it holds credentials"),
    ] {
        let api = api(listed(&[30]), item).await;
        let result = check(&api, json!({})).await;
        let detail = result.assert_failed(reason, Blame::Target);
        assert!(detail.contains(words), "{detail}");
        assert!(!detail.contains("s3cret"), "{detail}");
    }
    let api = api(json!({"items": [{"name": "a"}]}), at("/a.mp4")).await;
    let result = check(&api, json!({"created": null})).await;
    assert_eq!(result.assert_failed(Reason::NoOutput, Blame::Target), "a saved video is listed without a name at $.id");
}

#[tokio::test]
async fn a_video_that_does_not_play_is_told() {
    let cut = index_first()[..450_000].to_vec();
    let audio = include_bytes!("../../src/demo/assets/audio.mp4").to_vec();
    for (file, reason, words) in [
        (cut, Reason::Truncated, "a saved video: the file ends at byte 450000"),
        (
            b"<html>gone</html>".to_vec(),
            Reason::NotPlayable,
            "a saved video: expected a video or an image, got an HTML page",
        ),
        (audio, Reason::NotPlayable, "a saved video: expected a picture"),
    ] {
        let files = File::of(file);
        let files = Peer::site(move |request| files.answer(request)).await;
        let api = api(listed(&[30]), at(files.url("/a.mp4"))).await;
        for mode in ["ranges", "full"] {
            let result = check(&api, json!({"mode": mode})).await;
            let detail = result.assert_failed(reason, Blame::Target);
            assert!(detail.starts_with(words), "{detail}");
        }
    }
    let files = Peer::site(|_| {
        answer("403 Forbidden", &[], "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
    })
    .await;
    let api = api(listed(&[30]), at(files.url("/a.mp4"))).await;
    let result = check(&api, json!({})).await;
    assert!(result.assert_failed(Reason::Auth, Blame::Target).ends_with("got 403: AccessDenied: Request has expired"));
}

#[tokio::test]
async fn a_long_list_is_bounded() {
    let days: Vec<i64> = (0..10_000).map(|index| index % 40).collect();
    let api = api(listed(&days), at("/a.mp4")).await;
    let list = json!({"url": api.url("/api/library"), "max_body": "16MiB"});
    let result = check(&api, json!({"list": list, "at_least": 10_000, "older_than": "39d"})).await;
    result.assert_ok();
    assert_eq!(result.findings.measure("items"), Some(10_000.0));
    // Unless it is allowed, so much is not held in memory.
    let result = check(&api, json!({})).await;
    let detail = result.assert_failed(Reason::BodyTooLarge, Blame::Target);
    assert!(detail.contains("max_body"), "{detail}");
}

#[tokio::test]
async fn slow_listing_is_a_blemish() {
    // So long a list takes its time, however fast the machine.
    let api = api(listed(&vec![30; 5000]), at("/a.mp4")).await;
    let list = json!({"url": api.url("/api/library"), "max_body": "16MiB"});
    let result = check(&api, json!({"list": list, "warn": {"list": "1ms"}})).await;
    assert_eq!(result.degraded().reason, Reason::Slow);
    assert!(result.degraded().detail.starts_with("listing took "), "{:?}", result.outcome);
    let result = check(&api, json!({"list": list, "warn": {"within": "1ms"}})).await;
    assert!(result.degraded().detail.starts_with("the whole took "), "{:?}", result.outcome);
}
