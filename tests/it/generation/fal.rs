//! fal's queue, and Pika behind it: three states, of which the last is no success yet.

use forewarn::model::reason::{Blame, Reason};
use forewarn::model::result::ProbeResult;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::definition::Definition;
use super::stand_in::{Reply, Script, StandIn, media_host, reply};
use crate::peers::probing::Inspect;

#[tokio::test]
async fn a_video_comes_through_every_stage() {
    let media = media_host().await;
    let fal = script(&media).start().await;
    let result = definition(&fal).attempt().await;
    result.assert_ok();
    assert_eq!(fal.routes(), [SUBMIT, STATUS, RESULT], "the sub-path is not in the addresses that fal gives");
    assert_eq!(media.routes(), ["GET /kite.mp4"]);
    assert_eq!(fal.headers("authorization").len(), 6);
    assert_eq!(fal.headers("x-fal-no-retry")[0], "1");
    let body = fal.requests(SUBMIT)[0].split_once("\r\n\r\n").unwrap().1.to_owned();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        json!({"prompt": "a red kite over a green hill", "resolution": "720p", "aspect_ratio": "16:9", "duration": 5})
    );
    let measure = |key| result.findings.measure(key);
    assert_eq!(
        (measure("polls"), measure("poll_failures"), measure("unknown_states")),
        (Some(4.0), Some(0.0), Some(0.0))
    );
    assert_eq!(measure("position"), Some(0.0));
    assert_eq!(measure("spent"), Some(0.2));
    assert_eq!(measure("render"), Some(41.5), "fal says so itself");
    let queue = measure("queue").unwrap();
    assert!((0.6..5.0).contains(&queue), "{queue}: seen waiting twice, running at the third look");
    assert_eq!(result.phases(), ["submit", "queue", "render", "result", "download"]);
    assert_eq!(result.fact("job"), "r1");
}

#[tokio::test]
async fn the_key_stays_away_from_the_media_host() {
    let media = media_host().await;
    let fal = script(&media).start().await;
    definition(&fal).attempt().await.assert_ok();
    assert_eq!(media.headers("authorization"), Vec::<String>::new());
    assert_eq!(media.headers("x-fal-no-retry"), Vec::<String>::new());
}

#[tokio::test]
async fn completed_is_not_success() {
    let cases = [
        (json!({"error": "the runner fell over"}), Reason::JobFailed, Blame::Target, "the runner fell over"),
        (json!({"error": "e", "error_type": "runner_disconnected"}), Reason::JobFailed, Blame::Target, "status 200: e"),
        (json!({"error": "e", "error_type": "internal_error"}), Reason::JobFailed, Blame::Target, "status 200: e"),
        (json!({"error": "e", "error_type": "startup_timeout"}), Reason::RateLimited, Blame::Target, "status 200: e"),
        (
            json!({"error": "content policy violation"}),
            Reason::ContentRefused,
            Blame::Agent,
            "content policy violation",
        ),
    ];
    join_all(cases.map(async |(more, reason, blame, words)| {
        let media = media_host().await;
        let fal = script(&media).on(STATUS, [completed(&more)]).start().await;
        let result = definition(&fal).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.contains(words), "{detail}");
        assert!(fal.requests(RESULT).is_empty() && fal.requests(CANCEL).is_empty(), "the job is over");
        assert_eq!(result.findings.measure("spent"), Some(0.2), "what was submitted stays counted");
    }))
    .await;
}

#[tokio::test]
async fn a_failed_job_may_answer_only_where_its_result_should_be() {
    let detail = |kind: &str, msg: &str| json!({"detail": [{"loc": ["body", "prompt"], "msg": msg, "type": kind}]});
    let runner = json!({"detail": "gone", "error_type": "runner_disconnected"});
    let cases = [
        (422, detail("content_policy_violation", "flagged"), Reason::ContentRefused, Blame::Agent, "flagged", 1),
        (422, detail("missing", "field required"), Reason::Config, Blame::Agent, "field required", 1),
        (422, detail("no_media_generated", "nothing came"), Reason::HttpStatus, Blame::Target, "nothing came", 1),
        (500, detail("internal_server_error", "oops"), Reason::Unavailable, Blame::Target, "oops", 3),
        (503, runner, Reason::JobFailed, Blame::Target, "gone", 3),
    ];
    join_all(cases.map(async |(status, body, reason, blame, words, asked)| {
        let media = media_host().await;
        let fal = script(&media).on(STATUS, [completed(&json!({}))]).on(RESULT, [reply(status, body)]).start().await;
        let result = definition(&fal).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.starts_with("result: ") && detail.contains(words), "{detail}");
        assert_eq!(fal.requests(RESULT).len(), asked, "{detail}: only what may pass is asked for again");
    }))
    .await;
}

