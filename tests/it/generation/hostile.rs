//! Answers that are made to hurt: each costs little and ends in a sentence.

use std::time::Duration;

use forewarn::model::reason::{Blame, Reason};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::definition::Definition;
use super::ordinary::{CANCEL, JOB, SUBMIT, done, failed, job, running, script};
use super::stand_in::{file, media_host, reply};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Act, Peer, say};

#[tokio::test]
async fn a_job_whose_next_address_cannot_be_made_ends_at_once() {
    let cases = [
        (json!({"id": "../../x"}), "the service's id `../../x` would leave its place"),
        (json!({"id": "a/../../b"}), "would leave its place"),
    ];
    join_all(cases.map(async |(answer, words)| {
        let service = script(&media_host().await).on(SUBMIT, [reply(200, answer)]).start().await;
        let result = Definition::of(&job(&service)).attempt().await;
        let detail = result.assert_failed(Reason::Protocol, Blame::Target);
        assert!(detail.contains(words), "{detail}");
        assert_eq!(service.routes(), [SUBMIT]);
        assert!(result.took < Duration::from_secs(2), "{:?}", result.took);
    }))
    .await;
}

#[tokio::test]
async fn an_address_that_leads_nowhere_good_ends_the_job_at_once() {
    let cases = [
        json!("file:///etc/passwd"),
        json!("javascript:alert(1)"),
        json!("/relative"),
        json!("http://user:password@127.0.0.1/"),
        json!("http://[::1"),
        json!(7),
        json!(null),
    ];
    join_all(cases.map(async |url| {
        let started = reply(200, json!({"id": "j1", "status_url": url}));
        let service = script(&media_host().await).on(SUBMIT, [started]).start().await;
        let mut settings = job(&service);
        settings["job"] = json!({"id": "$.id", "status_url": "$.status_url"});
        settings["poll"]["url"] = "{status_url}".into();
        let result = Definition::of(&settings).attempt().await;
        let detail = result.assert_failed(Reason::Protocol, Blame::Target);
        assert!(detail.starts_with("poll: the service"), "{detail}");
        assert_eq!(service.routes(), [SUBMIT, CANCEL], "{url}");
        assert!(!detail.contains("password"), "{detail}");
    }))
    .await;
}

#[tokio::test]
async fn a_submission_that_is_answered_with_too_much_is_refused() {
    let huge = json!({"id": "j1", "padding": "x".repeat(2 << 20)});
    let deep = file("application/json", ["[".repeat(200_000), "]".repeat(200_000)].concat().into_bytes());
    let cases = [
        (reply(200, huge), Reason::BodyTooLarge, "larger than max_body, 1MiB"),
        (reply(200, json!({"id": "x".repeat(5000)})), Reason::Protocol, "got of 5000 bytes"),
        (reply(200, json!({"id": {"a": 1}})), Reason::Protocol, "got a list or an object"),
        (deep, Reason::Protocol, "the answer gives none of id"),
    ];
    join_all(cases.map(async |(answer, reason, words)| {
        let service = script(&media_host().await).on(SUBMIT, [answer]).start().await;
        let result = Definition::of(&job(&service)).attempt().await;
        let detail = result.assert_failed(reason, Blame::Target);
        assert!(detail.contains(words), "{detail}");
        assert_eq!(service.routes(), [SUBMIT]);
    }))
    .await;
}

#[tokio::test]
async fn a_submission_whose_answer_never_ends_is_cut_off() {
    let endless = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
    let headers = [b"HTTP/1.1 200 OK\r\nx-a: ".to_vec(), vec![b'x'; 10 << 20], b"\r\n\r\n".to_vec()].concat();
    let cases: [(Vec<Act>, Reason); 3] = [
        (vec![Act::Hear, say(endless), Act::Repeat(vec![b' '; 65_536])], Reason::BodyTooLarge),
        (vec![Act::Hear, Act::Say(headers)], Reason::Protocol),
        (vec![Act::Hear, say(endless), Act::Drip(b" ".to_vec())], Reason::Timeout),
    ];
    join_all(cases.map(async |(acts, reason)| {
        let peer = Peer::playing(acts).await;
        let service = script(&media_host().await).start().await;
        let mut settings = job(&service);
        settings["submit"]["url"] = peer.url("/jobs").into();
        settings["submit"]["timeout"] = "1s".into();
        let result = Definition::of(&settings).attempt().await;
        let detail = result.assert_failed(reason, Blame::Target);
        assert!(detail.ends_with("whether a job was started cannot be told"), "{detail}");
        assert_eq!(peer.requests().len(), 1);
        assert!(result.took < Duration::from_secs(5), "{:?}", result.took);
    }))
    .await;
}

