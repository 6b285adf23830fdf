//! The queue API of the simulated service, in the shape of fal.ai's: submit, poll (or stream), fetch, cancel; and the
//! account's credits.
//!
//! What becomes of a job is decided in [`work`]; this file puts it into HTTP. Webhooks and logs are left out.

mod credits;
mod job;
pub(super) mod work;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures_util::{Stream, stream};
use serde_json::{Value, json};

use self::job::{End, Stage};
use self::work::Cancelled;
use super::backend::{Backend, answer, require_key};
use super::fault::{Occasion, Source};
use super::files;
use crate::base::clock::Instant;

/// The queue and the billing; all of it needs the key.
pub(super) fn router(backend: Arc<Backend>) -> Router {
    Router::new()
        .route("/queue/reverie/text-to-video", post(submit))
        .route("/queue/reverie/requests/{id}", get(result))
        .route("/queue/reverie/requests/{id}/status", get(status))
        .route("/queue/reverie/requests/{id}/status/stream", get(follow))
        .route("/queue/reverie/requests/{id}/cancel", put(cancel))
        .route("/api/billing", get(billing))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .route_layer(middleware::from_fn(require_key))
        .with_state(backend)
}

async fn submit(State(backend): State<Arc<Backend>>, headers: HeaderMap, body: Bytes) -> Response {
    let prompt = match prompt(&body) {
        Ok(prompt) => prompt,
        Err(problem) => return answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({"detail": [problem]})),
    };
    let struck = backend.faults.strike(Occasion::Job);
    let (id, position) = backend.work().submit(&prompt, &struck, Instant::now(), backend.clock.now());
    // As at fal.ai, what is asked later goes without the path of the model.
    let response_url = format!("{}/queue/reverie/requests/{id}", backend.base(&headers));
    let body = json!({
        "request_id": id,
        "status": "IN_QUEUE",
        "queue_position": position,
        "status_url": format!("{response_url}/status"),
        "cancel_url": format!("{response_url}/cancel"),
        "response_url": response_url,
    });
    answer(StatusCode::OK, &body)
}

/// The prompt of a request, or what is wrong with the request, in the shape of fal.ai's validation errors.
fn prompt(body: &[u8]) -> Result<String, Value> {
    let problem =
        |loc: &[&str], msg: &str, kind: &str, ctx: Value| json!({"loc": loc, "msg": msg, "type": kind, "ctx": ctx});
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Err(problem(&["body"], "The body is not valid JSON", "json_invalid", json!({})));
    };
    match body.get("prompt") {
        None => Err(problem(&["body", "prompt"], "Field required", "missing", json!({}))),
        Some(Value::String(prompt)) if prompt.trim().is_empty() => {
            let least = json!({"min_length": 1});
            Err(problem(&["body", "prompt"], "The prompt should not be empty", "string_too_short", least))
        }
        Some(Value::String(prompt)) => Ok(prompt.clone()),
        Some(_) => Err(problem(&["body", "prompt"], "The prompt should be a text", "string_type", json!({}))),
    }
}

