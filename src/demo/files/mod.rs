//! The store of video files: signed links, ranges, and transfers that can be broken.
//!
//! What a link leads to is in the link ([`link`]), what bytes that is in [`content`]. The store knows neither jobs nor
//! accounts: whoever has a good link gets the file, as at object stores.

pub(super) mod content;
mod link;
mod range;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use self::content::{Content, Stored};
use self::link::{Denial, Treatment};
use self::range::Selection;
use super::backend::Backend;
use super::fault::{Occasion, Source};
use crate::base::clock::Timestamp;
use crate::base::serve::Reset;

/// The store's only kind of address.
pub(super) fn router(backend: Arc<Backend>) -> Router {
    Router::new().route("/files/{name}", get(file)).with_state(backend)
}

/// A video as APIs describe it, with a fresh link. The size is that of the render, whatever became of the stored file.
pub(super) fn video(backend: &Backend, headers: &HeaderMap, id: &str, source: Source) -> Value {
    let struck = backend.faults.strike(Occasion::Link(source));
    let link = link::sign(id, &struck, backend.clock.now());
    json!({
        "url": format!("{}{link}", backend.base(headers)),
        "content_type": VIDEO,
        "file_name": format!("{id}.mp4"),
        "file_size": backend.contents.get(Content::Clip).bytes.len(),
    })
}

async fn file(
    State(backend): State<Arc<Backend>>,
    Extension(reset): Extension<Reset>,
    method: Method,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let now = backend.clock.now();
    let treatment = match link::verify(&name, &query.unwrap_or_default(), now) {
        // Links are signed for GET.
        Ok(_) if method != Method::GET => return deny(Denial::Mismatch, now),
        Ok(treatment) => treatment,
        Err(denial) => return deny(denial, now),
    };
    let stored = backend.contents.get(treatment.content());
    send(stored, treatment, &headers, reset)
}

/// The part of a file that is asked for, in the way that this file is sent.
fn send(stored: &Stored, treatment: Treatment, request: &HeaderMap, reset: Reset) -> Response {
    let length = stored.bytes.len();
    let selection =
        if treatment.has_ranges() { range::select(request, &stored.etag, length) } else { Selection::Whole };
    let (status, bytes, part) = match selection {
        Selection::Whole => (StatusCode::OK, stored.bytes.clone(), None),
        Selection::Part(part) => {
            let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            (StatusCode::PARTIAL_CONTENT, stored.bytes.slice(part), Some(range))
        }
        Selection::Outside => {
            let headers =
                [(header::CONTENT_RANGE, format!("bytes */{length}")), (header::CONTENT_TYPE, XML.to_owned())];
            let text = xml("InvalidRange", "The requested range is not satisfiable", "");
            return (StatusCode::RANGE_NOT_SATISFIABLE, headers, text).into_response();
        }
    };
    let mut response = (status, [(header::CONTENT_TYPE, VIDEO), (header::CACHE_CONTROL, "private")]).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    headers.insert(header::ETAG, stored.etag.clone());
    if treatment.has_ranges() {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    if let Some(range) = part.and_then(|range| HeaderValue::try_from(range).ok()) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    *response.body_mut() = body(bytes, treatment, reset);
    response
}

fn body(bytes: Bytes, treatment: Treatment, reset: Reset) -> Body {
    match (treatment.slow, treatment.breaks()) {
        (false, false) => Body::from(bytes),
        (true, false) => Body::from_stream(drip(bytes)),
        (false, true) => {
            let half = bytes.slice(..bytes.len() / 2);
            Body::from_stream(stream::once(async { Ok(half) }).chain(end(reset)))
        }
        (true, true) => Body::from_stream(drip(bytes.slice(..bytes.len() / 2)).chain(end(reset))),
    }
}

/// A kilobyte at once, a quarter of a second apart.
fn drip(bytes: Bytes) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(bytes, async |mut rest| {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(DRIP_EVERY).await;
        let drop = rest.split_to(rest.len().min(DROP));
        Some((Ok(drop), rest))
    })
}

