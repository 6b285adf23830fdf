//! The web app of the simulated service, and what the faults of connection, gateway and app do on the wire.

use forewarn::demo::fault::Fault;
use reqwest::{StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Demo, content_type};

#[tokio::test]
async fn without_faults_everything_works() {
    let demo = Demo::start().await;
    for (path, kind, text) in [
        ("/", "text/html; charset=utf-8", "Create"),
        ("/library", "text/html; charset=utf-8", "Northern lights"),
        ("/login", "text/html; charset=utf-8", "Password"),
        ("/assets/app.js", "text/javascript; charset=utf-8", "window.__ready = true"),
        ("/assets/app.css", "text/css; charset=utf-8", ".gallery"),
        ("/api/health", "application/json", r#""queue":{"depth":0}"#),
    ] {
        let answer = demo.get(path).await;
        assert_eq!((answer.status(), content_type(&answer)), (StatusCode::OK, kind), "{path}");
        assert!(answer.text().await.unwrap().contains(text), "{path}");
    }
    assert_eq!(demo.get("/nowhere").await.status(), StatusCode::NOT_FOUND);
    let account: serde_json::Value = demo.account().await.json().await.unwrap();
    assert_eq!(account["credits"], 120);
    assert_eq!(demo.get("/api/me").await.status(), StatusCode::UNAUTHORIZED);
    let token: serde_json::Value = demo.sign_in("a red kite at dusk").await.json().await.unwrap();
    assert_eq!(token["token"], "rv_7f3a91c04e");
    assert_eq!(demo.sign_in("guess").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn signing_in_takes_json_too_and_refuses_what_it_cannot_read() {
    let demo = Demo::start().await;
    let request = |body: &'static str| {
        demo.client.post(demo.url("/login")).header(header::CONTENT_TYPE, "application/json").body(body).send()
    };
    let good = r#"{"email":"ada@reverie.example","password":"a red kite at dusk"}"#;
    assert_eq!(request(good).await.unwrap().status(), StatusCode::OK);
    assert_eq!(request("{").await.unwrap().status(), StatusCode::BAD_REQUEST);
    let large = "x".repeat(20_000);
    assert_eq!(demo.sign_in(&large).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_file_that_the_client_has_is_not_sent_again() {
    let demo = Demo::start().await;
    let etag = demo.get("/assets/app.js").await.headers()[header::ETAG].clone();
    let again = demo.client.get(demo.url("/assets/app.js")).header(header::IF_NONE_MATCH, etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn unavailable_answers_503_everywhere_but_on_the_faults_page() {
    let demo = Demo::start().await;
    demo.on(Fault::Unavailable);
    for path in ["/", "/library", "/login", "/assets/app.js", "/api/health", "/api/me", "/nowhere"] {
        let answer = demo.get(path).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.headers()[header::RETRY_AFTER], "30");
        assert!(content_type(&answer).starts_with("text/html"));
    }
    for path in ["/faults", "/faults.json", "/faults.css", "/faults.js"] {
        assert_eq!(demo.get(path).await.status(), StatusCode::OK, "{path}");
    }
    demo.faults.switch(Fault::Unavailable, false, None);
    assert_eq!(demo.get("/").await.status(), StatusCode::OK);
    assert_eq!(demo.faults.state(Fault::Unavailable).hits, 7);
}

#[tokio::test]
async fn reset_is_a_reset() {
    let demo = Demo::start().await;
    demo.on(Fault::Reset);
    let (answer, end) = demo.raw("/").await;
    assert_eq!(answer, "");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn hang_reads_and_never_answers_until_the_service_stops() {
    let demo = Demo::start().await;
    demo.on(Fault::Hang);
    let mut stream = TcpStream::connect(demo.service.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    // The request was read when it is counted. How long it hangs is a test beside the code, where time can be paused.
    while demo.faults.state(Fault::Hang).hits == 0 {
        demo.get("/faults.json").await;
    }
    demo.get("/faults.json").await;
    assert_eq!(stream.try_read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);

    let address = demo.service.address();
    demo.service.stop().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn truncated_announces_all_and_sends_half() {
    let demo = Demo::start().await;
    let whole = demo.get("/").await.text().await.unwrap();
    demo.on(Fault::Truncated);
    let (answer, _) = demo.raw("/").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains(&format!("content-length: {}", whole.len())), "{head}");
    assert_eq!(body, &whole[..whole.len() / 2]);
    let error = demo.get("/").await.text().await.unwrap_err();
    assert!(error.is_body() || error.is_decode(), "{error:?}");
}

#[tokio::test]
async fn rate_limited_hits_the_api_and_leaves_the_pages() {
    let demo = Demo::start().await;
    demo.on(Fault::RateLimited);
    for answer in [demo.get("/api/health").await, demo.account().await, demo.sign_in("a red kite at dusk").await] {
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "30");
    }
    assert_eq!(demo.get("/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn redirect_loop_never_ends() {
    let demo = Demo::start().await;
    demo.on(Fault::RedirectLoop);
    for (from, to) in [("/", "/login"), ("/library", "/login"), ("/login", "/")] {
        let answer = demo.get(from).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        assert_eq!(answer.headers()[header::LOCATION], to);
    }
    let error = reqwest::get(demo.url("/")).await.unwrap_err();
    assert!(error.is_redirect(), "{error:?}");
}

#[tokio::test]
async fn auth_refused_refuses_the_right_credentials() {
    let demo = Demo::start().await;
    demo.on(Fault::AuthRefused);
    assert_eq!(demo.sign_in("a red kite at dusk").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(demo.account().await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(demo.get("/api/health").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn wrong_body_is_a_200_that_is_not_ok() {
    let demo = Demo::start().await;
    demo.on(Fault::WrongBody);
    for path in ["/", "/library"] {
        let answer = demo.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.text().await.unwrap();
        assert!(body.contains("under maintenance") && !body.contains("Create"), "{body}");
    }
}

#[tokio::test]
async fn javascript_error_serves_html_as_the_bundle() {
    let demo = Demo::start().await;
    demo.on(Fault::JavascriptError);
    let answer = demo.get("/assets/app.js").await;
    assert_eq!((answer.status(), content_type(&answer)), (StatusCode::OK, "text/html; charset=utf-8"));
    let body = answer.text().await.unwrap();
    assert!(body.starts_with('<') && !body.contains("__ready"), "{body}");
    assert!(demo.get("/").await.text().await.unwrap().contains("Create"), "the page itself looks well");
}
