//! The agent's listener: metrics, health, reload, and a page that says where they are.
//!
//! Takes nothing from the request but two headers; changes nothing but by `POST /-/reload`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

use super::{Core, problems};

/// The routes of the agent.
pub(super) fn router(core: Arc<Core>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(|| async { "forewarn is healthy.\n" }))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload).put(reload))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is no such page; / lists what there is\n") })
        .with_state(core)
}

async fn metrics(State(core): State<Arc<Core>>, headers: HeaderMap) -> Response {
    let accept = combined(&headers, &ACCEPT);
    let accept_encoding = combined(&headers, &ACCEPT_ENCODING);
    let scrape = core.agent.scrape(accept.as_deref(), accept_encoding.as_deref());
    let mut response = Response::new(Body::from_stream(scrape.body));
    let out = response.headers_mut();
    out.insert(CONTENT_TYPE, HeaderValue::from_static(scrape.content_type));
    out.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    if let Some(encoding) = scrape.content_encoding {
        out.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

async fn ready(State(core): State<Arc<Core>>) -> (StatusCode, &'static str) {
    if core.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "forewarn is ready.\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "forewarn is stopping.\n")
    }
}

async fn reload(State(core): State<Arc<Core>>) -> (StatusCode, String) {
    // A task of its own: a client that does not wait for the answer must not undo the order.
    match tokio::spawn(async move { core.reload().await }).await {
        Ok(Ok(difference)) => (StatusCode::OK, format!("{difference}\n")),
        Ok(Err(problems)) => (StatusCode::INTERNAL_SERVER_ERROR, problems::text(&problems)),
        Err(panic) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the reload panicked, a bug in forewarn: {panic}\n")),
    }
}

async fn index() -> Response {
    let mut links = String::new();
    for (path, about) in [
        ("/metrics", "metrics for Prometheus"),
        ("/-/healthy", "answers while the agent lives"),
        ("/-/ready", "answers while the agent takes work"),
    ] {
        // Writing to a string cannot fail.
        let _ = write!(links, "<li><a href=\"{path}\">{path}</a> {about}");
    }
    let version = env!("CARGO_PKG_VERSION");
    ([(CACHE_CONTROL, "no-store")], Html(PAGE.replace("{links}", &links).replace("{version}", version))).into_response()
}

/// All values of a header as one, as a list header means them (RFC 9110 §5.2).
fn combined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

const PAGE: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width,initial-scale=1\"><title>Forewarn</title>\
<style>:root{color-scheme:light dark}body{font:1rem/1.6 system-ui,sans-serif;max-width:38rem;margin:4rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0}p{margin:.25rem 0 1.5rem;opacity:.75}ul{padding:0;list-style:none}li{padding:.35rem 0}\
a{font-family:ui-monospace,monospace;margin-right:.75rem}</style>\
<h1>Forewarn</h1><p>Synthetic-probe agent, version {version}.</p><ul>{links}</ul></html>";
