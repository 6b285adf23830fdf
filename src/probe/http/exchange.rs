//! One HTTP connection and one request on it, driven to the end of the answer.
//!
//! The connection is polled by the same future that waits for the answer, so dropping that future ends everything: no
//! task is left behind. Follows no redirect and judges nothing.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use hyper::http::response::Parts;
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::decode::{Body, Coding, Whole};
use super::kind::{PROCESSING, TRANSFER};
use crate::base::bounded::printable;
use crate::base::clock::Instant;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::net::dial::broken;
use crate::probe::net::stream::{Stream, Watch};
use crate::probe::timeline::Timeline;

/// An open connection that speaks HTTP.
pub struct Connection {
    sender: Sender,
    /// `None` once the connection is over.
    driver: Option<Driver>,
    watch: Arc<Watch>,
}

/// An answer that came whole.
pub struct Answer {
    /// Status, version, headers.
    pub head: Parts,
    /// The body, decompressed.
    pub body: Whole,
    /// When the first byte of the answer came.
    pub first_byte: Instant,
}

/// How an exchange can fail.
pub enum Broken {
    /// The request never reached the peer: a reused connection had been closed meanwhile.
    Stale,
    /// The attempt failed.
    Failed(Failure),
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

impl Connection {
    /// Starts speaking HTTP on an open stream.
    ///
    /// # Errors
    /// A [`Failure`] of reason `network` or `protocol`.
    pub async fn start(stream: Stream, http2: bool) -> Result<Self, Failure> {
        let watch = stream.watch();
        let fail = |error| failure(&error, &watch, Stage::Head);
        let io = TokioIo::new(stream);
        let (sender, driver): (_, Driver) = if http2 {
            let (sender, driver) = http2::Builder::new(Tasks::default())
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW)
                .max_header_list_size(MAX_HEAD)
                .handshake(io)
                .await
                .map_err(fail)?;
            (Sender::Http2(sender), Box::pin(driver))
        } else {
            let (sender, driver) = http1::Builder::new()
                .max_buf_size(MAX_HEAD as usize)
                .max_headers(MAX_HEADERS)
                .handshake(io)
                .await
                .map_err(fail)?;
            (Sender::Http1(sender), Box::pin(driver))
        };
        Ok(Self { sender, driver: Some(driver), watch })
    }

    /// True when requests on this connection are written the HTTP/2 way.
    #[must_use]
    pub const fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// True when the connection can take another request, as far as can be told without sending one.
    pub async fn is_ready(&mut self) -> bool {
        let Self { sender, driver, .. } = self;
        let ready = async {
            match sender {
                Sender::Http1(sender) => sender.ready().await,
                Sender::Http2(sender) => sender.ready().await,
            }
        };
        driving(driver, ready).await.is_ok() && self.driver.is_some()
    }

    /// Sends `request` and reads the whole answer, timing `processing` and `transfer`.
    ///
    /// `limit` bounds the body; its bytes are kept if `keep` says so for this head.
    ///
    /// # Errors
    /// [`Broken::Stale`] if nothing was sent, else [`Broken::Failed`].
    pub async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: ByteSize,
        keep: impl Fn(&Parts) -> bool,
        timeline: &mut Timeline,
    ) -> Result<Answer, Broken> {
        timeline.enter(PROCESSING);
        self.watch.rearm();
        let Self { sender, driver, watch } = self;
        let sent: hyper::Result<Response<Incoming>> = match sender {
            Sender::Http1(sender) => driving(driver, sender.send_request(request)).await,
            Sender::Http2(sender) => driving(driver, sender.send_request(request)).await,
        };
        let response = sent.map_err(|error| {
            if error.is_canceled() && watch.read() == 0 {
                Broken::Stale
            } else {
                Broken::Failed(failure(&error, watch, Stage::Head))
            }
        })?;
        // HTTP/2 frames of the connection itself arrive before the answer, so there the head is the first byte known.
        let first_byte = match sender {
            Sender::Http1(_) => watch.first_byte().unwrap_or_else(Instant::now),
            Sender::Http2(_) => Instant::now(),
        };
        let (head, incoming) = response.into_parts();
        timeline.enter_since(TRANSFER, first_byte, format!("{:?} {}", head.version, head.status));
        let keep = keep(&head);
        let body =
            read(driver, watch, incoming, Body::new(coding(&head.headers), limit, keep).map_err(Broken::Failed)?);
        let body = body.await.map_err(Broken::Failed)?;
        timeline.leave(ByteSize(body.size).to_string());
        Ok(Answer { head, body, first_byte })
    }
}

