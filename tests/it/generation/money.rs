//! What jobs cost: budgets that hold, and credit that must come back.

use std::sync::Arc;

use forewarn::app::Desk;
use forewarn::model::reason::{Blame, Reason};
use serde_json::{Value, json};

use super::definition::Definition;
use super::ordinary::{CANCEL, JOB, SUBMIT, done, failed, job, running, script};
use super::stand_in::{Reply, Script, StandIn, media_host, reply};
use crate::peers::probing::Inspect;

const BALANCE: &str = "GET /balance";

fn budget(per_day: f64, account: &str) -> Value {
    json!({"per_run": 0.2, "per_day": per_day, "account": account})
}

async fn quick() -> StandIn {
    let media = media_host().await;
    let finished = reply(200, json!({"id": "j1", "status": "done"}));
    script(&media).on(SUBMIT, [finished]).start().await
}

/// The ordinary job without its video.
fn without_video(service: &StandIn) -> Value {
    let mut settings = job(service);
    for key in ["result", "media"] {
        settings.as_object_mut().unwrap().remove(key);
    }
    settings
}

#[tokio::test]
async fn probes_may_share_an_account() {
    let service = quick().await;
    let desk: Arc<Desk> = Arc::default();
    let mut settings = without_video(&service);
    settings["budget"] = budget(0.4, "studio");
    let (first, second) = (Definition::named("first", &settings), Definition::named("second", &settings));
    first.attempt_at(&desk).await.assert_ok();
    second.attempt_at(&desk).await.assert_ok();
    let result = first.attempt_at(&desk).await;
    let detail = result.assert_failed(Reason::Budget, Blame::Agent);
    assert!(detail.starts_with("0.40 of 0.40 USD a day are spent (probe/studio); nothing was submitted"), "{detail}");
    assert_eq!(result.findings.measure("spent"), None);
    assert_eq!(service.requests(SUBMIT).len(), 2);
}

#[tokio::test]
async fn the_agent_has_a_budget_for_all_its_probes() {
    let service = quick().await;
    let desk: Arc<Desk> = Arc::default();
    let mut settings = without_video(&service);
    settings["budget"] = json!({"per_run": 0.2});
    let agent = |name| {
        Definition::named(name, &settings).with("{\"probes\"", "{\"agent\":{\"budget\":{\"USD\":0.3}},\"probes\"")
    };
    agent("first").attempt_at(&desk).await.assert_ok();
    let result = agent("second").attempt_at(&desk).await;
    let detail = result.assert_failed(Reason::Budget, Blame::Agent);
    assert!(detail.starts_with("0.20 of 0.30 USD a day are spent (agent)"), "{detail}");
}

#[tokio::test]
async fn what_cannot_have_cost_is_given_back() {
    let desk: Arc<Desk> = Arc::default();
    let strict = Script::keyed("authorization", "Bearer another").start().await;
    let mut settings = without_video(&strict);
    settings["budget"] = budget(0.2, "studio");
    for _ in 0..2 {
        Definition::of(&settings).attempt_at(&desk).await.assert_failed(Reason::Auth, Blame::Target);
    }
    let gone = settings.to_string().replace(&strict.origin(), "http://127.0.0.1:1");
    let gone: Value = serde_json::from_str(&gone).unwrap();
    for _ in 0..2 {
        Definition::of(&gone).attempt_at(&desk).await.assert_failed(Reason::Connect, Blame::Target);
    }
    let service = quick().await;
    let mut settings = without_video(&service);
    settings["budget"] = budget(0.2, "studio");
    Definition::of(&settings).attempt_at(&desk).await.assert_ok();
    Definition::of(&settings).attempt_at(&desk).await.assert_failed(Reason::Budget, Blame::Agent);
}

#[tokio::test]
async fn what_may_have_cost_stays_counted() {
    let desk: Arc<Desk> = Arc::default();
    let service = quick().await;
    let broken = script(&service).on(SUBMIT, [reply(500, json!({}))]).start().await;
    let mut settings = without_video(&broken);
    settings["budget"] = budget(0.2, "studio");
    Definition::of(&settings).attempt_at(&desk).await.assert_failed(Reason::Unavailable, Blame::Target);
    Definition::of(&settings).attempt_at(&desk).await.assert_failed(Reason::Budget, Blame::Agent);
}

