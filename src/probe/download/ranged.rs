//! A file read by a few ranged requests: its beginning, and whatever lies where its index is.
//!
//! Never asks with HEAD: a signed address is signed for GET. Reads forward only, a block at a time.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE};
use url::Url;

use super::stream::Stream;
use super::transfer::{Refused, content_type, refused};
use crate::base::bounded::printable;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::caller::{Caller, Header, Live};
use crate::probe::http::request::{Blueprint, Parts};
use crate::probe::media::Source;
use crate::probe::timeline::Timeline;

/// Headers that go with each request.
pub type OwnHeaders = Vec<Header>;

/// A file behind an address, read by ranges; by one stream where the server does not know ranges.
pub struct Ranged<'probe> {
    caller: &'probe Caller,
    url: Url,
    headers: OwnHeaders,
    limit: ByteSize,
    patience: Duration,
    total: Option<u64>,
    etag: Option<HeaderValue>,
    block: Bytes,
    block_at: u64,
    stream: Option<Stream>,
    content_type: Option<String>,
    requests: u32,
    received: u64,
    /// Of the first request: where its time went.
    timeline: &'probe mut Timeline,
}

impl<'probe> Ranged<'probe> {
    /// Nothing is asked until the first read.
    #[must_use]
    pub fn new(
        caller: &'probe Caller,
        url: Url,
        headers: OwnHeaders,
        limit: ByteSize,
        patience: Duration,
        timeline: &'probe mut Timeline,
    ) -> Self {
        Self {
            caller,
            url,
            headers,
            limit,
            patience,
            total: None,
            etag: None,
            block: Bytes::new(),
            block_at: 0,
            stream: None,
            content_type: None,
            requests: 0,
            received: 0,
            timeline,
        }
    }

    /// What the server calls the file.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// How many requests were made.
    #[must_use]
    pub const fn requests(&self) -> u32 {
        self.requests
    }

    /// Bytes of the file that came.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received + self.stream.as_ref().map_or(0, Stream::received)
    }

    async fn fetch(&mut self, at: u64, want: usize) -> Result<(), Failure> {
        if self.requests >= MAX_REQUESTS {
            let detail = format!("the file's index is scattered over more than {MAX_REQUESTS} places");
            return Err(Failure::new(Reason::NotPlayable, detail));
        }
        self.requests += 1;
        let end = self.last(at, want);
        let blueprint = self.blueprint(at, end)?;
        // The first request's phases are the download's; of the others only the outcome matters.
        let mut later = Timeline::start();
        let timeline = if self.requests == 1 { &mut *self.timeline } else { &mut later };
        let mut live = self.caller.open(&blueprint, true, timeline).await?;
        self.content_type = content_type(&live).or(self.content_type.take());
        match live.reply.head.status.as_u16() {
            206 => {
                self.check(&live, at)?;
                self.take(live, at, end).await
            }
            200 => {
                self.total = None;
                self.stream = Some(Stream::new(live, self.limit, self.patience));
                Ok(())
            }
            416 => {
                self.total = Some(content_range(&live).and_then(|(_, total)| total).unwrap_or(at));
                (self.block, self.block_at) = (Bytes::new(), at);
                Ok(())
            }
            _ => Err(refused(&mut live, Refused::Range).await),
        }
    }

    fn last(&self, at: u64, want: usize) -> u64 {
        let end = at.saturating_add(want.max(BLOCK) as u64) - 1;
        self.total.map_or(end, |total| end.min(total.saturating_sub(1)))
    }

    fn blueprint(&self, at: u64, end: u64) -> Result<Blueprint, Failure> {
        let value = |text: String| {
            HeaderValue::from_str(&text).map_err(|error| Failure::new(Reason::Agent, format!("a range: {error}")))
        };
        let mut headers = self.headers.clone();
        headers.push((ACCEPT_ENCODING, HeaderValue::from_static("identity"), false));
        headers.push((RANGE, value(format!("bytes={at}-{end}"))?, false));
        if let Some(etag) = &self.etag {
            headers.push((IF_RANGE, etag.clone(), false));
        }
        Ok(Blueprint::of(Parts { method: Method::GET, url: self.url.clone(), headers, content: None, close: false }))
    }

    /// What a partial answer says of the whole, which must stay as it was.
    fn check(&mut self, live: &Live, at: u64) -> Result<(), Failure> {
        let (start, total) = content_range(live).ok_or_else(|| {
            Failure::new(Reason::Protocol, "the answer is partial (206) and has no content-range that can be read")
        })?;
        if start != at {
            return Err(Failure::new(Reason::Protocol, format!("asked for bytes from {at}, got those from {start}")));
        }
        if self.total.is_some() && total.is_some() && total != self.total {
            return Err(Failure::new(Reason::Protocol, "the file changed its length while it was read"));
        }
        self.total = total.or(self.total);
        if self.etag.is_none() {
            // A weak tag does not vouch for single bytes (RFC 9110 §8.8.3).
            let strong = live.reply.head.headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
            self.etag = strong.cloned();
        }
        Ok(())
    }

    async fn take(&mut self, live: Live, at: u64, end: u64) -> Result<(), Failure> {
        let wanted = usize::try_from(end - at + 1).unwrap_or(usize::MAX);
        let mut stream = Stream::new(live, ByteSize(wanted as u64), self.patience);
        let block = stream.read(0, wanted).await;
        self.received += stream.received();
        (self.block, self.block_at) = (block?, at);
        Ok(())
    }
}

impl Source for Ranged<'_> {
    fn total(&self) -> Option<u64> {
        self.stream.as_ref().map_or(self.total, Source::total)
    }

    async fn read(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        if self.total == Some(0) || self.total.is_some_and(|total| at >= total) {
            return Ok(Bytes::new());
        }
        let want = self.total.map_or(want, |total| want.min(usize::try_from(total - at).unwrap_or(want)));
        let offset = at.checked_sub(self.block_at).and_then(|offset| usize::try_from(offset).ok());
        let held = offset.and_then(|offset| self.block.get(offset..offset.checked_add(want)?));
        if let (None, Some(_)) = (&self.stream, held) {
            return Ok(held.map(|held| self.block.slice_ref(held)).unwrap_or_default());
        }
        if self.stream.is_none() {
            self.fetch(at, want).await?;
        }
        if let Some(stream) = &mut self.stream {
            return stream.read(at, want).await;
        }
        Ok(self.block.slice(..want.min(self.block.len())))
    }
}

/// Where a partial answer begins, and how long the whole is, by `content-range`.
fn content_range(live: &Live) -> Option<(u64, Option<u64>)> {
    let text = live.reply.head.headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let start = if range == "*" { 0 } else { range.split('-').next()?.trim().parse().ok()? };
    Some((start, total.trim().parse().ok()))
}

/// What a status other than the expected one is called in a failure.
impl Refused {
    /// The statuses that would have been fine.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Whole => "200",
            Self::Range => "206 or 200",
        }
    }
}

/// Shown for an address without its query, which may hold a signature.
#[must_use]
pub fn place(url: &Url) -> String {
    printable(&url[..url::Position::AfterPath], 200)
}

const BLOCK: usize = 64 * 1024;
/// The beginning, the index and a few fragments; a hostile file does not get to ask for more.
const MAX_REQUESTS: u32 = 12;
