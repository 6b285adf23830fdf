//! Stability: a picture goes in as a multipart body, the state is the status, and the answer in the end is the video.

use forewarn::model::reason::{Blame, Reason};
use futures_util::future::join_all;
use serde_json::json;

use super::definition::Definition;
use super::stand_in::{Reply, Script, StandIn, file, reply, video};
use crate::peers::probing::Inspect;
use crate::peers::tcp::header;

#[tokio::test]
async fn a_picture_becomes_a_video() {
    let stability = script().start().await;
    let result = definition(&stability).attempt().await;
    result.assert_ok();
    assert_eq!(stability.routes(), [BALANCE, SUBMIT, RESULT]);
    assert_eq!(result.findings.measure("polls"), Some(3.0));
    assert_eq!(result.findings.measure("credit_balance"), Some(879.5));
    assert_eq!(result.phases(), ["submit", "queue", "render", "result", "download"]);
    for request in stability.requests(RESULT) {
        assert_eq!(header(&request, "accept"), ["video/*"]);
        assert_eq!(header(&request, "content-type"), Vec::<&str>::new());
    }
}

#[tokio::test]
async fn the_body_has_its_parts() {
    let stability = script().start().await;
    definition(&stability).attempt().await.assert_ok();
    let request = stability.requests(SUBMIT).remove(0);
    let kind = header(&request, "content-type")[0];
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let parts: Vec<_> = body.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 6, "{body}");
    assert!(parts[1].contains("name=\"image\"; filename=\"kite.png\"\r\ncontent-type: image/png\r\n\r\n"));
    assert!(parts[1].contains("PNG\r\n") && parts[1].contains("IHDR"), "the picture itself, not its base64");
    assert!(parts[2].ends_with("name=\"seed\"\r\n\r\n7\r\n"), "{}", parts[2]);
    assert!(parts[3].ends_with("name=\"cfg_scale\"\r\n\r\n1.8\r\n"), "{}", parts[3]);
    assert_eq!(parts[5], "--\r\n");
}

#[tokio::test]
async fn every_bad_end_has_its_reason() {
    let gone = reply(404, json!({"id": "e", "name": "not_found", "errors": ["no such generation"]}));
    let filtered = video().header("finish-reason", "CONTENT_FILTERED");
    let broken = reply(500, json!({"id": "e", "name": "internal_error", "errors": ["oops"]}));
    let cases = [
        (gone, Reason::JobLost, Blame::Target, "no such generation"),
        (filtered, Reason::ContentRefused, Blame::Agent, ""),
        (file("video/mp4", Vec::new()), Reason::NoOutput, Blame::Target, "the answer is empty"),
        (broken, Reason::Unavailable, Blame::Target, "oops"),
    ];
    join_all(cases.map(async |(end, reason, blame, words)| {
        let stability = script().on(RESULT, [running(), end]).start().await;
        let result = definition(&stability).with("timeout: 10m", "timeout: 3s").attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.contains(words), "{detail}");
    }))
    .await;
}

#[tokio::test]
async fn a_refused_submission_says_why() {
    let cases = [
        (402, "payment_required", Reason::Quota, Blame::Agent),
        (403, "content_moderation", Reason::ContentRefused, Blame::Agent),
        (404, "not_found", Reason::HttpStatus, Blame::Target),
        (413, "payload_too_large", Reason::Config, Blame::Agent),
        (429, "rate_limit_exceeded", Reason::RateLimited, Blame::Target),
    ];
    join_all(cases.map(async |(status, name, reason, blame)| {
        let refusal = reply(status, json!({"id": "e", "name": name, "errors": ["that is why"]}));
        let stability = script().on(SUBMIT, [refusal]).start().await;
        let result = definition(&stability).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.contains("that is why"), "{detail}");
    }))
    .await;
}

fn definition(stability: &StandIn) -> Definition {
    Definition::shipped("stability").hasty().with("https://api.stability.ai", &stability.origin())
}

fn script() -> Script {
    Script::keyed("authorization", "Bearer value-of-STABILITY_API_KEY")
        .on(BALANCE, [reply(200, json!({"credits": 879.5}))])
        .on(SUBMIT, [reply(200, json!({"id": "a6dc"}))])
        .on(RESULT, [running(), running(), video().header("finish-reason", "SUCCESS")])
}

fn running() -> Reply {
    reply(202, json!({"id": "a6dc", "status": "in-progress"}))
}

const BALANCE: &str = "GET /v1/user/balance";
const SUBMIT: &str = "POST /v2beta/image-to-video";
const RESULT: &str = "GET /v2beta/image-to-video/result/a6dc";