/// The announced length of an answer, if it is sane.
#[must_use]
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// The name of a version as it stands on the wire.
#[must_use]
pub const fn version_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        _ => "unknown",
    }
}

async fn read(
    driver: &mut Option<Driver>,
    watch: &Watch,
    mut incoming: Incoming,
    mut body: Body,
) -> Result<Whole, Failure> {
    while let Some(frame) = driving(driver, incoming.frame()).await {
        let frame = frame.map_err(|error| failure(&error, watch, Stage::Body))?;
        if let Some(piece) = frame.data_ref() {
            body.push(piece)?;
        }
    }
    body.finish()
}

/// The coding of a body. One that is not known is taken as none: some servers write a character set there.
fn coding(headers: &HeaderMap) -> Coding {
    let named = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    named.and_then(Coding::named).unwrap_or(Coding::Identity)
}

/// Waits for `work` while keeping the connection going.
async fn driving<T>(driver: &mut Option<Driver>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        // What went wrong on the connection is told to whoever waits for an answer on it.
        if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_ready()) {
            *driver = None;
        }
        work.as_mut().poll(context)
    })
    .await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Body,
}

fn failure(error: &hyper::Error, watch: &Watch, stage: Stage) -> Failure {
    if watch.is_over() {
        return Failure::new(Reason::BodyTooLarge, "the peer sent more bytes than max_body and its headers allow");
    }
    let doing = if stage == Stage::Head { "waiting for the answer" } else { "reading the body" };
    if error.is_incomplete_message() {
        let bytes = watch.read();
        return Failure::new(Reason::Network, format!("{doing}: the connection was closed after {bytes} bytes"));
    }
    if error.is_parse_too_large() {
        return Failure::new(
            Reason::Protocol,
            format!("the answer's headers are larger than {}", ByteSize(MAX_HEAD.into())),
        );
    }
    let causes = || std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    if let Some(error) = causes().find_map(|cause| cause.downcast_ref::<h2::Error>()) {
        return http2_failure(doing, error);
    }
    match causes().find_map(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) if stage == Stage::Body && cause.kind() == io::ErrorKind::UnexpectedEof => Failure::new(
            Reason::Truncated,
            format!("the body ended after {} of its announced bytes", body_bytes(watch)),
        ),
        Some(cause) if cause.kind() == io::ErrorKind::InvalidData || cause.kind() == io::ErrorKind::InvalidInput => {
            Failure::new(Reason::Protocol, format!("{doing}: {}", printable(&cause.to_string(), 200)))
        }
        Some(cause) => broken(doing, cause),
        None => Failure::new(Reason::Protocol, format!("{doing}: {}", printable(&chain(error), 200))),
    }
}

fn http2_failure(doing: &str, error: &h2::Error) -> Failure {
    if let Some(cause) = error.get_io() {
        return match cause.kind() {
            io::ErrorKind::Other | io::ErrorKind::InvalidData => {
                Failure::new(Reason::Protocol, format!("{doing}: {}", printable(&cause.to_string(), 200)))
            }
            _ => broken(doing, cause),
        };
    }
    let whose = if error.is_remote() { "the peer ended the HTTP/2 exchange" } else { "the peer broke HTTP/2" };
    let reason = error.reason().map_or_else(|| error.to_string(), |reason| reason.description().to_owned());
    Failure::new(Reason::Protocol, format!("{doing}: {whose}: {}", printable(&reason, 160)))
}

fn body_bytes(watch: &Watch) -> String {
    format!("{} bytes, headers included,", watch.read())
}

/// An error with its causes, since hyper keeps the telling part in the cause.
fn chain(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Runs the helper tasks of an HTTP/2 connection, and ends them with it.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            task.await;
        });
    }
}

const MAX_HEAD: u32 = 64 * 1024;
const MAX_HEADERS: usize = 256;
const WINDOW: u32 = 256 * 1024;
