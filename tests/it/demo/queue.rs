//! The queue of the simulated service: the shapes on the wire, credits, and what each of its faults looks like.

use forewarn::demo::fault::Fault;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Demo, content_type, read, text};

async fn post(demo: &Demo, body: impl Into<reqwest::Body>) -> (u16, Value) {
    read(demo.keyed(demo.client.post(demo.url("/queue/reverie/text-to-video"))).body(body)).await
}

async fn cancel(demo: &Demo, job: &Value) -> (u16, Value) {
    read(demo.keyed(demo.client.put(text(&job["cancel_url"])))).await
}

#[tokio::test]
async fn a_job_is_submitted_polled_and_fetched() {
    let demo = Demo::start().await;
    let job = demo.submit().await;
    let response_url = format!("{}/{}", demo.url("/queue/reverie/requests"), text(&job["request_id"]));
    assert_eq!(job["response_url"], response_url.as_str());
    assert_eq!(job["status_url"], format!("{response_url}/status"));
    assert_eq!(job["cancel_url"], format!("{response_url}/cancel"));
    assert!((8..=12).contains(&job["queue_position"].as_u64().unwrap()), "{job}");

    assert_eq!(demo.states(&job).await.last().unwrap(), "COMPLETED");
    let (status, done) = demo.ask(text(&job["status_url"])).await;
    assert_eq!((status, &done["status"], done.get("error")), (200, &json!("COMPLETED"), None));
    assert!((1.8..2.2).contains(&done["metrics"]["inference_time"].as_f64().unwrap()));

    let (status, result) = demo.ask(&response_url).await;
    let video = &result["video"];
    assert_eq!((status, &video["content_type"]), (200, &json!("video/mp4")));
    let file = demo.client.get(text(&video["url"])).send().await.unwrap();
    assert_eq!((file.status().as_u16(), content_type(&file)), (200, "video/mp4"));
    let bytes = file.bytes().await.unwrap();
    assert_eq!(Some(bytes.len() as u64), video["file_size"].as_u64());
    assert_eq!(super::files::streams(&bytes).await.unwrap(), ["h264,video,192,108,5.000000"]);

    let (_, library) = demo.ask("/api/library").await;
    assert_eq!((&library["items"][0]["id"], &library["items"][0]["title"]), (&job["request_id"], &json!("a red kite")));
    assert_eq!(demo.balance().await, "119.0");
    assert_eq!(demo.account().await.json::<Value>().await.unwrap()["credits"], 119);
}

#[tokio::test]
async fn nothing_works_without_the_key() {
    let demo = Demo::start().await;
    let paths = ["/queue/reverie/requests/x", "/queue/reverie/requests/x/status", "/api/billing", "/api/library"];
    for path in paths.into_iter().chain(["/api/library/dusk-kite", "/queue/reverie/requests/x/status/stream"]) {
        for header in ["", "Key", "Key wrong", "Bearer rv_7f3a91c04e"] {
            let request = demo.client.get(demo.url(path)).header("authorization", header);
            let (status, body) = read(request).await;
            assert_eq!(status, 401, "{path} {header}");
            assert!(body["detail"].is_string());
        }
    }
    let (status, _) = read(demo.client.post(demo.url("/queue/reverie/text-to-video")).body("{}")).await;
    assert_eq!(status, 401);
    assert_eq!(demo.balance().await, "120.0");
}

