//! What the parts of the simulated service share: faults, clock, jobs, files, and the key that opens them.
//!
//! Answers no requests; each part has its own router.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::fault::{Fault, Faults};
use super::files::content::Contents;
use super::queue::work::Work;
use crate::base::clock::{Clock, Instant, Timestamp};

/// The key that opens the queue, the library and the billing. No secret: there is nothing behind it.
pub(super) const KEY: &str = "rv_key_c41d9e07b2f8";

/// The state behind all parts.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) faults: Arc<Faults>,
    pub(super) clock: Clock,
    pub(super) started_at: Timestamp,
    pub(super) contents: Contents,
    address: SocketAddr,
    work: Mutex<Work>,
}

impl Backend {
    /// A service without jobs that listens at `address`.
    pub(super) fn new(faults: Arc<Faults>, clock: Clock, address: SocketAddr) -> Self {
        let started_at = clock.now();
        let work = Mutex::new(Work::new(Instant::now()));
        Self { faults, clock, started_at, contents: Contents::new(), address, work }
    }

    /// The jobs, after the queue has learned whether it moves.
    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        // A panic while the lock was held leaves at worst a job half forgotten.
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.faults.state(Fault::Backup).on {
            work.release(Instant::now());
        }
        work
    }

    /// Where the client has found us, for the addresses that we hand out.
    pub(super) fn base(&self, headers: &HeaderMap) -> String {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
        match host.and_then(|host| host.parse::<Authority>().ok()) {
            Some(host) => format!("http://{host}"),
            None => format!("http://{}", self.address),
        }
    }
}

/// The layer around what needs the key.
pub(super) async fn require_key(headers: HeaderMap, request: Request, next: Next) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.split_once(' ')) {
        Some((scheme, KEY)) if scheme.eq_ignore_ascii_case("key") => next.run(request).await,
        Some(_) => refuse("No account found for this key"),
        None => refuse("Expected the header `authorization: Key KEY`"),
    }
}

/// 401 in the queue's shape.
pub(super) fn refuse(why: &str) -> Response {
    let wanted = [(header::WWW_AUTHENTICATE, "Key realm=\"reverie\"")];
    (wanted, answer(StatusCode::UNAUTHORIZED, &json!({"detail": why}))).into_response()
}

/// JSON that nobody may keep.
pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
