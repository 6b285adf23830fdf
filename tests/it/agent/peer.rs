//! A scripted HTTP peer for probes to meet: it writes down who asked for what and when, and holds answers back on order.
//!
//! Speaks as much HTTP as the tests need: one request a connection, no bodies coming in.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::patient;

/// Serves `/…` with 200 and `Create`; `/held…` only after [`Peer::release`]; `/echo…` with the request in the body.
///
/// Stops when dropped.
pub(super) struct Peer {
    address: SocketAddr,
    requests: watch::Receiver<Vec<Request>>,
    released: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// When its head was complete.
    pub(super) at: Instant,
    pub(super) path: String,
    pub(super) head: String,
}

impl Peer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (written, requests) = watch::channel(Vec::new());
        let (released, release) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, written.clone(), release.clone()));
            }
        });
        Self { address, requests, released, task }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Lets every held answer go, those to come as well.
    pub(super) fn release(&self) {
        self.released.send_replace(true);
    }

    /// The requests so far.
    pub(super) fn all(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    /// The requests so far for this path.
    pub(super) fn requests(&self, path: &str) -> Vec<Request> {
        self.all().into_iter().filter(|request| request.path == path).collect()
    }

    /// Waits until so many requests for this path have come.
    pub(super) async fn asked(&self, path: &str, times: usize) -> Vec<Request> {
        let mut requests = self.requests.clone();
        let enough = |all: &Vec<Request>| all.iter().filter(|request| request.path == path).count() >= times;
        patient(path, requests.wait_for(enough)).await.unwrap();
        self.requests(path)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, written: watch::Sender<Vec<Request>>, mut release: watch::Receiver<bool>) {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = if path.starts_with("/echo") { head.clone() } else { "Create".to_owned() };
    written.send_modify(|all| all.push(Request { at: Instant::now(), path: path.clone(), head }));
    if path.starts_with("/held") && release.wait_for(|released| *released).await.is_err() {
        return;
    }
    let length = body.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    // The probe may have gone away; that is its right.
    let _ = stream.write_all((answer + &body).as_bytes()).await;
}
