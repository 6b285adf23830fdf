//! Luma's Dream Machine: a generation that dreams.

use forewarn::model::reason::{Blame, Reason};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::definition::Definition;
use super::stand_in::{Reply, Script, StandIn, media_host, reply};
use crate::peers::probing::Inspect;

#[tokio::test]
async fn a_generation_is_dreamt_and_fetched() {
    let media = media_host().await;
    let luma = script(&media).start().await;
    let result = definition(&luma).attempt().await;
    result.assert_ok();
    assert_eq!(luma.routes(), [CREDITS, SUBMIT, GENERATION]);
    assert_eq!(luma.headers("authorization").len(), 5);
    assert_eq!(result.findings.measure("credit_balance"), Some(1234.0), "US cents");
    assert_eq!(result.phases(), ["submit", "queue", "render", "result", "download"]);
    assert_eq!(media.headers("authorization"), Vec::<String>::new());
}

#[tokio::test]
async fn a_failed_generation_gives_its_reason() {
    let cases = [
        ("Internal failure", Reason::JobFailed, Blame::Target),
        ("400: Prompt not approved by moderation.", Reason::ContentRefused, Blame::Agent),
    ];
    join_all(cases.map(async |(words, reason, blame)| {
        let failed = generation(&json!({"state": "failed", "failure_reason": words, "assets": null}));
        let luma = script(&media_host().await).on(GENERATION, [failed]).start().await;
        let result = definition(&luma).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.contains(words), "{detail}");
    }))
    .await;
    let empty = generation(&json!({"state": "completed", "assets": {"video": null, "image": "x"}}));
    let luma = script(&media_host().await).on(GENERATION, [empty]).start().await;
    definition(&luma).attempt().await.assert_failed(Reason::NoOutput, Blame::Target);
}

#[tokio::test]
async fn a_refused_submission_says_why() {
    let cases = [
        (400, "Insufficient credits", Reason::Quota, Blame::Agent),
        (400, "Prompt not approved by moderation", Reason::ContentRefused, Blame::Agent),
        (422, "duration: unexpected value", Reason::Config, Blame::Agent),
        (429, "Too many concurrent generations", Reason::RateLimited, Blame::Target),
    ];
    join_all(cases.map(async |(status, words, reason, blame)| {
        let luma = script(&media_host().await).on(SUBMIT, [reply(status, json!({"detail": words}))]).start().await;
        let result = definition(&luma).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.contains(words), "{detail}");
    }))
    .await;
}

#[tokio::test]
async fn a_generation_that_does_not_end_is_deleted() {
    let luma = script(&media_host().await).on(GENERATION, [generation(&json!({"state": "dreaming"}))]).start().await;
    let result = definition(&luma).with("timeout: 10m", "timeout: 1s").attempt().await;
    result.assert_failed(Reason::JobExpired, Blame::Target);
    assert_eq!(luma.requests(DELETE).len(), 1);
}

#[tokio::test]
async fn a_balance_that_cannot_be_told_is_a_warning() {
    let media = media_host().await;
    let luma = script(&media).on(CREDITS, [reply(500, json!({"detail": "oops"}))]).start().await;
    let result = definition(&luma).attempt().await;
    let failure = result.degraded();
    assert_eq!(failure.reason, Reason::Unavailable);
    assert!(failure.detail.starts_with("the account's balance cannot be told: "), "{}", failure.detail);
}

fn definition(luma: &StandIn) -> Definition {
    Definition::shipped("luma").hasty().with("https://api.lumalabs.ai", &luma.origin())
}

fn script(media: &StandIn) -> Script {
    let states = [
        json!({"state": "queued"}),
        json!({"state": "dreaming"}),
        json!({"state": "completed", "assets": {"video": media.url("/kite.mp4"), "image": null, "progress_video": null}}),
    ];
    Script::keyed("authorization", "Bearer value-of-LUMAAI_API_KEY")
        .on(CREDITS, [reply(200, json!({"credit_balance": 1234.0}))])
        .on(SUBMIT, [reply(201, json!({"id": "g1", "state": "queued", "failure_reason": null, "assets": null}))])
        .on(GENERATION, states.iter().map(generation))
        .on(DELETE, [reply(200, json!({}))])
}

fn generation(more: &Value) -> Reply {
    let mut body = json!({
        "id": "g1", "generation_type": "video", "failure_reason": null, "assets": null, "model": "ray-flash-2",
        "created_at": "2026-01-01T00:00:00Z",
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    reply(200, body)
}

const CREDITS: &str = "GET /dream-machine/v1/credits";
const SUBMIT: &str = "POST /dream-machine/v1/generations/video";
const GENERATION: &str = "GET /dream-machine/v1/generations/g1";
const DELETE: &str = "DELETE /dream-machine/v1/generations/g1";
