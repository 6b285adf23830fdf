//! How a job is followed: by asking in whatever way the API wants, or by its events.

use forewarn::model::reason::{Blame, Reason};
use serde_json::{Value, json};

use super::definition::Definition;
use super::ordinary::{CANCEL, JOB, SUBMIT, done, failed, job, queued, running, script};
use super::stand_in::{Reply, Script, file, media_host, reply, video_bytes};
use crate::peers::probing::Inspect;
use crate::peers::tcp::header;

const EVENTS: &str = "GET /jobs/j1/events";

fn events(events: &[Value]) -> Reply {
    let texts: Vec<_> = events.iter().map(|event| format!("event: state\ndata: {event}\n\n")).collect();
    file("text/event-stream", texts.concat().into_bytes())
}

#[tokio::test]
async fn a_stream_of_events_saves_the_asking() {
    let media = media_host().await;
    let url = media.url("/kite.mp4");
    let told = [
        json!({"status": "queued", "position": 2}),
        json!({"status": "running"}),
        json!({"status": "done", "url": url}),
    ];
    let service = script(&media).on(EVENTS, [events(&told)]).start().await;
    let mut settings = job(&service);
    settings["poll"]["stream"] = service.url("/jobs/{id}/events").into();
    let result = Definition::of(&settings).attempt().await;
    result.assert_ok();
    assert_eq!(service.routes(), [SUBMIT, EVENTS]);
    assert_eq!(header(&service.requests(EVENTS)[0], "accept"), ["text/event-stream"]);
    assert_eq!(service.headers("authorization").len(), 2);
    assert_eq!(result.findings.measure("position"), Some(2.0));
    assert_eq!(result.phases(), ["submit", "queue", "render", "result", "download"]);
}

#[tokio::test]
async fn a_stream_that_fails_is_replaced_by_asking() {
    for (stream, words) in [
        (events(&[json!({"status": "queued", "position": 1})]), "the stream ended before the job did; asking instead"),
        (reply(404, json!({})), "the stream answered 404; asking instead"),
    ] {
        let media = media_host().await;
        let service = script(&media).on(EVENTS, [stream]).on(JOB, [done(&media)]).start().await;
        let mut settings = job(&service);
        settings["poll"]["stream"] = service.url("/jobs/{id}/events").into();
        let result = Definition::of(&settings).attempt().await;
        result.assert_ok();
        assert_eq!(service.routes(), [SUBMIT, EVENTS, JOB]);
        assert_eq!(result.steps("stream"), [words]);
    }
}

#[tokio::test]
async fn an_event_may_tell_of_the_failure() {
    let told = events(&[json!({"status": "failed", "error": {"message": "no kite"}})]);
    let service = script(&media_host().await).on(EVENTS, [told]).start().await;
    let mut settings = job(&service);
    settings["poll"]["stream"] = service.url("/jobs/{id}/events").into();
    let result = Definition::of(&settings).attempt().await;
    assert_eq!(result.assert_failed(Reason::JobFailed, Blame::Target), "the job failed: no kite");
}

/// Vertex: the question is a POST with the operation's name in its body, the answer holds the video in base64.
#[tokio::test]
async fn the_question_may_be_a_post_and_the_answer_hold_the_video() {
    use base64::Engine as _;
    let video = base64::engine::general_purpose::STANDARD.encode(video_bytes());
    let name = "projects/p/locations/l/publishers/google/models/veo/operations/o1";
    let fetch = "POST /v1/models/veo:fetchPredictOperation";
    let videos = json!({"name": name, "done": true, "response": {"videos": [{"bytesBase64Encoded": video}]}});
    let service = Script::keyed("authorization", "Bearer value-of-KEY")
        .on("POST /v1/models/veo:predictLongRunning", [reply(200, json!({"name": name}))])
        .on(fetch, [reply(200, json!({"name": name})), reply(200, videos)])
        .start()
        .await;
    let mut settings = job(&service);
    settings["submit"]["url"] = service.url("/v1/models/veo:predictLongRunning").into();
    settings["job"] = json!({"operation": "$.name"});
    settings["poll"]["url"] = service.url("/v1/models/veo:fetchPredictOperation").into();
    settings["poll"]["json"] = json!({"operationName": "{operation}"});
    settings["state"] = json!({"from": "$.done", "absent": "running", "succeeded": "true"});
    settings["result"] = json!({"media": "$.response.videos[0].bytesBase64Encoded", "encoding": "base64"});
    settings.as_object_mut().unwrap().remove("cancel");
    Definition::of(&settings).attempt().await.assert_ok();
    let asked = service.requests(fetch);
    assert_eq!(asked.len(), 2);
    assert!(asked[0].ends_with(&format!("{{\"operationName\":\"{name}\"}}")), "{}", asked[0]);
}