/// Behind a redirect the refusal is that of another request, and the job may have been taken.
#[tokio::test]
async fn a_refusal_behind_a_redirect_gives_nothing_back() {
    let moved = reply(303, json!({})).header("location", "/elsewhere");
    let service = Script::default().on(SUBMIT, [moved]).start().await;
    let desk: Arc<Desk> = Arc::default();
    let mut settings = without_video(&service);
    settings["budget"] = budget(0.2, "studio");
    Definition::of(&settings).attempt_at(&desk).await.assert_failed(Reason::HttpStatus, Blame::Target);
    Definition::of(&settings).attempt_at(&desk).await.assert_failed(Reason::Budget, Blame::Agent);
    assert_eq!(service.requests(SUBMIT).len(), 1);
}

/// A service that does not agree to cancel owes nothing.
#[tokio::test]
async fn a_job_that_cannot_be_cancelled_any_more_owes_no_credit() {
    let media = media_host().await;
    let service = script(&media).on(JOB, [running()]).on(CANCEL, [reply(409, json!({"detail": "running"}))]);
    let service = service.on(BALANCE, [balance(10.0), balance(9.0)]).start().await;
    let result = with_credits(&service, "1s").with("\"10s\"", "\"1s\"").attempt().await;
    result.assert_failed(Reason::JobExpired, Blame::Target);
    assert_eq!(service.requests(CANCEL).len(), 1);
}

fn balance(credits: f64) -> Reply {
    reply(200, json!({"credits": credits}))
}

fn with_credits(service: &StandIn, refund_within: &str) -> Definition {
    let mut settings = job(service);
    settings["credits"] = json!({
        "url": service.url("/balance"), "balance": "$.credits", "refunded_on_failure": true,
        "refund_within": refund_within,
    });
    Definition::of(&settings)
}

#[tokio::test]
async fn credit_may_come_back_late() {
    let media = media_host().await;
    let balances = [balance(24.5), balance(24.3), balance(24.5)];
    let service = script(&media).on(JOB, [failed("no kite")]).on(BALANCE, balances).start().await;
    let result = with_credits(&service, "5s").attempt().await;
    assert_eq!(result.assert_failed(Reason::JobFailed, Blame::Target), "the job failed: no kite");
    assert_eq!(service.requests(BALANCE).len(), 3);
    assert_eq!(result.findings.measure("credit_balance"), Some(24.5));
    assert_eq!(result.findings.measure("credits_lost"), None);
}

#[tokio::test]
async fn credit_that_does_not_come_back_is_the_failure() {
    let media = media_host().await;
    let balances = [balance(24.5), balance(24.3)];
    let service = script(&media).on(JOB, [failed("no kite")]).on(BALANCE, balances).start().await;
    let result = with_credits(&service, "1s").attempt().await;
    let detail = result.assert_failed(Reason::CreditsLost, Blame::Target);
    assert_eq!(
        detail,
        "0.20 taken and not returned within 1.00s, for a job that failed: job_failed: the job failed: no kite"
    );
    let lost = result.findings.measure("credits_lost").unwrap();
    assert!((lost - 0.2).abs() < 1e-9, "{lost}");
}

#[tokio::test]
async fn credit_for_a_job_that_was_given_up_must_come_back_too() {
    let media = media_host().await;
    let balances = [balance(24.5), balance(24.3)];
    let service = script(&media).on(JOB, [running()]).on(BALANCE, balances).start().await;
    let result = with_credits(&service, "1s").with("\"10s\"", "\"1s\"").attempt().await;
    let detail = result.assert_failed(Reason::CreditsLost, Blame::Target);
    assert!(detail.contains("for a job that failed: job_expired: "), "{detail}");
}

#[tokio::test]
async fn credit_is_not_asked_for_where_none_is_owed() {
    let media = media_host().await;
    let refused = reply(422, json!({"detail": "nsfw"}));
    let gone = reply(200, json!({"status": "done", "url": media.url("/missing.mp4")}));
    let submitted = reply(200, json!({"id": "j1"}));
    for (submission, end, reason, blame) in [
        (refused, running(), Reason::HttpStatus, Blame::Target),
        (submitted.clone(), reply(402, json!({})), Reason::Quota, Blame::Agent),
        (submitted, gone, Reason::HttpStatus, Blame::Target),
    ] {
        let service = script(&media).on(SUBMIT, [submission]).on(JOB, [end]).on(BALANCE, [balance(24.5)]).start().await;
        with_credits(&service, "1s").attempt().await.assert_failed(reason, blame);
        assert_eq!(service.requests(BALANCE).len(), 1, "{reason}: before the job alone");
    }
    let service = script(&media).on(JOB, [done(&media)]).on(BALANCE, [balance(24.5)]).start().await;
    with_credits(&service, "1s").attempt().await.assert_ok();
    assert_eq!(service.requests(BALANCE).len(), 1);
}