#[tokio::test]
async fn answers_about_a_job_that_say_nothing_end_with_its_time() {
    let huge = reply(200, json!({"status": "running", "padding": "x".repeat(2 << 20)}));
    let page = file("text/html", b"<html>".to_vec());
    let cases = [
        (huge, Reason::BodyTooLarge, "the last "),
        (page, Reason::JobExpired, "not done within 2s: in the unknown state `missing` for "),
    ];
    join_all(cases.map(async |(answer, reason, words)| {
        let service = script(&media_host().await).on(JOB, [answer]).start().await;
        let result = Definition::of(&job(&service)).with("\"10s\"", "\"2s\"").attempt().await;
        let detail = result.assert_failed(reason, Blame::Target);
        assert!(detail.contains(words), "{detail}");
        assert_eq!(service.requests(CANCEL).len(), 1);
    }))
    .await;
}

#[tokio::test]
async fn an_answer_about_a_job_that_drips_ends_with_its_time() {
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let peer = Peer::playing([Act::Hear, say(head), Act::Drip(b" ".to_vec())]).await;
    let started = reply(200, json!({"id": "j1", "status_url": peer.url("/")}));
    let service = script(&media_host().await).on(SUBMIT, [started]).start().await;
    let mut settings = job(&service);
    settings["job"] = json!({"id": "$.id", "status_url": "$.status_url"});
    settings["poll"]["url"] = "{status_url}".into();
    let result = Definition::of(&settings).with("\"10s\"", "\"1s\"").attempt().await;
    result.assert_failed(Reason::JobExpired, Blame::Target);
    assert!(result.took < Duration::from_secs(3), "{:?}", result.took);
    assert_eq!(service.routes(), [SUBMIT, CANCEL]);
}

#[tokio::test]
async fn a_stream_that_never_ends_is_left_for_asking() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    for flood in [": ping\n\n".repeat(8000), "data: {\"status\":\"running\"}".repeat(3000)] {
        let peer = Peer::playing([Act::Hear, say(head), Act::Repeat(flood.into_bytes())]).await;
        let media = media_host().await;
        let started = reply(200, json!({"id": "j1", "events": peer.url("/")}));
        let service = script(&media).on(SUBMIT, [started]).on(JOB, [done(&media)]).start().await;
        let mut settings = job(&service);
        settings["job"] = json!({"id": "$.id", "events": "$.events"});
        settings["poll"]["stream"] = "{events}".into();
        let result = Definition::of(&settings).attempt().await;
        result.assert_ok();
        assert_eq!(service.routes(), [SUBMIT, JOB]);
        assert!(result.steps("stream")[0].ends_with("; asking instead"), "{:?}", result.steps("stream"));
    }
}

#[tokio::test]
async fn patience_is_not_without_end() {
    join_all(["99999999999", "1e308", "-5", "inf", "NaN", "soon", "Fri, 31 Dec 9999 23:59:59 GMT"].map(async |hint| {
        let media = media_host().await;
        let slow = running().header("retry-after", hint);
        let service = script(&media).on(JOB, [slow]).start().await;
        let result = Definition::of(&job(&service)).with("\"10s\"", "\"1s\"").attempt().await;
        result.assert_failed(Reason::JobExpired, Blame::Target);
        assert!(result.took < Duration::from_secs(2), "{hint}: {:?}", result.took);
        assert_eq!(service.requests(CANCEL).len(), 1);
    }))
    .await;
}

#[tokio::test]
async fn words_are_bounded_and_printable() {
    let words = format!("\u{1b}[31mred\u{7}\r\n{}", "x".repeat(100_000));
    let service = script(&media_host().await).on(JOB, [failed(&words)]).start().await;
    let result = Definition::of(&job(&service)).attempt().await;
    let detail = result.assert_failed(Reason::JobFailed, Blame::Target);
    assert!(detail.len() < 600 && !detail.contains(['\u{1b}', '\u{7}', '\n']), "{detail}");
}

#[tokio::test]
async fn numbers_that_are_none_do_no_harm() {
    let media = media_host().await;
    let odd =
        |value: Value| reply(200, json!({"status": "queued", "position": value, "created": value, "begun": value}));
    let told = [odd(json!("1e999")), odd(json!(-1e300)), odd(json!([])), odd(json!("x")), done(&media)];
    let service = script(&media).on(JOB, told).start().await;
    let mut settings = job(&service);
    settings["marks"] = json!({"created": "$.created", "started": "$.begun", "completed": "$.created"});
    Definition::of(&settings).attempt().await.assert_ok();
}