/// The end of the connection, once what came before is sent.
fn end(reset: Reset) -> impl Stream<Item = io::Result<Bytes>> {
    stream::once(async {
        // Gives the server one turn to send what it has, because a reset throws that away.
        tokio::task::yield_now().await;
        match reset.now().await {}
    })
}

/// The answer of an object store to a link that is no good.
fn deny(denial: Denial, now: Timestamp) -> Response {
    let (status, text) = match denial {
        Denial::Unsigned => (StatusCode::FORBIDDEN, xml("AccessDenied", "Access Denied", "")),
        Denial::Expired(at) => {
            let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
            let times = format!("<Expires>{at}</Expires><ServerTime>{now}</ServerTime>");
            (StatusCode::FORBIDDEN, xml("AccessDenied", "Request has expired", &times))
        }
        Denial::Mismatch => {
            let why = "The request signature we calculated does not match the signature you provided.";
            (StatusCode::FORBIDDEN, xml("SignatureDoesNotMatch", why, ""))
        }
        Denial::Missing => (StatusCode::NOT_FOUND, xml("NoSuchKey", "The specified key does not exist.", "")),
    };
    (status, [(header::CONTENT_TYPE, XML), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

fn xml(code: &str, message: &str, more: &str) -> String {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    format!("{head}\n<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>")
}

const VIDEO: &str = "video/mp4";
const XML: &str = "application/xml";
/// Four kilobytes a second.
const DRIP_EVERY: Duration = Duration::from_millis(250);
const DROP: usize = 1024;

#[cfg(test)]
mod tests {
    use super::super::fault::{Fault, Faults};
    use super::*;
    use crate::base::clock::{Clock, Instant};
    use axum::body::to_bytes;
    use axum::extract::Request;
    use tower_service::Service;

    /// A store without a socket, so that time can be paused, and a link that these faults have hit.
    fn store(faults: &[Fault]) -> (Router, String) {
        let switches = Arc::new(Faults::default());
        for fault in faults {
            switches.switch(*fault, true, None);
        }
        let clock = Clock::simulated("2026-01-01T00:00:00Z".parse().unwrap());
        let backend = Arc::new(Backend::new(switches, clock, ([127, 0, 0, 1], 1).into()));
        let video = video(&backend, &HeaderMap::new(), "dusk-kite", Source::Library);
        let link = video["url"].as_str().unwrap().strip_prefix("http://127.0.0.1:1").unwrap().to_owned();
        (router(backend).layer(Extension(Reset::default())), link)
    }

    async fn fetch(router: &mut Router, link: &str) -> Response {
        router.call(Request::get(link).body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_expires_after_five_minutes() {
        let (mut router, link) = store(&[]);
        tokio::time::advance(Duration::from_secs(299)).await;
        assert_eq!(fetch(&mut router, &link).await.status(), StatusCode::OK);
        tokio::time::advance(Duration::from_secs(1)).await;
        let expired = fetch(&mut router, &link).await;
        assert_eq!(expired.status(), StatusCode::FORBIDDEN);
        let body = to_bytes(expired.into_body(), 1000).await.unwrap();
        assert_eq!(
            body,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
             <Message>Request has expired</Message><Expires>2026-01-01T00:05:00Z</Expires>\
             <ServerTime>2026-01-01T00:05:00Z</ServerTime></Error>"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_drip_brings_all_at_four_kilobytes_a_second() {
        let (mut router, link) = store(&[Fault::SlowDrip, Fault::CutFile]);
        let start = Instant::now();
        let body = to_bytes(fetch(&mut router, &link).await.into_body(), 100_000).await.unwrap();
        let seconds = body.len().div_ceil(DROP) as u64 / 4;
        assert!(body.len() > 10_000, "half the file, and slowly: both faults took hold");
        assert!((seconds..=seconds + 1).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    }
}
