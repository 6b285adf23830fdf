//! Where the video is once the job is called done, and what may be wrong with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use forewarn::model::reason::{Blame, Reason};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::definition::Definition;
use super::ordinary::{CANCEL, JOB, SUBMIT, done, job, running, script};
use super::stand_in::{Script, file, media_host, reply, video, video_bytes};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Act, Peer, say};

#[tokio::test]
async fn a_video_may_come_in_base64() {
    let video = BASE64.encode(video_bytes());
    let cases = [
        (video.clone(), None),
        (format!("data:video/mp4;base64,{video}"), None),
        ("a kite!".to_owned(), Some("expected the video in base64")),
        (BASE64.encode("a kite"), Some("")),
    ];
    join_all(cases.map(async |(text, wrong)| {
        let end = reply(200, json!({"status": "done", "video": text}));
        let service = script(&media_host().await).on(JOB, [end]).start().await;
        let mut settings = job(&service);
        settings["result"] = json!({"media": "$.video", "encoding": "base64"});
        let result = Definition::of(&settings).attempt().await;
        match wrong {
            None => drop(result.assert_ok()),
            Some(words) => assert!(result.assert_failed(Reason::NotPlayable, Blame::Target).contains(words)),
        }
    }))
    .await;
}

#[tokio::test]
async fn all_videos_are_checked_if_asked_for() {
    let cases = [
        (vec!["/kite.mp4", "/kite.mp4"], None),
        (vec!["/kite.mp4", "/missing.mp4"], Some(Reason::HttpStatus)),
        (vec!["/kite.mp4", "/page.html"], Some(Reason::NotPlayable)),
    ];
    join_all(cases.map(async |(paths, wrong)| {
        let page = file("text/html", b"<html>sorry</html>".to_vec());
        let media = Script::default().on("GET /kite.mp4", [video()]).on("GET /page.html", [page]).start().await;
        let videos: Vec<_> = paths.iter().map(|path| json!({"url": media.url(path)})).collect();
        let end = reply(200, json!({"status": "done", "videos": videos}));
        let service = script(&media).on(JOB, [end]).start().await;
        let mut settings = job(&service);
        settings["result"] = json!({"media": "$.videos[*].url"});
        Definition::of(&settings).attempt().await.assert_ok();
        assert_eq!(media.requests("GET /kite.mp4").len(), 1, "the first alone");
        settings["result"]["all"] = true.into();
        let result = Definition::of(&settings).attempt().await;
        match wrong {
            None => drop(result.assert_ok()),
            Some(reason) => drop(result.assert_failed(reason, Blame::Target)),
        }
        assert!(service.requests(CANCEL).is_empty(), "the job itself is over");
    }))
    .await;
}

/// `OpenAI`: the result is no address but an address of the API's that gives the bytes, with the key.
#[tokio::test]
async fn the_bytes_may_lie_behind_the_key() {
    let content = "GET /v1/videos/v1/content";
    let state = |status: &str| json!({"id": "v1", "object": "video", "status": status, "progress": 0, "created_at": 1});
    let service = Script::keyed("authorization", "Bearer value-of-KEY")
        .on("POST /v1/videos", [reply(200, state("queued"))])
        .on("GET /v1/videos/v1", ["queued", "in_progress", "completed"].map(|status| reply(200, state(status))))
        .on(content, [video()])
        .on("DELETE /v1/videos/v1", [reply(200, json!({"deleted": true}))])
        .start()
        .await;
    let mut settings = job(&service);
    settings["submit"]["url"] = service.url("/v1/videos").into();
    settings["poll"]["url"] = service.url("/v1/videos/{id}").into();
    settings["state"] = json!({"from": "$.status", "queued": "queued", "running": "in_progress", "succeeded": "completed", "failed": "failed"});
    settings["result"] = json!({"url": service.url("/v1/videos/{id}/content"), "media": "body"});
    settings["cancel"]["url"] = service.url("/v1/videos/{id}").into();
    settings["cleanup"] = json!({"method": "DELETE", "url": service.url("/v1/videos/{id}")});
    let result = Definition::of(&settings).attempt().await;
    result.assert_ok();
    assert_eq!(service.routes(), ["POST /v1/videos", "GET /v1/videos/v1", content, "DELETE /v1/videos/v1"]);
    assert_eq!(result.steps("cleanup"), ["the service answered 200"]);
}

#[tokio::test]
async fn an_address_may_be_relative_and_must_be_one() {
    let cases = [
        ("/kite.mp4", None),
        ("../kite.mp4", None),
        ("file:///etc/passwd", Some("the video's address begins with `file:`")),
        ("http://", Some("the video's address is none")),
        ("", Some("expected a video at $.url, there is none")),
    ];
    join_all(cases.map(async |(url, wrong)| {
        let end = reply(200, json!({"status": "done", "url": url}));
        let service = script(&media_host().await).on(JOB, [end]).on("GET /kite.mp4", [video()]).start().await;
        let mut settings = job(&service);
        settings["result"]["send_key"] = true.into();
        let result = Definition::of(&settings).attempt().await;
        match wrong {
            None => drop(result.assert_ok()),
            Some(words) => {
                let detail = result.assert_failed(Reason::NoOutput, Blame::Target);
                assert!(detail.contains(words), "{detail}");
            }
        }
    }))
    .await;
}

