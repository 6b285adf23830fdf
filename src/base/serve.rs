//! Serves an axum router on one listener, within bounds that a hostile or slow client cannot push.
//!
//! Bounds: connections at once, time to send a request's head, size of the head. A full house makes room for whoever
//! comes: clients that sit idle or read slowly cannot keep a scraper out. Knows nothing of what is served.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
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
    /// Connections served at once. One more closes the one that has been idle longest or, where all are at work, the
    /// one that has worked longest at its answer.
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
    let places = Arc::new(Semaphore::new(limits.connections.max(1)));
    let house = Arc::new(House::default());
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                prepare(&stream);
                if places.available_permits() == 0 {
                    house.make_room();
                }
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
                let guest = House::enter(&house);
                let connection = connection(stream, Arc::clone(&guest), router.clone(), limits, stop.clone());
                connections.spawn(async move {
                    tokio::select! {
                        () = connection => {}
                        () = guest.leave.notified() => {}
                    }
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

async fn connection(
    stream: TcpStream,
    guest: Arc<Guest>,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let reset = Reset::default();
    let asked = reset.clone();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut router = router.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(asked.clone());
        let work = guest.work();
        async move {
            let response = router.call(request).await.unwrap_or_else(|never| match never {});
            Ok::<_, Infallible>(response.map(|body| Answer { body, _work: work }))
        }
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

/// The connections of one listener, for choosing which one has to go.
#[derive(Debug, Default)]
struct House(Mutex<Guests>);

#[derive(Debug, Default)]
struct Guests {
    /// Counts entries and changes of state, so that "longest" needs no clock.
    last: u64,
    present: HashMap<u64, State>,
}

#[derive(Debug)]
struct State {
    /// True from the end of a request's head to the end of its answer.
    works: bool,
    since: u64,
    leave: Arc<Notify>,
}

/// One connection. Forgotten when dropped.
#[derive(Debug)]
struct Guest {
    house: Arc<House>,
    number: u64,
    /// Told when the connection has to go.
    leave: Arc<Notify>,
}

/// A connection at work; dropping this makes it idle.
#[derive(Debug)]
struct Work(Arc<Guest>);

impl House {
    fn enter(house: &Arc<Self>) -> Arc<Guest> {
        let leave = Arc::new(Notify::new());
        let mut guests = house.guests();
        let number = guests.next();
        guests.present.insert(number, State { works: false, since: number, leave: Arc::clone(&leave) });
        drop(guests);
        Arc::new(Guest { house: Arc::clone(house), number, leave })
    }

    fn make_room(&self) {
        let mut guests = self.guests();
        let longest = guests.present.iter().min_by_key(|(_, state)| (state.works, state.since));
        if let Some(number) = longest.map(|(number, _)| *number)
            && let Some(state) = guests.present.remove(&number)
        {
            tracing::debug!(works = state.works, "too many connections: closing the one that has been there longest");
            state.leave.notify_one();
        }
    }

    /// A panic while the lock was held leaves at worst a wrong guess about who is idle.
    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Guest {
    fn work(self: &Arc<Self>) -> Work {
        self.turn(true);
        Work(Arc::clone(self))
    }

    fn turn(&self, works: bool) {
        let mut guests = self.house.guests();
        let since = guests.next();
        if let Some(state) = guests.present.get_mut(&self.number) {
            (state.works, state.since) = (works, since);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.house.guests().present.remove(&self.number);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.turn(false);
    }
}

/// An answer's body, which keeps its connection at work until it is sent or given up.
struct Answer {
    body: Body,
    _work: Work,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Closes `stream` with RST; what is not sent yet is lost.
fn abort(stream: TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::warn!(%error, "cannot reset a connection; it is closed instead");
    }
    drop(stream);
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, timeout};

    const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

    /// Serves `/`, and `/held`, which tells that it was asked and never answers.
    async fn start(connections: usize) -> (SocketAddr, Arc<Notify>, watch::Sender<bool>) {
        let asked = Arc::new(Notify::new());
        let told = Arc::clone(&asked);
        let held = move || async move {
            told.notify_one();
            std::future::pending::<()>().await;
        };
        let router = Router::new().route("/", get(|| async { "here" })).route("/held", get(held));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let limits = Limits { connections, head_timeout: HEAD_TIMEOUT };
        tokio::spawn(serve(listener, router, limits, stopped, |_| {}));
        (address, asked, stop)
    }

    async fn send(stream: &mut TcpStream, path: &str) {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
    }

    async fn answers(stream: &mut TcpStream) -> bool {
        send(stream, "/").await;
        let mut answer = Vec::new();
        while !answer.ends_with(b"here") {
            if stream.read_buf(&mut answer).await.unwrap_or(0) == 0 {
                return false;
            }
        }
        true
    }

    async fn is_closed(stream: &mut TcpStream) -> bool {
        stream.read(&mut [0; 1]).await.unwrap_or(0) == 0
    }

    #[tokio::test]
    async fn a_full_house_closes_the_connection_that_was_idle_longest() {
        let (address, _, _stop) = start(2).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut first).await);
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut second).await);
        // The first was idle longest until now.
        assert!(answers(&mut first).await);
        let mut third = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut third).await);
        assert!(is_closed(&mut second).await);
        assert!(answers(&mut first).await);
    }

    #[tokio::test]
    async fn an_idle_connection_goes_before_one_at_work_and_that_before_nobody() {
        let (address, asked, _stop) = start(2).await;
        let mut busy = TcpStream::connect(address).await.unwrap();
        send(&mut busy, "/held").await;
        asked.notified().await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut idle).await);
        let mut late = TcpStream::connect(address).await.unwrap();
        send(&mut late, "/held").await;
        asked.notified().await;
        assert!(is_closed(&mut idle).await);
        // All are at work now; the one that has worked longest goes.
        let mut scraper = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut scraper).await);
        assert!(is_closed(&mut busy).await);
    }

    #[tokio::test]
    async fn many_idle_clients_do_not_keep_a_scraper_out() {
        let (address, _, _stop) = start(8).await;
        let mut idle = Vec::new();
        for _ in 0..40 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let mut scraper = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut scraper).await);
        for stream in &mut idle[..30] {
            assert!(is_closed(stream).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_is_waited_for_so_long_and_no_longer() {
        for sent in ["", "GET / HTTP/1.1\r\nhost: a\r\nx-slow"] {
            let (address, _, _stop) = start(2).await;
            let start = Instant::now();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            timeout(HEAD_TIMEOUT * 2, stream.read_to_end(&mut answer)).await.expect("it is cut off").unwrap();
            assert!(start.elapsed() >= HEAD_TIMEOUT, "{:?}", start.elapsed());
            assert!(!answer.starts_with(b"HTTP/1.1 2"));
        }
    }
}
