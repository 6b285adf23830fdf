//! Veo by the Gemini API: an operation that is done or says nothing, and whose video wants the key.

use forewarn::model::reason::{Blame, Reason};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::definition::Definition;
use super::stand_in::{Reply, Script, StandIn, media_host, reply, video};
use crate::peers::probing::Inspect;

#[tokio::test]
async fn an_operation_is_done_and_its_video_fetched_with_the_key() {
    let veo = script().start().await;
    let result = definition(&veo).attempt().await;
    result.assert_ok();
    assert_eq!(veo.routes(), [SUBMIT, OPERATION, FILE, DOWNLOAD], "the name stands in the address as it is");
    assert_eq!(veo.headers("x-goog-api-key").len(), 6, "in every request, over the redirect too");
    assert_eq!(result.phases(), ["submit", "queue", "render", "result", "download"]);
    assert_eq!(result.fact("job"), NAME);
}

#[tokio::test]
async fn the_key_does_not_follow_to_another_host() {
    let media = media_host().await;
    let elsewhere = reply(302, json!({})).header("location", &media.url("/kite.mp4"));
    let veo = script().on(FILE, [elsewhere]).start().await;
    definition(&veo).attempt().await.assert_ok();
    assert_eq!(media.routes(), ["GET /kite.mp4"]);
    assert_eq!(media.headers("x-goog-api-key"), Vec::<String>::new());
}

#[tokio::test]
async fn the_key_goes_to_another_origin_only_where_that_is_trusted() {
    for is_trusted in [false, true] {
        let storage = Script::default().on("GET /kite.mp4", [video()]).start().await;
        let veo = script().on(OPERATION, [done(&sample(&storage.url("/kite.mp4")))]).start().await;
        let mut definition = definition(&veo);
        if is_trusted {
            definition =
                definition.with("#trusted: https://storage.googleapis.com", &format!("trusted: {}", storage.origin()));
        }
        definition.attempt().await.assert_ok();
        assert_eq!(storage.headers("x-goog-api-key").len(), usize::from(is_trusted));
    }
}

#[tokio::test]
async fn done_is_not_success() {
    let rai = json!({"response": {"generateVideoResponse": {
        "raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["Sorry, the prompt looks unsafe."],
    }}});
    let error = |code: u32, message: &str| json!({"error": {"code": code, "message": message}});
    let cases = [
        (json!({"response": {"generateVideoResponse": {}}}), Reason::NoOutput, Blame::Target, "generatedSamples"),
        (
            json!({"response": {"generateVideoResponse": {"generatedSamples": []}}}),
            Reason::NoOutput,
            Blame::Target,
            "there is none",
        ),
        (rai, Reason::ContentRefused, Blame::Agent, "Sorry, the prompt looks unsafe."),
        (error(13, "Video generation failed."), Reason::JobFailed, Blame::Target, "Video generation failed."),
        (error(8, "Resource exhausted."), Reason::RateLimited, Blame::Target, "Resource exhausted."),
        (error(3, "Words that violate our usage guidelines."), Reason::ContentRefused, Blame::Agent, "violate"),
    ];
    join_all(cases.map(async |(more, reason, blame, words)| {
        let veo = script().on(OPERATION, [pending(), done(&more)]).start().await;
        let result = definition(&veo).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.contains(words), "{detail}");
    }))
    .await;
}

#[tokio::test]
async fn a_refused_submission_says_why() {
    let invalid = json!({
        "code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid.",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
    });
    let quota = json!({"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota."});
    let busy = json!({"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Slow down."});
    let billing = json!({"code": 400, "status": "FAILED_PRECONDITION", "message": "Billing is off."});
    let wrong = json!({"code": 400, "status": "INVALID_ARGUMENT", "message": "durationSeconds is out of bound."});
    let cases = [
        (400, invalid, Reason::Auth, Blame::Target),
        (429, quota, Reason::Quota, Blame::Agent),
        (429, busy, Reason::RateLimited, Blame::Target),
        (400, billing, Reason::Quota, Blame::Agent),
        (400, wrong, Reason::Config, Blame::Agent),
        (503, json!({"code": 503, "message": "overloaded"}), Reason::Unavailable, Blame::Target),
    ];
    join_all(cases.map(async |(status, error, reason, blame)| {
        let words = error["message"].as_str().unwrap().to_owned();
        let veo = script().on(SUBMIT, [reply(status, json!({"error": error}))]).start().await;
        let result = definition(&veo).attempt().await;
        let detail = result.assert_failed(reason, blame);
        assert!(detail.contains(&words), "{detail}");
    }))
    .await;
}

#[tokio::test]
async fn an_operation_that_does_not_end_cannot_be_cancelled() {
    let veo = script().on(OPERATION, [pending()]).start().await;
    let result = definition(&veo).with("timeout: 10m", "timeout: 1s").attempt().await;
    result.assert_failed(Reason::JobExpired, Blame::Target);
    assert_eq!(veo.routes(), [SUBMIT, OPERATION]);
    assert_eq!(result.findings.measure("spent"), Some(0.6));
}

fn definition(veo: &StandIn) -> Definition {
    Definition::shipped("veo-gemini").hasty().with("https://generativelanguage.googleapis.com", &veo.origin())
}

fn script() -> Script {
    let found = reply(302, json!({})).header("location", "/download/v1beta/files/f1:download?alt=media");
    Script::keyed("x-goog-api-key", "value-of-GEMINI_API_KEY")
        .on(SUBMIT, [reply(200, json!({"name": NAME}))])
        .on(
            OPERATION,
            [
                pending(),
                reply(200, json!({"name": NAME, "done": false})),
                done(&sample("{base}/v1beta/files/f1:download?alt=media")),
            ],
        )
        .on(FILE, [found])
        .on(DOWNLOAD, [video()])
}

fn pending() -> Reply {
    reply(200, json!({"name": NAME}))
}

fn done(more: &Value) -> Reply {
    let mut body = json!({"name": NAME, "done": true});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    reply(200, body)
}

fn sample(uri: &str) -> Value {
    json!({"response": {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": uri}}]}}})
}

const NAME: &str = "models/veo-3.1-fast-generate-preview/operations/o1";
const SUBMIT: &str = "POST /v1beta/models/veo-3.1-fast-generate-preview:predictLongRunning";
const OPERATION: &str = "GET /v1beta/models/veo-3.1-fast-generate-preview/operations/o1";
const FILE: &str = "GET /v1beta/files/f1:download?alt=media";
const DOWNLOAD: &str = "GET /download/v1beta/files/f1:download?alt=media";
