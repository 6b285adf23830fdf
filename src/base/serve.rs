//! Serves an axum router on one listener, within bounds that a hostile or slow client cannot push.
//!
//! Bounds: connections at once, time to send a request's head, size of the head. Knows nothing of what is served.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service;

/// What one client, and all of them together, may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections served at once; more wait in the kernel's backlog.
    pub connections: usize,
    /// From connect (or the end of the last answer) to the end of a request's head.
    pub head_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 512, head_timeout: Duration::from_secs(30) }
    }
}

/// Lets a handler break its connection off instead of answering; stands in every request's extensions.
#[derive(Debug, Clone, Default)]
pub struct Reset(Arc<Notify>);

impl Reset {
    /// Sends a TCP reset to the client. Never returns: the connection drops the handler that waits here.
    pub async fn now(self) -> Infallible {
        self.0.notify_one();
        std::future::pending().await
    }
}

/// Serves until `stop` turns true, then lets answers under way finish; the caller bounds how long it waits.
///
/// `prepare` sees each accepted socket first, for socket options.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    prepare: impl Fn(&TcpStream),
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                prepare(&stream);
                let connection = connection(stream, router.clone(), limits, stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; waiting a second");
                // Out of file descriptors: trying again at once would spin.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, router: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
    let reset = Reset::default();
    let asked = reset.clone();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut router = router.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(asked.clone());
        async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|never| match never {})) }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    // An error of the connection is the client's: it went away or broke the protocol.
    tokio::select! {
        _ = &mut connection => return,
        () = reset.0.notified() => return abort(connection.into_parts().io.into_inner()),
        _ = stop.wait_for(|stop| *stop) => {}
    }
    Pin::new(&mut connection).graceful_shutdown();
    tokio::select! {
        _ = &mut connection => {}
        () = reset.0.notified() => abort(connection.into_parts().io.into_inner()),
    }
}

/// Closes `stream` with RST; what is not sent yet is lost.
fn abort(stream: TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::warn!(%error, "cannot reset a connection; it is closed instead");
    }
    drop(stream);
}
