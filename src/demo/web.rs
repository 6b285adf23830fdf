//! The web part of the simulated service "Reverie": pages, script bundle, sign-in, account, health.
//!
//! There is one account, and no state of its own: what the page seems to generate is drawn by the browser.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Form, Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::backend::Backend;
use crate::base::clock::Instant;
use crate::base::hash::spread_64;

/// The account's address.
pub(super) const EMAIL: &str = "ada@reverie.example";
/// The account's password. No secret: it opens nothing but this simulation.
pub(super) const PASSWORD: &str = "a red kite at dusk";
/// The token that a sign-in gives and the account needs.
pub(super) const TOKEN: &str = "rv_7f3a91c04e";

/// A file that never changes while the service runs.
struct Document {
    content_type: &'static str,
    text: String,
    etag: HeaderValue,
}

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: String,
}

/// The pages, the files and the API of the web app, and its page for what does not exist.
pub(super) fn router(backend: Arc<Backend>) -> Router {
    Router::new()
        .route("/", document(HTML, home()))
        .route("/library", document(HTML, with_clips(include_str!("assets/library.html"))))
        .route("/login", document(HTML, include_str!("assets/login.html").to_owned()).post(sign_in))
        .route("/assets/app.js", document("text/javascript; charset=utf-8", include_str!("assets/app.js").to_owned()))
        .route("/assets/app.css", document("text/css; charset=utf-8", include_str!("assets/app.css").to_owned()))
        .route("/api/health", get(health))
        .route("/api/me", get(account))
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(backend)
}

/// The home page's HTML.
pub(super) fn home() -> String {
    with_clips(include_str!("assets/home.html"))
}

/// 401 with the API's shape.
pub(super) fn refuse(why: &str) -> Response {
    let wanted = [(header::WWW_AUTHENTICATE, "Bearer realm=\"reverie\""), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::UNAUTHORIZED, wanted, Json(json!({"error": why}))).into_response()
}

impl Document {
    fn new(content_type: &'static str, text: String) -> Self {
        let etag = HeaderValue::from_str(&format!("\"{:016x}\"", spread_64(&[&text])));
        // Sixteen hexadecimal digits in quotes are a header value.
        Self { content_type, etag: etag.unwrap_or_else(|_| HeaderValue::from_static("\"0\"")), text }
    }

    /// The whole file, or 304 when the client already has it.
    fn answer(&self, request: &HeaderMap) -> Response {
        // The names carry no version, so browsers must ask each time: a broken deploy shows at once, and so does its end.
        let caching =
            [(header::CACHE_CONTROL, HeaderValue::from_static("no-cache")), (header::ETAG, self.etag.clone())];
        if request.get(header::IF_NONE_MATCH) == Some(&self.etag) {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        (caching, [(header::CONTENT_TYPE, self.content_type)], self.text.clone()).into_response()
    }
}

fn document(content_type: &'static str, text: String) -> MethodRouter<Arc<Backend>> {
    let document = Arc::new(Document::new(content_type, text));
    get(move |headers: HeaderMap| async move { document.answer(&headers) })
}

/// As at many services, this knows nothing of what users wait for: the render queue is not in its depth.
async fn health() -> Response {
    let body = json!({"status": "ok", "version": VERSION, "queue": {"depth": 0}});
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

async fn sign_in(request: Request) -> Response {
    let credentials = match credentials(request).await {
        Ok(credentials) => credentials,
        Err(rejection) => return rejection,
    };
    if credentials.email == EMAIL && credentials.password == PASSWORD {
        ([(header::CACHE_CONTROL, "no-store")], Json(json!({"token": TOKEN, "email": EMAIL}))).into_response()
    } else {
        refuse("wrong email or password")
    }
}

/// Reads a form or JSON, as the content type says.
async fn credentials(request: Request) -> Result<Credentials, Response> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let read = if content_type.is_some_and(|value| value.starts_with("application/json")) {
        Json::from_request(request, &())
            .await
            .map(|Json(read)| read)
            .map_err(|error| (error.status(), error.body_text()))
    } else {
        Form::from_request(request, &())
            .await
            .map(|Form(read)| read)
            .map_err(|error| (error.status(), error.body_text()))
    };
    read.map_err(|(status, error)| (status, Json(json!({"error": error}))).into_response())
}

async fn account(State(backend): State<Arc<Backend>>, headers: HeaderMap) -> Response {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match bearer.and_then(|value| value.split_once(' ')) {
        Some((scheme, TOKEN)) if scheme.eq_ignore_ascii_case("bearer") => {
            let credits = backend.work().balance(Instant::now());
            let body = json!({"email": EMAIL, "name": "Ada", "plan": "studio", "credits": credits});
            ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        Some(_) => refuse("this token is not known"),
        None => refuse("expected the header `authorization: Bearer TOKEN`"),
    }
}

async fn not_found(request: Request) -> Response {
    if ["/api/", "/queue/"].iter().any(|api| request.uri().path().starts_with(api)) {
        return (StatusCode::NOT_FOUND, Json(json!({"error": "no such resource"}))).into_response();
    }
    let page = include_str!("assets/not_found.html");
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, HTML)], page).into_response()
}

fn with_clips(page: &str) -> String {
    page.replace("<!-- clips -->", include_str!("assets/clips.html"))
}

const HTML: &str = "text/html; charset=utf-8";
const VERSION: &str = "4.2.0";
/// A sign-in is two short texts.
const LARGEST_BODY: usize = 16 * 1024;
