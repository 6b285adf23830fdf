//! Runway: a task with a version header, a throttle that is a queue, and refusals that say so by a code.

use std::time::Duration;

use forewarn::model::reason::{Blame, Reason};
use forewarn::probe::Spec;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::definition::Definition;
use super::stand_in::{Reply, Script, StandIn, media_host, reply};
use crate::peers::probing::Inspect;

#[tokio::test]
async fn a_task_is_followed_and_its_video_deleted() {
    let media = media_host().await;
    let runway = script(&media).start().await;
    let result = definition(&runway).attempt().await;
    result.assert_ok();
    assert_eq!(runway.routes(), [BALANCE, SUBMIT, TASK, DELETE]);
    assert_eq!(runway.headers("x-runway-version"), vec!["2024-11-06"; 7], "in every request");
    assert_eq!(result.findings.measure("credit_balance"), Some(800.0));
    assert_eq!(result.findings.measure("spent"), Some(25.0));
    assert_eq!(result.steps("cleanup"), ["the service answered 204"]);
    assert_eq!(media.headers("authorization"), Vec::<String>::new());
    assert_eq!(result.phases(), ["submit", "queue", "render", "result", "download"]);
}

#[test]
fn the_service_is_not_asked_more_often_than_it_allows() {
    let plan = Definition::shipped("runway").plan();
    let Spec::Generation(settings) = &plan.probes[0].spec else { panic!("{:?}", plan.probes[0].spec) };
    let shortest = (0..1000).map(|number| settings.poll.wait("17eecf27", number, None)).min().unwrap();
    assert!(shortest >= Duration::from_secs(5), "{shortest:?}");
}

#[tokio::test]
async fn a_throttled_task_waits() {
    let runway = script(&media_host().await).on(TASK, [task(&json!({"status": "THROTTLED"}))]).start().await;
    let result = definition(&runway).with("queue_deadline: 5m", "queue_deadline: 1s").attempt().await;
    result.assert_failed(Reason::QueueStuck, Blame::Target);
    assert_eq!(runway.requests(DELETE).len(), 1, "cancelled, and not deleted once more");
}

#[tokio::test]
async fn a_failure_code_tells_content_from_trouble() {
    let failed = |code: &str| json!({"status": "FAILED", "failure": "it did not work", "failureCode": code});
    let cases = [
        (failed("SAFETY.INPUT.TEXT"), Reason::ContentRefused, Blame::Agent, "it did not work"),
        (failed("SAFETY.OUTPUT.VIDEO"), Reason::ContentRefused, Blame::Agent, "it did not work"),
        (failed("INPUT_PREPROCESSING.SAFETY.TEXT"), Reason::ContentRefused, Blame::Agent, "it did not work"),
        (failed("ASSET.INVALID"), Reason::Config, Blame::Agent, "it did not work"),
        (failed("INTERNAL.BAD_OUTPUT.CODE01"), Reason::JobFailed, Blame::Target, "the job failed: it did not work"),
        (json!({"status": "FAILED"}), Reason::JobFailed, Blame::Target, "the job failed"),
        (json!({"status": "CANCELLED"}), Reason::JobFailed, Blame::Target, "the service cancelled the job"),
        (
            json!({"status": "SUCCEEDED", "output": []}),
            Reason::NoOutput,
            Blame::Target,
            "expected a video at $.output[0]",
        ),
    ];
    join_all(cases.map(async |(more, reason, blame, words)| {
        let runway = script(&media_host().await).on(TASK, [task(&more)]).start().await;
        let result = definition(&runway).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.contains(words), "{detail}");
    }))
    .await;
}

#[tokio::test]
async fn a_refused_submission_says_why() {
    let poor = "You do not have enough credits to run this task.";
    let cases = [
        (400, poor, Reason::Quota, Blame::Agent),
        (400, "Validation of body failed", Reason::Config, Blame::Agent),
        (429, "too many tasks today", Reason::RateLimited, Blame::Target),
        (502, "bad gateway", Reason::Unavailable, Blame::Target),
        (503, "shedding load", Reason::RateLimited, Blame::Target),
    ];
    join_all(cases.map(async |(status, words, reason, blame)| {
        let refusal = reply(status, json!({"error": words}));
        let runway = script(&media_host().await).on(SUBMIT, [refusal]).start().await;
        let result = definition(&runway).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.contains(words), "{detail}");
    }))
    .await;
}

#[tokio::test]
async fn a_deleted_task_is_lost() {
    let runway = script(&media_host().await).on(TASK, [reply(404, json!({"error": "no such task"}))]).start().await;
    definition(&runway).attempt().await.assert_failed(Reason::JobLost, Blame::Target);
}

fn definition(runway: &StandIn) -> Definition {
    Definition::shipped("runway").hasty().with("https://api.dev.runwayml.com", &runway.origin())
}

fn script(media: &StandIn) -> Script {
    let states = [
        json!({"status": "PENDING"}),
        json!({"status": "THROTTLED"}),
        json!({"status": "RUNNING", "progress": 0.4}),
        json!({"status": "SUCCEEDED", "output": [media.url("/kite.mp4")]}),
    ];
    let organization = json!({"creditBalance": 800, "tier": {"models": {}}, "usage": {"models": {}}});
    Script::keyed("authorization", "Bearer value-of-RUNWAYML_API_SECRET")
        .on(BALANCE, [reply(200, organization)])
        .on(SUBMIT, [reply(200, json!({"id": "17eecf27"}))])
        .on(TASK, states.iter().map(task))
        .on(DELETE, [reply(204, json!(null))])
}

fn task(more: &Value) -> Reply {
    let mut body = json!({"id": "17eecf27", "createdAt": "2026-01-01T00:00:00.000Z"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    reply(200, body)
}

const BALANCE: &str = "GET /v1/organization";
const SUBMIT: &str = "POST /v1/text_to_video";
const TASK: &str = "GET /v1/tasks/17eecf27";
const DELETE: &str = "DELETE /v1/tasks/17eecf27";