#[tokio::test]
async fn a_result_that_hiccups_is_asked_for_again() {
    let media = media_host().await;
    let results = [reply(503, json!({"detail": "busy"})), result_at(&media)];
    let fal = script(&media).on(STATUS, [completed(&json!({}))]).on(RESULT, results).start().await;
    let result = definition(&fal).attempt().await;
    result.assert_ok();
    assert_eq!(result.findings.measure("poll_failures"), Some(1.0));
}

#[tokio::test]
async fn a_refused_submission_says_why_and_is_not_repeated() {
    let policy = json!({"detail": [{"msg": "flagged", "type": "content_policy_violation"}]});
    let cases = [
        (402, json!({"detail": "pay"}), Reason::Quota, Blame::Agent, false),
        (403, json!({"detail": "User is locked. Reason: Exhausted balance."}), Reason::Quota, Blame::Agent, false),
        (403, json!({"detail": "not allowed"}), Reason::Auth, Blame::Target, false),
        (422, policy, Reason::ContentRefused, Blame::Agent, true),
        (429, json!({"detail": "slow down"}), Reason::RateLimited, Blame::Target, false),
        (503, json!({"detail": "down"}), Reason::Unavailable, Blame::Target, true),
        (504, json!({"detail": "t", "error_type": "request_timeout"}), Reason::RateLimited, Blame::Target, true),
    ];
    join_all(cases.map(async |(status, body, reason, blame, may_cost)| {
        let fal = script(&media_host().await).on(SUBMIT, [reply(status, body)]).start().await;
        let result = definition(&fal).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.starts_with("submit: "), "{detail}");
        assert_eq!(fal.requests(SUBMIT).len(), 1);
        assert_eq!(fal.routes(), [SUBMIT]);
        let spent = result.findings.measure("spent");
        assert_eq!(spent.is_some(), may_cost, "{status}: what cannot have cost is not counted");
    }))
    .await;
}

#[tokio::test]
async fn a_wrong_key_is_told_by_the_service() {
    let fal = Script::keyed("authorization", "Key another").start().await;
    let result = definition(&fal).attempt().await;
    let detail = result.assert_failed(Reason::Auth, Blame::Target);
    assert_eq!(detail, "submit: expected status 2xx, got 401: Unauthorized");
    assert_eq!(result.findings.measure("spent"), None);
}

#[tokio::test]
async fn patience_that_is_asked_for_is_given() {
    let media = media_host().await;
    let slow = reply(429, json!({"detail": "slow down"})).header("retry-after", "2");
    let fal = script(&media).on(STATUS, [slow, completed(&json!({}))]).start().await;
    let result = definition(&fal).attempt().await;
    result.assert_ok();
    assert_eq!(fal.requests(STATUS).len(), 2);
    assert!(result.took.as_secs_f64() >= 2.2, "{:?}", result.took);
    assert_eq!(result.findings.measure("poll_failures"), Some(1.0));
}

#[tokio::test]
async fn a_hiccup_says_nothing_about_the_job() {
    let media = media_host().await;
    let bad = |status| reply(status, json!({"detail": "busy"}));
    let status = [queued(1), bad(502), bad(503), bad(404), bad(404), bad(500), running(), completed(&json!({}))];
    let fal = script(&media).on(STATUS, status).start().await;
    let result = definition(&fal).attempt().await;
    result.assert_ok();
    assert_eq!(result.findings.measure("poll_failures"), Some(5.0));
    assert_eq!(result.steps("poll"), ["poll: expected status 200 or 202, got 502: busy"], "told once");
}

#[tokio::test]
async fn a_job_that_is_not_known_three_times_is_lost() {
    let fal = script(&media_host().await).on(STATUS, [queued(1), reply(404, json!({"detail": "who?"}))]).start().await;
    let result = definition(&fal).attempt().await;
    let detail = result.assert_failed(Reason::JobLost, Blame::Target);
    assert!(detail.ends_with("got 404: who?"), "{detail}");
    assert_eq!(fal.requests(STATUS).len(), 4);
    assert!(fal.requests(CANCEL).is_empty(), "there is nothing to cancel");
}