async fn status(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> Response {
    match stage(&backend, &id) {
        Some(stage) => answer(status_code(stage), &status_body(stage)),
        None => not_found(),
    }
}

async fn result(State(backend): State<Arc<Backend>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match stage(&backend, &id) {
        Some(Stage::Ended { end: End::Video, .. }) => {
            let video = files::video(&backend, &headers, &id, Source::Result);
            answer(StatusCode::OK, &json!({"video": video}))
        }
        Some(Stage::Ended { end: End::NoVideo, .. }) => answer(StatusCode::OK, &json!({"video": null})),
        Some(Stage::Ended { end: End::Refused, .. }) => refusal(),
        Some(Stage::Ended { end, .. }) => {
            let Some(error) = error_of(end) else { return not_found() };
            let code = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = json!({"detail": error.text, "error_type": error.kind});
            ([("x-fal-error-type", error.kind)], answer(code, &body)).into_response()
        }
        Some(_) => answer(StatusCode::BAD_REQUEST, &json!({"detail": "Request is still in progress"})),
        None => not_found(),
    }
}

async fn cancel(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> Response {
    let (code, word) = match backend.work().cancel(&id, Instant::now()) {
        Cancelled::Requested => (StatusCode::ACCEPTED, "CANCELLATION_REQUESTED"),
        Cancelled::TooLate => (StatusCode::BAD_REQUEST, "ALREADY_COMPLETED"),
        Cancelled::Unknown => (StatusCode::NOT_FOUND, "NOT_FOUND"),
    };
    answer(code, &json!({"status": word}))
}

/// The status as server-sent events: one for each change, the last one when the job has ended.
async fn follow(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> Response {
    if stage(&backend, &id).is_none() {
        return not_found();
    }
    Sse::new(changes(backend, id)).keep_alive(KeepAlive::default()).into_response()
}

fn changes(backend: Arc<Backend>, id: String) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((backend, id, None), async |(backend, id, last)| {
        if matches!(last, Some(Stage::Ended { .. })) {
            return None;
        }
        loop {
            // A job that is forgotten ends the stream.
            let stage = stage(&backend, &id)?;
            if last != Some(stage) {
                let event = Event::default().data(status_body(stage).to_string());
                return Some((Ok(event), (backend, id, Some(stage))));
            }
            tokio::time::sleep(LOOK).await;
        }
    })
}

async fn billing(State(backend): State<Arc<Backend>>) -> Json<Value> {
    let balance = f64::from(backend.work().balance(Instant::now()));
    Json(json!({"username": "ada", "credits": {"current_balance": balance, "currency": "credits"}}))
}

fn stage(backend: &Backend, id: &str) -> Option<Stage> {
    backend.work().stage(id, Instant::now())
}

fn status_code(stage: Stage) -> StatusCode {
    if matches!(stage, Stage::Ended { .. }) { StatusCode::OK } else { StatusCode::ACCEPTED }
}

fn status_body(stage: Stage) -> Value {
    match stage {
        Stage::Queued { position } => json!({"status": "IN_QUEUE", "queue_position": position}),
        Stage::Rendering => json!({"status": "IN_PROGRESS"}),
        Stage::Unknown => json!({"status": "WARMING_UP"}),
        Stage::Ended { end, rendered } => {
            let mut body = json!({"status": "COMPLETED", "metrics": {"inference_time": rendered.as_secs_f64()}});
            if let Some(error) = error_of(end) {
                body["error"] = error.text.into();
                body["error_type"] = error.kind.into();
            }
            body
        }
    }
}

/// An error of the service, in fal.ai's words.
struct Failure {
    status: u16,
    kind: &'static str,
    text: &'static str,
}

/// The error that a job's status names. A refusal is none: as at fal.ai, only the result tells.
const fn error_of(end: End) -> Option<Failure> {
    match end {
        End::Video | End::NoVideo | End::Refused => None,
        End::Crashed => {
            let text = "Runner disconnected during processing";
            Some(Failure { status: 503, kind: "runner_disconnected", text })
        }
        End::Failed => Some(Failure { status: 500, kind: "internal_error", text: "Internal error during processing" }),
        End::Cancelled => Some(Failure { status: 499, kind: "client_cancelled", text: "Request was cancelled" }),
    }
}

fn refusal() -> Response {
    let problem = json!({
        "loc": ["body", "prompt"],
        "msg": "The prompt was flagged by a content checker",
        "type": "content_policy_violation",
        "ctx": {},
    });
    answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({"detail": [problem]}))
}

fn not_found() -> Response {
    answer(StatusCode::NOT_FOUND, &json!({"detail": "Request not found"}))
}

/// How often a stream looks for a change.
const LOOK: Duration = Duration::from_millis(50);
/// A request is a prompt and a few settings.
const LARGEST_BODY: usize = 16 * 1024;