#[tokio::test]
async fn a_result_that_says_nothing_useful_is_told() {
    let page = file("text/html", b"<html>come back later</html>".to_vec());
    let cases = [
        (page, Reason::Assertion, "expected JSON in the answer, got `<html>come back later</html>`"),
        (reply(200, json!({"video": null, "message": "sorry"})), Reason::NoOutput, "there is none: sorry"),
        (reply(200, json!({"video": {"url": ["a", "b"]}})), Reason::NoOutput, "there is none"),
    ];
    join_all(cases.map(async |(answer, reason, words)| {
        let service = script(&media_host().await).on("GET /jobs/j1/result", [answer]);
        let service = service.on(JOB, [reply(200, json!({"status": "done"}))]).start().await;
        let mut settings = job(&service);
        settings["result"] = json!({"url": service.url("/jobs/{id}/result"), "media": "$.video.url"});
        let result = Definition::of(&settings).attempt().await;
        let detail = result.assert_failed(reason, Blame::Target);
        assert!(detail.contains(words), "{detail}");
    }))
    .await;
}

#[tokio::test]
async fn a_download_that_fails_is_told_apart_from_the_job() {
    let head =
        |length: usize| say(format!("HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: {length}\r\n\r\n"));
    let video = video_bytes();
    let cut = vec![Act::Hear, head(video.len()), say(&video[..30_000])];
    let expired = say("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    let cases: [(Vec<Act>, Reason); 3] = [
        (cut, Reason::Truncated),
        (vec![Act::Hear, expired], Reason::Auth),
        (vec![Act::Hear, Act::Reset], Reason::Network),
    ];
    join_all(cases.map(async |(acts, reason)| {
        let media = Peer::playing(acts).await;
        let end = reply(200, json!({"status": "done", "url": media.url("/kite.mp4")}));
        let service = script(&media_host().await).on(JOB, [end]).start().await;
        let result = Definition::of(&job(&service)).attempt().await;
        let detail = result.assert_failed(reason, Blame::Target);
        assert!(detail.starts_with("download: "), "{detail}");
        assert_eq!(service.routes(), [SUBMIT, JOB]);
    }))
    .await;
}

#[tokio::test]
async fn a_video_that_does_not_come_in_time_is_no_expired_job() {
    let media = Peer::playing([Act::Hear, say("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nx"), Act::Hang]).await;
    let end = reply(200, json!({"status": "done", "url": media.url("/kite.mp4")}));
    let service = script(&media_host().await).on(JOB, [end]).start().await;
    let result = Definition::of(&job(&service)).with("\"10s\"", "\"1s\"").attempt().await;
    let detail = result.assert_failed(Reason::Timeout, Blame::Target);
    assert!(detail.starts_with("the job is done and its video did not come within 1s: "), "{detail}");
    assert!(service.requests(CANCEL).is_empty());
}

#[tokio::test]
async fn a_guard_tells_what_is_missing_from_what_is_wrong() {
    let media = media_host().await;
    let rules = json!([{"path": "$.seconds", "at_least": 5}, {"path": "$.url"}]);
    let cases = [
        (json!({"status": "done", "seconds": 5, "url": media.url("/kite.mp4")}), None),
        (
            json!({"status": "done", "seconds": 2, "url": "x"}),
            Some((Reason::JobFailed, "called done, but expected $.seconds")),
        ),
        (
            json!({"status": "done", "seconds": 5}),
            Some((Reason::NoOutput, "called done, but expected a value at $.url")),
        ),
    ];
    join_all(cases.map(async |(end, wrong)| {
        let service = script(&media).on(JOB, [running(), reply(200, end)]).start().await;
        let mut settings = job(&service);
        settings["succeeded_if"] = rules.clone();
        let result = Definition::of(&settings).attempt().await;
        match wrong {
            None => drop(result.assert_ok()),
            Some((reason, words)) => {
                let detail = result.assert_failed(reason, Blame::Target);
                assert!(detail.starts_with(words), "{detail}");
            }
        }
    }))
    .await;
}

#[tokio::test]
async fn without_a_result_the_job_alone_is_watched() {
    let media = media_host().await;
    let service = script(&media).on(JOB, [done(&media)]).start().await;
    let mut settings: Value = job(&service);
    for key in ["result", "media"] {
        settings.as_object_mut().unwrap().remove(key);
    }
    let result = Definition::of(&settings).attempt().await;
    result.assert_ok();
    assert_eq!(result.phases(), ["submit", "queue", "render"]);
    assert!(media.routes().is_empty());
}