#[tokio::test]
async fn a_new_state_is_waited_out_and_counted() {
    let media = media_host().await;
    let new = reply(202, json!({"status": "WARMING_UP"}));
    let fal = script(&media).on(STATUS, [new.clone(), new, completed(&json!({}))]).start().await;
    let result = definition(&fal).attempt().await;
    result.assert_ok();
    assert_eq!(result.findings.measure("unknown_states"), Some(2.0));
    assert_eq!(result.steps("unknown state"), ["`WARMING_UP`: taken for one of waiting"]);
}

#[tokio::test]
async fn a_job_that_stays_in_the_queue_is_cancelled() {
    let fal = script(&media_host().await).on(STATUS, [queued(7)]).start().await;
    let result = definition(&fal).with("queue_deadline: 3m", "queue_deadline: 1s").attempt().await;
    let detail = result.assert_failed(Reason::QueueStuck, Blame::Target);
    assert_eq!(detail, "still queued after 1s, at position 7");
    assert_cancelled(&fal, &result);
}

#[tokio::test]
async fn a_job_that_does_not_end_is_cancelled() {
    let fal = script(&media_host().await).on(STATUS, [queued(0), running()]).start().await;
    let result = definition(&fal).with("timeout: 10m", "timeout: 1500ms").attempt().await;
    let detail = result.assert_failed(Reason::JobExpired, Blame::Target);
    assert!(
        detail.starts_with("not done within 1s500ms: being worked on for ") && !detail.contains("position"),
        "{detail}"
    );
    assert_cancelled(&fal, &result);
    assert!(result.findings.measure("render").is_some(), "how far it came is kept");
}

#[tokio::test]
async fn the_balance_needs_a_key_of_its_own() {
    let media = media_host().await;
    let fal = script(&media).on(STATUS, [completed(&json!({}))]).start().await;
    let balance = reply(200, json!({"username": "u", "credits": {"current_balance": 24.5, "currency": "USD"}}));
    let billing = Script::keyed("authorization", "Key value-of-FAL_ADMIN_KEY");
    let billing = billing.on("GET /v1/account/billing?expand=credits", [balance]).start().await;
    let definition =
        definition(&fal).with("      #credits:", "      credits:").with("https://api.fal.ai", &billing.origin());
    let result = definition.attempt().await;
    result.assert_ok();
    assert_eq!(result.findings.measure("credit_balance"), Some(24.5));
    assert_eq!(billing.headers("x-fal-no-retry"), Vec::<String>::new(), "what is inherited stays at its origin");
}

fn assert_cancelled(fal: &StandIn, result: &ProbeResult) {
    assert_eq!(fal.requests(CANCEL).len(), 1);
    assert_eq!(result.steps("cancel"), ["the service answered 202"]);
}

fn definition(fal: &StandIn) -> Definition {
    Definition::shipped("fal").hasty().with("https://queue.fal.run", &fal.origin())
}

fn script(media: &StandIn) -> Script {
    let job = "{base}/fal-ai/pika/requests/r1";
    let submitted = json!({
        "status": "IN_QUEUE", "queue_position": 3, "request_id": "r1", "response_url": job,
        "status_url": format!("{job}/status"), "cancel_url": format!("{job}/cancel"),
    });
    Script::keyed("authorization", "Key value-of-FAL_KEY")
        .on(SUBMIT, [reply(200, submitted)])
        .on(STATUS, [queued(1), queued(0), running(), completed(&json!({}))])
        .on(RESULT, [result_at(media)])
        .on(CANCEL, [reply(202, json!({"status": "CANCELLATION_REQUESTED"}))])
}

fn queued(position: u32) -> Reply {
    reply(202, json!({"status": "IN_QUEUE", "request_id": "r1", "queue_position": position}))
}

fn running() -> Reply {
    let log = json!({"message": "rendering", "level": "INFO", "source": "USER", "timestamp": "2026-01-01T00:00:00Z"});
    reply(202, json!({"status": "IN_PROGRESS", "request_id": "r1", "logs": [log]}))
}

fn completed(more: &Value) -> Reply {
    let mut body = json!({"status": "COMPLETED", "request_id": "r1", "logs": [], "metrics": {"inference_time": 41.5}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    reply(200, body)
}

fn result_at(media: &StandIn) -> Reply {
    let url = media.url("/kite.mp4");
    reply(
        200,
        json!({"video": {"url": url, "content_type": "video/mp4", "file_name": "kite.mp4", "file_size": 68_978}}),
    )
}

const SUBMIT: &str = "POST /fal-ai/pika/v2.2/text-to-video";
const STATUS: &str = "GET /fal-ai/pika/requests/r1/status";
const RESULT: &str = "GET /fal-ai/pika/requests/r1";
const CANCEL: &str = "PUT /fal-ai/pika/requests/r1/cancel";
