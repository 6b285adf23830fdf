//! The submission: it costs money, so it is made once, whatever happens.

use forewarn::model::reason::{Blame, Reason};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::definition::Definition;
use super::ordinary::{CANCEL, SUBMIT, job, script};
use super::stand_in::{StandIn, file, media_host, reply};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Act, Peer};

/// The ordinary job, submitted at another address, for 0.20.
async fn submitted_at(url: &str) -> (StandIn, Value) {
    let service = script(&media_host().await).start().await;
    let mut settings = job(&service);
    settings["submit"]["url"] = url.into();
    settings["budget"] = json!({"per_run": 0.2, "per_day": 1});
    (service, settings)
}

#[tokio::test]
async fn a_submission_that_may_have_arrived_is_not_repeated() {
    let peer = Peer::playing([Act::Hear, Act::Reset]).await;
    let (service, settings) = submitted_at(&peer.url("/jobs")).await;
    let result = Definition::of(&settings).attempt().await;
    let detail = result.assert_failed(Reason::Network, Blame::Target);
    assert!(detail.ends_with("; whether a job was started cannot be told"), "{detail}");
    assert_eq!((peer.connections(), peer.requests().len()), (1, 1));
    assert!(service.routes().is_empty());
    assert_eq!(result.findings.measure("spent"), Some(0.2), "it may cost");
}

#[tokio::test]
async fn a_submission_that_is_not_answered_is_not_repeated() {
    let peer = Peer::playing([Act::Hear, Act::Hang]).await;
    let (_service, mut settings) = submitted_at(&peer.url("/jobs")).await;
    settings["submit"]["timeout"] = "500ms".into();
    let result = Definition::of(&settings).attempt().await;
    let detail = result.assert_failed(Reason::Timeout, Blame::Target);
    assert!(detail.starts_with("submit: not done within 500ms"), "{detail}");
    assert!(detail.ends_with("; whether a job was started cannot be told"), "{detail}");
    assert_eq!(peer.requests().len(), 1);
    assert_eq!(result.findings.measure("spent"), Some(0.2));
}

#[tokio::test]
async fn a_submission_that_did_not_leave_costs_nothing() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (_service, settings) = submitted_at(&format!("http://{address}/jobs")).await;
    let result = Definition::of(&settings).attempt().await;
    let detail = result.assert_failed(Reason::Connect, Blame::Target);
    assert!(detail.starts_with("submit: ") && !detail.contains("cannot be told"), "{detail}");
    assert_eq!(result.findings.measure("spent"), None);
}

#[tokio::test]
async fn an_answer_that_gives_no_job_is_told() {
    let page = file("text/html", b"<html>we are moving</html>".to_vec());
    for (answer, words) in [
        (page, "submit: the answer gives none of id: <html>we are moving</html>"),
        (reply(200, json!({"job": 7})), "submit: the answer gives none of id: {\"job\":7}"),
        (reply(200, json!({"id": null, "message": "busy"})), "submit: the answer gives none of id: busy"),
        (reply(200, json!({"id": ""})), "submit: the answer gives none of id: {\"id\":\"\"}"),
    ] {
        let service = script(&media_host().await).on(SUBMIT, [answer]).start().await;
        let result = Definition::of(&job(&service)).attempt().await;
        assert_eq!(result.assert_failed(Reason::Protocol, Blame::Target), words);
        assert_eq!(service.routes(), [SUBMIT]);
    }
}

#[tokio::test]
async fn an_answer_with_a_good_status_may_be_a_refusal() {
    let refusal = reply(200, json!({"id": "j1", "error": {"code": "policy"}}));
    let service = script(&media_host().await).on(SUBMIT, [refusal]).start().await;
    let mut settings = job(&service);
    settings["classify"] = json!([{"path": "$.error.code", "equals": "policy", "as": "content"}]);
    Definition::of(&settings).attempt().await.assert_failed(Reason::ContentRefused, Blame::Agent);
    assert_eq!(service.routes(), [SUBMIT, CANCEL], "there may be a job all the same");
}

#[tokio::test]
async fn the_prompt_does_not_follow_a_redirect_to_another_host() {
    let other = media_host().await;
    let moved = reply(307, json!({})).header("location", &other.url("/jobs"));
    let service = script(&other).on(SUBMIT, [moved]).start().await;
    let result = Definition::of(&job(&service)).attempt().await;
    result.assert_failed(Reason::Redirect, Blame::Target);
    assert!(other.routes().is_empty());
}
