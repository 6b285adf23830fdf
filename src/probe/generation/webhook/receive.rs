//! The listeners for callbacks: one for each address, shared by all probes that name it, for as long as the agent runs.
//!
//! A callback belongs to a job by the secret token in its path. Bounded in size, number and time; says nothing of what it
//! knows to whoever calls without a token.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::base::hash::hexadecimal;
use crate::base::serve::{Limits, serve};
use crate::model::outcome::Failure;
use crate::model::reason::Reason;

/// The listeners.
#[derive(Default)]
pub struct Receivers(tokio::sync::Mutex<HashMap<SocketAddr, Receiver>>);

/// One listener.
#[derive(Clone)]
struct Receiver {
    address: SocketAddr,
    waiting: Waiting,
    /// Kept, since the listener ends with it.
    _stop: Arc<watch::Sender<bool>>,
}

/// Who waits for a callback, by token.
type Waiting = Arc<Mutex<HashMap<String, mpsc::Sender<Callback>>>>;

/// A callback that came.
#[derive(Debug)]
pub struct Callback {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Callback {
    /// A header's value, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A job's place to be called at. Nobody is let in once it is dropped.
pub struct Line {
    /// Where callbacks come in.
    pub address: SocketAddr,
    /// The token in the path.
    pub token: String,
    callbacks: mpsc::Receiver<Callback>,
    waiting: Waiting,
}

impl Line {
    /// Waits for the next callback. Never ends if none comes.
    pub async fn next(&mut self) -> Callback {
        match self.callbacks.recv().await {
            Some(callback) => callback,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
    }
}

impl Receivers {
    /// A line for one job, at the listener of this address, which is opened if it is not there yet.
    ///
    /// # Errors
    /// A [`Failure`] of reason `config` when nothing can listen there.
    pub async fn line(&self, address: SocketAddr) -> Result<Line, Failure> {
        let receiver = self.receiver(address).await?;
        let mut token = [0; 16];
        aws_lc_rs::rand::fill(&mut token).map_err(|_| Failure::new(Reason::Agent, "no random bytes for a token"))?;
        let token = hexadecimal(&token);
        let (sender, callbacks) = mpsc::channel(MAX_WAITING);
        receiver.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), sender);
        Ok(Line { address: receiver.address, token, callbacks, waiting: receiver.waiting })
    }

    async fn receiver(&self, address: SocketAddr) -> Result<Receiver, Failure> {
        let mut known = self.0.lock().await;
        if let Some(receiver) = known.get(&address) {
            return Ok(receiver.clone());
        }
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::new(
                Reason::Config,
                format!("cannot listen for callbacks on {address}: {error}; give another `listen`"),
            )
        })?;
        let bound = listener.local_addr().unwrap_or(address);
        let waiting = Waiting::default();
        let router = Router::new()
            .route("/{token}", post(receive))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Arc::clone(&waiting));
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(listener, router, Limits::default(), stopped, |_| {}));
        let receiver = Receiver { address: bound, waiting, _stop: Arc::new(stop) };
        known.insert(address, receiver.clone());
        Ok(receiver)
    }
}

async fn receive(
    State(waiting): State<Waiting>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let sender = waiting.lock().unwrap_or_else(PoisonError::into_inner).get(&token).cloned();
    let Some(sender) = sender else { return StatusCode::NOT_FOUND };
    // Services repeat what is not taken; what finds no room is a repetition.
    match sender.try_send(Callback { headers, body }) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::TOO_MANY_REQUESTS,
    }
}

const MAX_BODY: usize = 1 << 20;
/// Callbacks of one job that may wait to be looked at.
const MAX_WAITING: usize = 8;
