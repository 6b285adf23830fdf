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
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use hyper::http::response::Parts;
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::decode::{Body, Whole};
use super::kind::TRANSFER;
use crate::base::bounded::printable;
use crate::base::clock::Instant;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::net::dial::broken;
use crate::probe::net::stream::{Stream, Watch};
use crate::probe::net::tls::{refusal, tls_failure};
use crate::probe::timeline::Timeline;

/// An open connection that speaks HTTP.
pub struct Connection {
    sender: Sender,
    /// `None` once the connection is over.
    driver: Option<Driver>,
    watch: Arc<Watch>,
}

/// An answer of which the head came.
pub struct Reply {
    /// Status, version, headers.
    pub head: Parts,
    /// When the first byte of the answer came.
    pub first_byte: Instant,
    body: Incoming,
}

/// How sending a request can fail.
pub enum Broken {
    /// The request was not sent: the connection was over before.
    Unsent(Failure),
    /// The connection ended without a byte of an answer; the peer may or may not have seen the request.
    Unanswered(Failure),
    /// Anything else.
    Failed(Failure),
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Unsent(failure) | Broken::Unanswered(failure) | Broken::Failed(failure) => failure,
        }
    }
}

impl Reply {
    /// True when all of the answer has been read, as far as its length tells.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.body.is_end_stream()
    }
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
            let (sender, driver) =
                http1::Builder::new().max_buf_size(MAX_HEAD as usize).handshake(io).await.map_err(fail)?;
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

    /// Sends `request` and waits for the head of the answer, which is the phase `processing`; leaves the timeline in the
    /// phase `transfer`.
    ///
    /// # Errors
    /// [`Broken`], which says whether the request can be sent again.
    pub async fn send(&mut self, request: Request<Full<Bytes>>, timeline: &mut Timeline) -> Result<Reply, Broken> {
        self.watch.rearm();
        let Self { sender, driver, watch } = self;
        let sent: hyper::Result<Response<Incoming>> = match sender {
            Sender::Http1(sender) => driving(driver, sender.send_request(request)).await,
            Sender::Http2(sender) => driving(driver, sender.send_request(request)).await,
        };
        let response = sent.map_err(|error| {
            let failure = failure(&error, watch, Stage::Head);
            if error.is_canceled() {
                Broken::Unsent(failure)
            } else if watch.read() == 0 && failure.reason == Reason::Network {
                Broken::Unanswered(failure)
            } else {
                Broken::Failed(failure)
            }
        })?;
        // HTTP/2 frames of the connection itself arrive before the answer, so there the head is the first byte known.
        let first_byte = match sender {
            Sender::Http1(_) => watch.first_byte().unwrap_or_else(Instant::now),
            Sender::Http2(_) => Instant::now(),
        };
        let (head, body) = response.into_parts();
        timeline.enter_since(TRANSFER, first_byte, format!("{} {}", version_name(head.version), head.status.as_u16()));
        Ok(Reply { head, first_byte, body })
    }

    /// Reads the rest of an answer into `body`.
    ///
    /// # Errors
    /// A [`Failure`] of reason `truncated`, `network`, `protocol` or `body_too_large`.
    pub async fn receive(
        &mut self,
        reply: &mut Reply,
        mut body: Body,
        timeline: &mut Timeline,
    ) -> Result<Whole, Failure> {
        let Self { driver, watch, .. } = self;
        let announced = content_length(&reply.head.headers).filter(|_| !reply.body.is_end_stream());
        body.expect(announced)?;
        watch.allow(body.limit());
        while let Some(piece) = next_piece(driver, watch, &mut reply.body, body.encoded(), announced).await? {
            body.push(&piece)?;
        }
        let whole = body.finish()?;
        timeline.leave(ByteSize(whole.size).to_string());
        Ok(whole)
    }

    /// Lets the peer send so many bytes of body until the next request.
    pub fn allow(&self, bytes: u64) {
        self.watch.allow(bytes);
    }

    /// The next piece of an answer's body, of which `received` bytes came before; `None` at its end.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub async fn piece(&mut self, reply: &mut Reply, received: u64) -> Result<Option<Bytes>, Failure> {
        let announced = content_length(&reply.head.headers);
        next_piece(&mut self.driver, &self.watch, &mut reply.body, received, announced).await
    }
}