#[tokio::test]
async fn the_address_may_be_in_a_header_whole_or_relative() {
    for location in ["{base}/jobs/j1", "/jobs/j1"] {
        let media = media_host().await;
        let accepted = reply(202, json!({})).header("location", location);
        let service = script(&media).on(SUBMIT, [accepted]).on(JOB, [done(&media)]).start().await;
        let mut settings = job(&service);
        settings["job"] = json!({"status_url": "header:location"});
        settings["poll"]["url"] = "{status_url}".into();
        settings["cancel"]["url"] = "{status_url}".into();
        Definition::of(&settings).attempt().await.assert_ok();
        assert_eq!(service.routes(), [SUBMIT, JOB], "{location}");
    }
}

#[tokio::test]
async fn the_status_may_be_the_state() {
    let gone = reply(410, json!({"message": "the kite flew away"}));
    let service = script(&media_host().await).on(JOB, [reply(202, json!(null)), gone]).start().await;
    let mut settings = job(&service);
    settings["poll"]["accept"] = json!(["200", "202", "410"]);
    settings["state"] = json!({"from": "http_status", "queued": "202", "succeeded": "200", "failed": "4xx"});
    let result = Definition::of(&settings).attempt().await;
    assert_eq!(result.assert_failed(Reason::JobFailed, Blame::Target), "the job failed: the kite flew away");
}

/// Some wrappers give progress as a number or as a word, in one field.
#[tokio::test]
async fn a_state_that_changes_its_type_is_compared_as_text() {
    let media = media_host().await;
    let progress = |value: Value| reply(200, json!({"progress": value, "url": media.url("/kite.mp4")}));
    let told = [progress(json!("queued")), progress(json!(40)), progress(json!(0.7)), progress(json!(100))];
    let service = script(&media).on(JOB, told).start().await;
    let mut settings = job(&service);
    settings["state"] = json!({"from": "$.progress", "queued": "queued", "succeeded": "100", "failed": "failed"});
    let result = Definition::of(&settings).attempt().await;
    result.assert_ok();
    assert_eq!(result.findings.measure("unknown_states"), Some(2.0));
    assert_eq!(result.steps("unknown state").len(), 2);
}

#[tokio::test]
async fn an_unknown_state_may_be_a_failure() {
    let service = script(&media_host().await).on(JOB, [reply(200, json!({"status": "weird"}))]).start().await;
    let mut settings = job(&service);
    settings["state"]["unknown"] = "failed".into();
    let result = Definition::of(&settings).attempt().await;
    let detail = result.assert_failed(Reason::JobFailed, Blame::Target);
    assert!(detail.starts_with("the state `weird` is not known"), "{detail}");
    assert_eq!(service.requests(CANCEL).len(), 1, "it may still be going on");
}

#[tokio::test]
async fn a_submission_may_be_answered_with_the_end() {
    let media = media_host().await;
    let finished = reply(201, json!({"id": "j1", "status": "done", "url": media.url("/kite.mp4")}));
    let service = script(&media).on(SUBMIT, [finished]).start().await;
    Definition::of(&job(&service)).attempt().await.assert_ok();
    assert_eq!(service.routes(), [SUBMIT]);
    let failed = reply(201, json!({"id": "j1", "status": "failed", "error": "no kite"}));
    let service = script(&media).on(SUBMIT, [failed]).start().await;
    let result = Definition::of(&job(&service)).attempt().await;
    assert_eq!(result.assert_failed(Reason::JobFailed, Blame::Target), "the job failed: no kite");
    assert_eq!(service.routes(), [SUBMIT]);
}

