//! How faults are switched: by the page, by a program, and by nobody else.

use forewarn::demo::fault::{Fault, TABLE};
use reqwest::{StatusCode, header};

use super::Demo;

#[tokio::test]
async fn the_page_switches_by_form() {
    let demo = Demo::start().await;
    let answer = demo.order("/faults/unavailable", "on=true&percent=50").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[header::LOCATION], "/faults#unavailable");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(demo.get("/").await.status().as_u16());
    }
    assert_eq!(statuses, [503, 200, 503, 200]);

    let page = demo.get("/faults").await.text().await.unwrap();
    assert!(page.contains("One fault is on."));
    assert!(page.contains(r#"<li id="unavailable" class="on">"#) && page.contains(r#"<li id="hang">"#));
    assert!(page.contains("<b>2</b> so far"));
    assert!(!page.contains("<!-- "), "a placeholder was left");

    let answer = demo.order("/faults/clear", "").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[header::LOCATION], "/faults");
    assert_eq!(demo.get("/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_program_switches_and_reads_json() {
    let demo = Demo::start().await;
    let request = demo.form("/faults/slow", "on=true&percent=33").header(header::ACCEPT, "application/json");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let state: serde_json::Value = demo.get("/faults.json").await.json().await.unwrap();
    assert_eq!(state, answer.json::<serde_json::Value>().await.unwrap());
    let faults = state["faults"].as_array().unwrap();
    assert_eq!(faults.len(), TABLE.len());
    let slow = faults.iter().find(|fault| fault["name"] == "slow").unwrap();
    assert_eq!((&slow["on"], &slow["percent"], &slow["hits"]), (&true.into(), &33.into(), &0.into()));
}

#[tokio::test]
async fn a_wrong_order_is_refused_with_a_reason_and_changes_nothing() {
    let demo = Demo::start().await;
    for (path, form, status, why) in [
        ("/faults/fire", "on=true", 404, "no fault is called `fire`; the faults are slow, reset"),
        ("/faults/slow", "on=perhaps", 422, "expected the form `on=true|false&percent=1..100`"),
        ("/faults/slow", "percent=10", 422, "expected the form `on=true|false&percent=1..100`"),
        ("/faults/slow", "on=true&percent=0", 422, "expected a percentage from 1 to 100, got `0`"),
        ("/faults/slow", "on=true&percent=ten", 422, "expected a percentage from 1 to 100, got `ten`"),
    ] {
        let answer = demo.order(path, form).await;
        assert_eq!(answer.status().as_u16(), status, "{path} {form}");
        let error: serde_json::Value = answer.json().await.unwrap();
        assert!(error["error"].as_str().unwrap().starts_with(why), "{error}");
    }
    assert!(TABLE.iter().all(|row| !demo.faults.state(row.fault).on));
}

#[tokio::test]
async fn another_site_cannot_switch() {
    let demo = Demo::start().await;
    let own = demo.url("");
    for (name, value, status) in [
        (header::ORIGIN, "http://evil.example", StatusCode::FORBIDDEN),
        (header::ORIGIN, "null", StatusCode::FORBIDDEN),
        (header::HOST, "evil.example", StatusCode::FORBIDDEN),
        (header::ORIGIN, own.as_str(), StatusCode::SEE_OTHER),
    ] {
        let answer = demo.form("/faults/slow", "on=true").header(&name, value).send().await.unwrap();
        assert_eq!(answer.status(), status, "{name}: {value}");
        assert_eq!(demo.faults.state(Fault::Slow).on, status == StatusCode::SEE_OTHER);
    }
}