#[tokio::test]
async fn a_wrong_request_is_refused_in_the_shape_of_validation_errors() {
    let demo = Demo::start().await;
    for (body, loc, kind) in [
        ("{", json!(["body"]), "json_invalid"),
        ("{}", json!(["body", "prompt"]), "missing"),
        ("[]", json!(["body", "prompt"]), "missing"),
        (r#"{"prompt":7}"#, json!(["body", "prompt"]), "string_type"),
        (r#"{"prompt":" "}"#, json!(["body", "prompt"]), "string_too_short"),
    ] {
        let (status, answer) = post(&demo, body).await;
        let problem = &answer["detail"][0];
        assert_eq!((status, &problem["loc"], &problem["type"]), (422, &loc, &json!(kind)), "{body}");
        assert!(problem["msg"].is_string() && problem["ctx"].is_object(), "{problem}");
    }
    let large = demo.keyed(demo.client.post(demo.url("/queue/reverie/text-to-video"))).body("x".repeat(20_000));
    assert_eq!(large.send().await.unwrap().status(), 413);
    for path in ["/queue/reverie/requests/x", "/queue/reverie/requests/x/status", "/queue/nobody/requests/x"] {
        assert_eq!(demo.ask(path).await.0, 404, "{path}");
    }
    assert_eq!(demo.balance().await, "120.0");
}

#[tokio::test]
async fn a_job_is_cancelled_once() {
    let demo = Demo::start().await;
    // It would end by itself soon, and a busy machine may be slower than that.
    demo.on(Fault::StuckWorker);
    let job = demo.submit().await;
    assert_eq!(demo.balance().await, "119.0");
    assert_eq!(cancel(&demo, &job).await, (202, json!({"status": "CANCELLATION_REQUESTED"})));
    assert_eq!(demo.balance().await, "120.0");
    assert_eq!(cancel(&demo, &job).await, (400, json!({"status": "ALREADY_COMPLETED"})));
    let (status, ended) = demo.ask(text(&job["status_url"])).await;
    assert_eq!(
        (status, &ended["status"], &ended["error_type"]),
        (200, &json!("COMPLETED"), &json!("client_cancelled"))
    );
    let (status, result) = demo.ask(text(&job["response_url"])).await;
    assert_eq!((status, &result["error_type"]), (499, &json!("client_cancelled")));
    let nobody = json!({"cancel_url": demo.url("/queue/reverie/requests/x/cancel")});
    assert_eq!(cancel(&demo, &nobody).await, (404, json!({"status": "NOT_FOUND"})));
}

/// What a client sees of a job that ends: the status's error type, the result with its status, and the credits then.
async fn ending(fault: Fault) -> (Value, u16, Value, String) {
    let demo = Demo::start().await;
    demo.on(fault);
    let job = demo.submit().await;
    assert_eq!(demo.states(&job).await.last().unwrap(), "COMPLETED", "{fault:?}");
    let (status, completed) = demo.ask(text(&job["status_url"])).await;
    assert_eq!((status, &completed["status"]), (200, &json!("COMPLETED")));
    assert_eq!(completed["error"].is_string(), completed["error_type"].is_string());
    let (status, result) = demo.ask(text(&job["response_url"])).await;
    assert_eq!(demo.faults.state(fault).hits, 1);
    (completed["error_type"].clone(), status, result, demo.balance().await)
}

#[tokio::test]
async fn each_way_to_end_badly_looks_like_it_does_at_fal() {
    let endings = [Fault::CrashedRunner, Fault::CreditTaken, Fault::NoVideo, Fault::Refusal].map(ending);
    let endings: [_; 4] = join_all(endings).await.try_into().unwrap();
    let [crashed, failed, no_video, refused] = endings;
    let back = "120.0".to_owned();
    assert_eq!((crashed.0, crashed.1, &crashed.3), (json!("runner_disconnected"), 503, &back));
    assert_eq!(crashed.2["error_type"], "runner_disconnected");
    assert_eq!(
        (failed.0, failed.1, failed.3),
        (json!("internal_error"), 500, "119.0".to_owned()),
        "the credit is gone"
    );
    assert_eq!(no_video, (Value::Null, 200, json!({"video": null}), back.clone()));
    assert_eq!((refused.0, refused.1, refused.3), (Value::Null, 422, back), "the status says nothing of it");
    assert_eq!(refused.2["detail"][0]["type"], "content_policy_violation");
}

#[tokio::test]
async fn a_job_that_never_ends_can_be_cancelled() {
    join_all([(Fault::StuckWorker, "IN_PROGRESS"), (Fault::UnknownState, "WARMING_UP")].map(async |(fault, stays)| {
        let demo = Demo::start().await;
        demo.on(fault);
        let job = demo.submit().await;
        // Another job, well and as old, tells when this one should have ended.
        demo.faults.clear();
        demo.states(&demo.submit().await).await;
        let (status, body) = demo.ask(text(&job["status_url"])).await;
        assert_eq!((status, &body["status"]), (202, &json!(stays)));
        assert_eq!(cancel(&demo, &job).await.0, 202);
        assert_eq!(demo.ask(text(&job["status_url"])).await.0, 200);
    }))
    .await;
}

#[tokio::test]
async fn a_burst_stands_ahead() {
    let demo = Demo::start().await;
    demo.on(Fault::Burst);
    let job = demo.submit().await;
    assert!((308..=312).contains(&job["queue_position"].as_u64().unwrap()), "{job}");
    demo.faults.clear();
    let next = demo.submit().await;
    assert!((100..=312).contains(&next["queue_position"].as_u64().unwrap()), "it is there for all: {next}");
    assert_eq!(demo.ask("/api/health").await.1["queue"]["depth"], 0, "a health check knows nothing of it");
}

#[tokio::test]
async fn a_queue_that_stands_still_moves_when_the_fault_goes() {
    let demo = Demo::start().await;
    demo.on(Fault::Backup);
    let job = demo.submit().await;
    assert_eq!(job["queue_position"], 40);
    let early = demo.ask(text(&job["response_url"])).await;
    assert_eq!(early, (400, json!({"detail": "Request is still in progress"})));
    // Another service's job takes longer than the queue would for all who wait in it.
    let other = Demo::start().await;
    other.states(&other.submit().await).await;
    let (status, queued) = demo.ask(text(&job["status_url"])).await;
    assert_eq!((status, queued), (202, json!({"status": "IN_QUEUE", "queue_position": 40})));
    demo.faults.clear();
    assert_eq!(demo.states(&job).await, ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]);
}

#[tokio::test]
async fn a_lost_job_is_accepted_and_not_found() {
    let demo = Demo::start().await;
    demo.on(Fault::JobLost);
    let job = demo.submit().await;
    for url in ["status_url", "response_url"] {
        assert_eq!(demo.ask(text(&job[url])).await, (404, json!({"detail": "Request not found"})));
    }
    assert_eq!(cancel(&demo, &job).await.0, 404);
}

#[tokio::test]
async fn a_refused_key_shuts_the_queue_and_nothing_else() {
    let demo = Demo::start().await;
    let job = demo.submit().await;
    demo.on(Fault::KeyRefused);
    assert_eq!(post(&demo, r#"{"prompt":"a"}"#).await.0, 401);
    for url in ["status_url", "response_url"] {
        assert_eq!(demo.ask(text(&job[url])).await.0, 401);
    }
    assert_eq!(demo.ask("/api/billing").await.0, 200);
    assert_eq!(demo.ask("/api/library").await.0, 200);
    assert_eq!(demo.get("/").await.status(), 200);
}

#[tokio::test]
async fn half_of_the_jobs_means_every_second_one() {
    let demo = Demo::start().await;
    demo.faults.switch(Fault::JobLost, true, Some("50".parse().unwrap()));
    let mut found = Vec::new();
    for _ in 0..6 {
        found.push(demo.ask(text(&demo.submit().await["status_url"])).await.0);
    }
    assert_eq!(found, [404, 202, 404, 202, 404, 202]);
}

#[tokio::test]
async fn addresses_name_the_host_that_the_client_has_found() {
    let demo = Demo::start().await;
    for (host, base) in [("reverie.example:81", "http://reverie.example:81"), ("a b", demo.url("").as_str())] {
        let request = demo.client.post(demo.url("/queue/reverie/text-to-video")).header("host", host);
        let (_, job) = read(demo.keyed(request).body(r#"{"prompt":"a"}"#)).await;
        assert!(text(&job["status_url"]).starts_with(&format!("{base}/queue/reverie/requests/")), "{job}");
    }
}
