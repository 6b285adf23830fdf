//! Replicate: a prediction that may be finished in the first answer, and marks its own times.

use forewarn::model::reason::{Blame, Reason};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::definition::Definition;
use super::stand_in::{Reply, Script, StandIn, media_host, reply};
use crate::peers::probing::Inspect;
use crate::peers::tcp::header;

#[tokio::test]
async fn a_prediction_is_followed_and_timed_by_its_own_marks() {
    let media = media_host().await;
    let replicate = script(&media).start().await;
    let result = definition(&replicate).attempt().await;
    result.assert_ok();
    assert_eq!(replicate.routes(), [SUBMIT, GET]);
    assert_eq!(replicate.headers("authorization").len(), 4);
    assert_eq!(replicate.headers("cancel-after")[0], "10m");
    let body = replicate.requests(SUBMIT)[0].split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body, r#"{"input":{"prompt":"a red kite over a green hill"}}"#);
    assert_eq!(result.findings.measure("queue"), Some(41.0));
    assert_eq!(result.findings.measure("render"), Some(62.9), "the model's own time, without what is around it");
    assert_eq!(media.headers("authorization"), Vec::<String>::new());
}

#[tokio::test]
async fn a_fast_model_is_done_in_the_first_answer() {
    let media = media_host().await;
    let replicate = script(&media).on(SUBMIT, [reply(201, succeeded(&media))]).start().await;
    let result = definition(&replicate).with("#prefer: wait=60", "prefer: wait=60").attempt().await;
    result.assert_ok();
    assert_eq!(replicate.routes(), [SUBMIT]);
    assert_eq!(replicate.headers("prefer"), ["wait=60"]);
    assert_eq!(result.findings.measure("polls"), Some(0.0));
    assert_eq!(result.findings.measure("queue"), Some(41.0));
}

#[tokio::test]
async fn every_bad_end_has_its_reason() {
    let failed = |error: &str| prediction(&json!({"status": "failed", "error": error}));
    let cases = [
        (failed("CUDA out of memory"), Reason::JobFailed, Blame::Target, "the job failed: CUDA out of memory"),
        (failed("flagged as sensitive (E005)"), Reason::ContentRefused, Blame::Agent, "(E005)"),
        (prediction(&json!({"status": "canceled"})), Reason::JobFailed, Blame::Target, "the service cancelled the job"),
        (prediction(&json!({"status": "aborted"})), Reason::JobFailed, Blame::Target, "the service cancelled the job"),
        (
            prediction(&json!({"status": "succeeded", "output": null, "data_removed": true})),
            Reason::NoOutput,
            Blame::Target,
            "expected a video at $.output, there is none",
        ),
        (
            prediction(&json!({"status": "succeeded", "output": []})),
            Reason::NoOutput,
            Blame::Target,
            "expected a video at $.output, there is none",
        ),
    ];
    join_all(cases.map(async |(body, reason, blame, words)| {
        let replicate = script(&media_host().await).on(GET, [reply(200, body)]).start().await;
        let result = definition(&replicate).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.contains(words), "{detail}");
        assert!(replicate.requests(CANCEL).is_empty());
    }))
    .await;
}

#[tokio::test]
async fn a_refused_submission_says_why() {
    let throttled = "Request was throttled. Your rate limit resets in ~30s.";
    let cases = [
        (402, "You have insufficient credit.", Reason::Quota, Blame::Agent),
        (422, "input: prompt is required", Reason::Config, Blame::Agent),
        (429, throttled, Reason::RateLimited, Blame::Target),
        (500, "oops", Reason::Unavailable, Blame::Target),
    ];
    join_all(cases.map(async |(status, words, reason, blame)| {
        let refusal = reply(status, json!({"title": "No", "detail": words, "status": status}));
        let replicate = script(&media_host().await).on(SUBMIT, [refusal]).start().await;
        let result = definition(&replicate).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.contains(words), "{detail}");
        assert_eq!(replicate.routes(), [SUBMIT]);
    }))
    .await;
    let replicate = Script::keyed("authorization", "Bearer another").start().await;
    definition(&replicate).attempt().await.assert_failed(Reason::Auth, Blame::Target);
}

#[tokio::test]
async fn a_prediction_that_is_not_begun_is_cancelled() {
    let replicate = script(&media_host().await).on(GET, [starting()]).start().await;
    let result = definition(&replicate).with("queue_deadline: 5m", "queue_deadline: 1s").attempt().await;
    result.assert_failed(Reason::QueueStuck, Blame::Target);
    let cancels = replicate.requests(CANCEL);
    assert_eq!(header(&cancels[0], "content-length"), ["0"]);
    assert_eq!(result.steps("cancel"), ["the service answered 200"]);
}

fn definition(replicate: &StandIn) -> Definition {
    Definition::shipped("replicate").hasty().with("https://api.replicate.com", &replicate.origin())
}

fn script(media: &StandIn) -> Script {
    let processing = json!({"status": "processing", "started_at": "2026-01-01T00:00:41Z"});
    Script::keyed("authorization", "Bearer value-of-REPLICATE_API_TOKEN")
        .on(SUBMIT, [reply(201, prediction(&json!({"status": "starting"})))])
        .on(GET, [starting(), reply(200, prediction(&processing)), reply(200, succeeded(media))])
        .on(CANCEL, [reply(200, prediction(&json!({"status": "canceled"})))])
}

fn starting() -> Reply {
    reply(200, prediction(&json!({"status": "starting"})))
}

fn succeeded(media: &StandIn) -> Value {
    prediction(&json!({
        "status": "succeeded", "output": media.url("/kite.mp4"), "started_at": "2026-01-01T00:00:41Z",
        "completed_at": "2026-01-01T00:01:44Z", "metrics": {"predict_time": 62.9, "total_time": 104.0},
    }))
}

fn prediction(more: &Value) -> Value {
    let url = "{base}/v1/predictions/p1";
    let mut body = json!({
        "id": "p1", "model": "wan-video/wan-2.2-t2v-fast", "input": {"prompt": "a red kite over a green hill"},
        "output": null, "error": null, "logs": "", "created_at": "2026-01-01T00:00:00Z", "started_at": null,
        "completed_at": null, "metrics": {}, "urls": {"get": url, "cancel": format!("{url}/cancel"), "web": "https://replicate.test/p/p1"},
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

const SUBMIT: &str = "POST /v1/models/wan-video/wan-2.2-t2v-fast/predictions";
const GET: &str = "GET /v1/predictions/p1";
const CANCEL: &str = "POST /v1/predictions/p1/cancel";