#[tokio::test]
async fn a_job_may_be_sent_back_to_the_queue() {
    let media = media_host().await;
    let service = script(&media).on(JOB, [queued(0), running(), queued(4), running(), done(&media)]).start().await;
    let result = Definition::of(&job(&service)).attempt().await;
    result.assert_ok();
    assert_eq!(result.steps("render"), ["sent back to the queue", "asked 5 times"]);
    assert_eq!(result.steps("queue"), ["last at position 0", "last at position 4"]);
}

#[tokio::test]
async fn a_job_that_was_never_seen_running_waited_as_long_as_it_was_seen_waiting() {
    let media = media_host().await;
    let service = script(&media).on(JOB, [queued(1), queued(0), done(&media)]).start().await;
    let result = Definition::of(&job(&service)).attempt().await;
    result.assert_ok();
    let stage = |name| result.findings.measure(name).unwrap();
    assert!(stage("queue") >= 0.45 && stage("render") >= 0.2, "{:?}", result.findings.measures);
}

#[tokio::test]
async fn a_stage_that_takes_too_long_degrades() {
    let media = media_host().await;
    let service = script(&media).start().await;
    let mut settings = job(&service);
    settings["warn"] = json!({"queue": "100ms", "total": "100ms"});
    let result = Definition::of(&settings).attempt().await;
    let failure = result.degraded();
    assert_eq!(failure.reason, Reason::Slow);
    assert!(failure.detail.starts_with("queue took "), "{}", failure.detail);
}

#[tokio::test]
async fn questions_that_are_refused_end_the_job() {
    let refused = reply(401, json!({"detail": "expired"}));
    let service = script(&media_host().await).on(JOB, [refused]).start().await;
    let result = Definition::of(&job(&service)).attempt().await;
    let detail = result.assert_failed(Reason::Auth, Blame::Target);
    assert_eq!(detail, "poll: expected status 2xx, got 401: expired");
    assert_eq!((service.requests(JOB).len(), service.requests(CANCEL).len()), (3, 1));
}

#[tokio::test]
async fn what_is_called_ours_must_be_said_three_times_and_a_refusal_of_content_once() {
    let service = script(&media_host().await).on(JOB, [reply(402, json!({"detail": "pay"}))]).start().await;
    let result = Definition::of(&job(&service)).attempt().await;
    result.assert_failed(Reason::Quota, Blame::Agent);
    assert_eq!((service.requests(JOB).len(), service.requests(CANCEL).len()), (3, 1));
    let service = script(&media_host().await).on(JOB, [failed("nsfw")]).start().await;
    let mut settings = job(&service);
    settings["classify"] = json!([{"path": "$.error", "matches": "nsfw", "as": "content"}]);
    let result = Definition::of(&settings).attempt().await;
    assert_eq!(result.assert_failed(Reason::ContentRefused, Blame::Agent), "status 200: nsfw");
}

/// What is left of its time in the queue is what it has, not nothing.
#[tokio::test]
async fn a_job_that_is_sent_back_to_the_queue_has_the_time_that_is_left() {
    let media = media_host().await;
    let answers = [queued(1), running(), running(), running(), running(), queued(2), running(), done(&media)];
    let service = script(&media).on(JOB, answers).start().await;
    let mut settings = job(&service);
    settings["queue_deadline"] = "1500ms".into();
    Definition::of(&settings).attempt().await.assert_ok();
}

#[tokio::test]
async fn the_status_that_is_a_state_need_not_be_accepted_as_well() {
    let service = script(&media_host().await).on(JOB, [reply(422, json!({"detail": "no kite"}))]).start().await;
    let mut settings = job(&service);
    settings["state"] = json!({"from": "http_status", "running": "202", "succeeded": "200", "failed": "4xx"});
    settings["result"] = json!({"media": "body"});
    let result = Definition::of(&settings).attempt().await;
    assert_eq!(result.assert_failed(Reason::JobFailed, Blame::Target), "the job failed: no kite");
    assert_eq!(service.requests(JOB).len(), 1);
}
