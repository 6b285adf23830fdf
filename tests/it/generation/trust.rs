//! Where the key goes, and where it does not, wherever answers lead.

use forewarn::model::reason::{Blame, Reason};
use serde_json::json;

use super::definition::Definition;
use super::ordinary::{CANCEL, JOB, SUBMIT, done, job, script};
use super::stand_in::{Script, media_host, reply, video};
use crate::peers::probing::Inspect;

#[tokio::test]
async fn an_address_elsewhere_gets_the_key_only_if_it_is_trusted() {
    for is_trusted in [false, true] {
        let media = media_host().await;
        let other = Script::default().on("GET /state", [done(&media)]).start().await;
        let started = reply(200, json!({"id": "j1", "status_url": other.url("/state")}));
        let service = script(&media).on(SUBMIT, [started]).start().await;
        let mut settings = job(&service);
        settings["job"] = json!({"id": "$.id", "status_url": "$.status_url"});
        settings["poll"]["url"] = "{status_url}".into();
        if is_trusted {
            settings["trusted"] = json!([other.origin()]);
        }
        Definition::of(&settings).attempt().await.assert_ok();
        assert_eq!(other.headers("authorization").len(), usize::from(is_trusted));
    }
}

#[tokio::test]
async fn the_key_does_not_follow_a_redirect_to_another_host() {
    let media = media_host().await;
    let other = Script::default().on("GET /state", [done(&media)]).start().await;
    let moved = reply(302, json!({})).header("location", &other.url("/state"));
    let service = script(&media).on(JOB, [moved]).start().await;
    Definition::of(&job(&service)).attempt().await.assert_ok();
    assert_eq!(other.routes(), ["GET /state"]);
    assert_eq!(other.headers("authorization"), Vec::<String>::new());
}

#[tokio::test]
async fn the_key_follows_a_redirect_within_the_service() {
    let media = media_host().await;
    let moved = reply(302, json!({})).header("location", "/state");
    let service = script(&media).on(JOB, [moved]).on("GET /state", [done(&media)]).start().await;
    Definition::of(&job(&service)).attempt().await.assert_ok();
    assert_eq!(service.headers("authorization").len(), 3);
}

#[tokio::test]
async fn a_body_goes_nowhere_else() {
    let other = Script::default().start().await;
    let started = reply(200, json!({"id": "j1", "status_url": other.url("/state")}));
    let service = script(&other).on(SUBMIT, [started]).start().await;
    let mut settings = job(&service);
    settings["job"] = json!({"id": "$.id", "status_url": "$.status_url"});
    settings["poll"]["url"] = "{status_url}".into();
    settings["poll"]["json"] = json!({"token": "${env:TOKEN}"});
    let result = Definition::of(&settings).attempt().await;
    let detail = result.assert_failed(Reason::Protocol, Blame::Target);
    assert!(detail.contains("the request's body goes there only if `trusted` lists it"), "{detail}");
    assert!(other.routes().is_empty());
    assert_eq!(service.routes(), [SUBMIT, CANCEL], "what was begun is cancelled at once");
}

#[tokio::test]
async fn a_video_at_the_service_itself_gets_the_key_only_if_told_so() {
    for is_told in [false, true] {
        let media = media_host().await;
        let end = reply(200, json!({"status": "done", "url": "{base}/kite.mp4"}));
        let service = script(&media).on(JOB, [end]).on("GET /kite.mp4", [video()]).start().await;
        let mut settings = job(&service);
        settings["result"]["send_key"] = is_told.into();
        let result = Definition::of(&settings).attempt().await;
        if is_told {
            result.assert_ok();
        } else {
            let detail = result.assert_failed(Reason::Auth, Blame::Target);
            assert!(detail.starts_with("download: "), "{detail}");
        }
    }
}

#[tokio::test]
async fn a_request_that_names_its_own_place_takes_its_own_headers_there() {
    let media = media_host().await;
    let sweeper = Script::default().on("DELETE /j1", [reply(204, json!(null))]).start().await;
    let service = script(&media).on(JOB, [done(&media)]).start().await;
    let mut settings = job(&service);
    settings["cleanup"] =
        json!({"method": "DELETE", "url": sweeper.url("/{id}"), "headers": {"x-broom": "${env:BROOM}"}});
    Definition::of(&settings).attempt().await.assert_ok();
    assert_eq!(sweeper.headers("x-broom"), ["value-of-BROOM"]);
    assert_eq!(sweeper.headers("authorization"), Vec::<String>::new());
}

#[tokio::test]
async fn a_key_that_is_echoed_does_not_show() {
    let echo = reply(500, json!({"detail": "bad header: Bearer value-of-KEY"}));
    let service = script(&media_host().await).on(SUBMIT, [echo]).start().await;
    let result = Definition::of(&job(&service)).attempt().await;
    let detail = result.assert_failed(Reason::Unavailable, Blame::Target);
    assert!(detail.contains("[secret]"), "{detail}");
    assert!(!serde_json::to_string(&result).unwrap().contains("value-of-KEY"));
}

#[tokio::test]
async fn a_secret_in_an_address_goes_nowhere_else() {
    let other = media_host().await;
    let media = media_host().await;
    let state_url = other.url("/state");
    let started = reply(200, json!({"id": "j1", "state_url": state_url}));
    let service = script(&media).on(SUBMIT, [started]).start().await;
    let mut settings = job(&service);
    settings["job"] = json!({"id": "$.id", "state_url": "$.state_url"});
    settings["poll"]["url"] = "{state_url}?key=${env:KEY}".into();
    let result = Definition::of(&settings).attempt().await;
    let detail = result.assert_failed(Reason::Protocol, Blame::Target);
    assert!(detail.contains("the secret in the address goes there only if `trusted` lists it"), "{detail}");
    assert!(other.routes().is_empty());
    settings["trusted"] = other.origin().into();
    Definition::of(&settings).with("\"10s\"", "\"1s\"").attempt().await;
    assert!(other.routes().contains(&"GET /state?key=value-of-KEY".to_owned()), "{:?}", other.routes());
}

/// A pinned address is the service's, not that of whatever host an answer leads to.
#[tokio::test]
async fn a_pinned_address_is_the_services_alone() {
    let media = media_host().await;
    let elsewhere = media.url("/kite.mp4").replace("127.0.0.1", "cdn.invalid");
    let done = reply(200, json!({"status": "done", "url": elsewhere}));
    let service = script(&media).on(JOB, [done]).start().await;
    let mut settings = job(&service);
    settings["resolve"] = json!({"pin": "127.0.0.1"});
    let result = Definition::of(&settings).attempt().await;
    let detail = result.assert_failed(Reason::Dns, Blame::Target);
    assert!(detail.contains("cdn.invalid"), "{detail}");
    assert!(media.routes().is_empty());
}
