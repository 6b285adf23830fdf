//! The library of the simulated service: what was made, the newest first, with fresh links.
//!
//! Six clips were saved before the service started; jobs that end well join them for as long as they are remembered.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::backend::{Backend, answer, require_key};
use super::fault::{Fault, Occasion, Source};
use super::files;
use super::queue::work::Finished;
use crate::base::clock::{Instant, Timestamp};

/// The list and its items; both need the key.
pub(super) fn router(backend: Arc<Backend>) -> Router {
    Router::new()
        .route("/api/library", get(list))
        .route("/api/library/{id}", get(item))
        .route_layer(middleware::from_fn(require_key))
        .with_state(backend)
}

async fn list(State(backend): State<Arc<Backend>>) -> Response {
    let mut items = items(&backend);
    for fault in backend.faults.strike(Occasion::Listing) {
        match fault {
            Fault::LibraryEmpty => items.clear(),
            Fault::LibraryStale => items.retain(|item| is_old(&backend, item)),
            _ => {}
        }
    }
    let items: Vec<Value> = items.iter().map(shown).collect();
    answer(StatusCode::OK, &json!({"items": items}))
}

async fn item(State(backend): State<Arc<Backend>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(item) = items(&backend).into_iter().find(|item| item.id == id) else {
        return answer(StatusCode::NOT_FOUND, &json!({"detail": "No such video"}));
    };
    let source = if is_old(&backend, &item) { Source::Old } else { Source::Library };
    let mut body = shown(&item);
    body["video"] = files::video(&backend, &headers, &item.id, source);
    answer(StatusCode::OK, &body)
}

/// Everything, the newest first.
fn items(backend: &Backend) -> Vec<Finished> {
    let mut items = backend.work().finished(Instant::now());
    items.extend(SAVED.iter().map(|(id, title, minutes)| {
        let age = Duration::from_secs(minutes * 60);
        let created_at = backend.started_at.checked_sub(age).unwrap_or(backend.started_at);
        Finished { id: (*id).to_owned(), title: (*title).to_owned(), created_at }
    }));
    items
}

fn shown(item: &Finished) -> Value {
    let created_at = Timestamp::from_second(item.created_at.as_second()).unwrap_or(item.created_at);
    json!({"id": item.id, "title": item.title, "created_at": created_at.to_string(), "status": "ready"})
}

/// True for what was made more than a day ago.
fn is_old(backend: &Backend, item: &Finished) -> bool {
    let age = Duration::try_from(backend.clock.now().duration_since(item.created_at)).unwrap_or_default();
    age > DAY
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What was saved before the service started: id, title, and how many minutes before.
const SAVED: [(&str, &str, u64); 6] = [
    ("dusk-kite", "A red kite over the dunes at dusk", 25),
    ("paper-boats", "Paper boats on a moonlit sea", 3 * 60),
    ("neon-rain", "Neon rain over a sleeping city", 26 * 60),
    ("northern-lights", "Northern lights above a frozen lake", 5 * 24 * 60),
    ("foggy-lighthouse", "A lighthouse breathing in the fog", 14 * 24 * 60),
    ("ink-koi", "Koi drawing circles in ink", 30 * 24 * 60),
];