async fn next_piece(
    driver: &mut Option<Driver>,
    watch: &Watch,
    body: &mut Incoming,
    received: u64,
    announced: Option<u64>,
) -> Result<Option<Bytes>, Failure> {
    while let Some(frame) = driving(driver, body.frame()).await {
        let frame = frame.map_err(|error| failure(&error, watch, Stage::Body { encoded: received, announced }))?;
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
    Ok(None)
}

/// The announced length of an answer, if it is sane. Chunks overrule it (RFC 9112 §6.3).
#[must_use]
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
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

/// How far an exchange had come when it broke.
#[derive(Clone, Copy)]
enum Stage {
    Head,
    Body { encoded: u64, announced: Option<u64> },
}

impl Stage {
    const fn doing(self) -> &'static str {
        match self {
            Self::Head => "waiting for the answer",
            Self::Body { .. } => "reading the body",
        }
    }

    /// What it means that the peer ended the connection here.
    fn ended(self, watch: &Watch) -> Failure {
        match (self, watch.read()) {
            (Self::Head, 0) => {
                Failure::new(Reason::Network, "the connection was closed by the peer before a byte of the answer came")
            }
            (Self::Head, bytes) => Failure::new(
                Reason::Network,
                format!("the connection was closed by the peer after {bytes} bytes, before the answer's headers ended"),
            ),
            (Self::Body { encoded, announced }, _) => {
                let of = announced.map(|announced| format!(" of {announced} announced")).unwrap_or_default();
                Failure::new(Reason::Truncated, format!("the body ended after {encoded}{of} bytes"))
            }
        }
    }

    /// What it means that the peer sent more than the stream lets through.
    fn too_much(self) -> Failure {
        match self {
            Self::Head => Failure::new(Reason::Protocol, "the peer sent half a megabyte and no answer in it"),
            Self::Body { .. } => Failure::new(
                Reason::BodyTooLarge,
                "the peer sent more bytes than max_body, the headers and the framing account for",
            ),
        }
    }
}

fn failure(error: &hyper::Error, watch: &Watch, stage: Stage) -> Failure {
    let doing = stage.doing();
    if watch.is_over() {
        return stage.too_much();
    }
    if error.is_incomplete_message() {
        return stage.ended(watch);
    }
    if error.is_canceled() {
        return Failure::new(Reason::Network, "the connection was closed by the peer before the request was sent");
    }
    if error.is_parse_too_large() {
        let limit = ByteSize(MAX_HEAD.into());
        return Failure::new(Reason::Protocol, format!("the answer's headers are more than {limit} or too many"));
    }
    let causes = || std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    if let Some(error) = causes().find_map(|cause| cause.downcast_ref::<h2::Error>()) {
        return http2_failure(stage, error, watch);
    }
    match causes().find_map(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => io_failure(stage, cause, watch),
        None => Failure::new(Reason::Protocol, format!("{doing}: {}", printable(&chain(error), 200))),
    }
}

fn io_failure(stage: Stage, error: &io::Error, watch: &Watch) -> Failure {
    let doing = stage.doing();
    if let Some(error) = refusal(error) {
        return tls_failure(doing, error);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => stage.ended(watch),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
            Failure::new(Reason::Protocol, format!("{doing}: {}", printable(&error.to_string(), 200)))
        }
        _ => broken(doing, error),
    }
}

fn http2_failure(stage: Stage, error: &h2::Error, watch: &Watch) -> Failure {
    let doing = stage.doing();
    if let Some(error) = error.get_io() {
        return io_failure(stage, error, watch);
    }
    // Of what one stream can do wrong while its body comes, h2 tells this apart by nothing but the place.
    let is_length = error.is_reset() && error.is_library() && error.reason() == Some(h2::Reason::PROTOCOL_ERROR);
    if let (Stage::Body { announced: Some(announced), .. }, true) = (stage, is_length) {
        let detail = format!("the body has another length than the {announced} bytes announced");
        return Failure::new(Reason::Truncated, detail);
    }
    let reason = error.reason().map_or_else(|| error.to_string(), |reason| reason.description().to_owned());
    let reason = printable(&reason, 160);
    if error.is_remote() {
        let what = if error.is_go_away() { "the connection" } else { "the request" };
        return Failure::new(Reason::Network, format!("{doing}: the peer ended {what} by HTTP/2: {reason}"));
    }
    Failure::new(Reason::Protocol, format!("{doing}: the peer broke HTTP/2: {reason}"))
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

/// Room for the head of an answer. hyper takes at most 100 headers of HTTP/1.
const MAX_HEAD: u32 = 64 * 1024;
const WINDOW: u32 = 256 * 1024;
