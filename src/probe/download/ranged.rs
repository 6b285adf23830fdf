//! A file read by a few ranged requests: its beginning, whatever lies where its index is, and its end.
//!
//! Reads forward only, a block at a time, over one connection where the server lets it. Where a server does not know
//! ranges, or a file's index lies in many places, reads on in one stream.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::header::{HeaderName, HeaderValue, IF_RANGE, RANGE};

use super::partial::{Part, Same, length_of_whole};
use super::refusal::{Refused, refused};
use super::stream::Stream;
use super::target::Target;
use super::transfer::{Terms, content_type};
use crate::base::clock::Instant;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::caller::Live;
use crate::probe::api::pool::Pool;
use crate::probe::http::exchange::content_length;
use crate::probe::media::Source;
use crate::probe::timeline::Timeline;

/// A file behind an address, read by ranges.
pub struct Ranged<'probe> {
    target: Target<'probe>,
    terms: &'probe Terms<'probe>,
    /// Of the first request: where its time went.
    timeline: &'probe mut Timeline,
    /// The connection between two requests.
    pool: Pool,
    same: Same,
    block: Bytes,
    block_at: u64,
    /// The end of what came.
    seen: u64,
    stream: Option<Stream>,
    learned: Learned,
}

/// What was learned of the transfer, beside the file itself.
#[derive(Debug, Default, Clone)]
pub struct Learned {
    /// The status of the first answer.
    pub status: u16,
    /// False when that status was expected in place of the file.
    pub is_file: bool,
    /// When its first byte came.
    pub first_byte: Option<Instant>,
    /// What the server calls the file.
    pub content_type: Option<String>,
    /// How many requests were made.
    pub requests: u32,
    /// Bytes of the file that came.
    pub received: u64,
    /// The longest that nothing came while an answer was read.
    pub longest_gap: Duration,
}

impl<'probe> Ranged<'probe> {
    /// Nothing is asked until the first read.
    #[must_use]
    pub fn new(target: Target<'probe>, terms: &'probe Terms<'probe>, timeline: &'probe mut Timeline) -> Self {
        Self {
            target,
            terms,
            timeline,
            pool: Pool::default(),
            same: Same::default(),
            block: Bytes::new(),
            block_at: 0,
            seen: 0,
            stream: None,
            learned: Learned::default(),
        }
    }

    /// What was learned so far.
    #[must_use]
    pub fn learned(&self) -> Learned {
        let mut learned = self.learned.clone();
        if let Some(stream) = &self.stream {
            learned.received += stream.received();
            learned.longest_gap = learned.longest_gap.max(stream.longest_gap());
        }
        learned
    }

    /// Reads the first block. False when an expected status came in place of the file.
    ///
    /// # Errors
    /// A [`Failure`] when nothing of the file comes.
    pub async fn begin(&mut self) -> Result<bool, Failure> {
        self.fetch(0, BLOCK).await?;
        Ok(self.learned.is_file)
    }

    /// Reads the file's last bytes, unless they came already: a length may promise what is not there.
    ///
    /// # Errors
    /// `truncated`, and whatever keeps a range from coming.
    pub async fn check_end(&mut self) -> Result<(), Failure> {
        let Some(total) = self.same.total().filter(|total| self.stream.is_none() && self.seen < *total) else {
            return Ok(());
        };
        let at = total.saturating_sub(TAIL).max(self.seen);
        self.read(at, usize::try_from(total - at).unwrap_or(BLOCK)).await.map(drop)
    }

    async fn fetch(&mut self, at: u64, want: usize) -> Result<(), Failure> {
        self.learned.requests += 1;
        let is_first = self.learned.requests == 1;
        // After so many places, the rest is read in one go.
        let last = (self.learned.requests <= MAX_RANGES).then(|| self.last(at, want));
        // The first request's phases are the download's; of the others only the outcome matters.
        let mut later = Timeline::start();
        let timeline = if is_first { &mut *self.timeline } else { &mut later };
        let mut live = self.target.ask(range(at, last, &self.same)?, Some(&self.pool), timeline).await?;
        let status = live.reply.head.status.as_u16();
        if is_first {
            self.learned.first_byte = Some(live.reply.first_byte);
            self.learned.status = status;
            if !matches!(status, 200 | 206) && self.terms.accepts(status) {
                return Ok(());
            }
        }
        match status {
            206 => self.take(live, at, last).await?,
            200 => {
                self.same.agree(content_length(&live.reply.head.headers), &live.reply.head.headers)?;
                self.learned.content_type = content_type(&live);
                self.stream = Some(Stream::new(live, self.terms.max_bytes, self.terms.stall));
            }
            416 => self.end_at(at, &live)?,
            _ => return Err(refused(&mut live, Refused::Range).await),
        }
        self.learned.is_file = true;
        Ok(())
    }

    /// The last byte to ask for, so that at least `want` bytes come from `at` on.
    fn last(&self, at: u64, want: usize) -> u64 {
        let end = self.block_at + self.block.len() as u64;
        // An index that goes on where the last block ended is a long one.
        let goes_on = !self.block.is_empty() && at <= end.saturating_add(BLOCK as u64);
        let ahead = if goes_on { (self.block.len() * 2).clamp(BLOCK, MAX_BLOCK) } else { BLOCK };
        let last = at.saturating_add(want.max(ahead) as u64) - 1;
        self.same.total().map_or(last, |total| last.min(total.saturating_sub(1)))
    }

    /// Takes what a partial answer brings: up to byte `last`, or all that is read of it later.
    async fn take(&mut self, live: Live, at: u64, last: Option<u64>) -> Result<(), Failure> {
        let part = Part::asked_for(&live.reply.head.headers, at)?;
        self.same.agree(part.total, &live.reply.head.headers)?;
        self.learned.content_type = content_type(&live);
        let Terms { max_bytes, stall, .. } = *self.terms;
        let Some(last) = last else {
            self.stream = Some(Stream::new(live, max_bytes, stall).starting_at(at));
            return Ok(());
        };
        let wanted = (part.last.min(last) + 1).saturating_sub(at);
        let mut stream = Stream::new(live, ByteSize(max_bytes.0.max(wanted)), stall);
        let block = stream.read(0, usize::try_from(wanted).unwrap_or(usize::MAX)).await;
        self.learned.received += stream.received();
        self.learned.longest_gap = self.learned.longest_gap.max(stream.longest_gap());
        let block = block?;
        let got = block.len() as u64;
        if got < wanted {
            let detail = format!("the answer announced {wanted} bytes from byte {at} and ended after {got}");
            return Err(Failure::new(Reason::Truncated, detail));
        }
        stream.keep(&self.pool);
        self.seen = self.seen.max(at + got);
        (self.block, self.block_at) = (block, at);
        Ok(())
    }

    /// What it means that the server has nothing from `at` on.
    fn end_at(&mut self, at: u64, live: &Live) -> Result<(), Failure> {
        let total = length_of_whole(&live.reply.head.headers).or_else(|| (at == 0).then_some(0));
        self.same.agree(total, &live.reply.head.headers)?;
        if let Some(total) = self.same.total().filter(|total| at < *total) {
            let detail = format!("bytes from {at} of {total} were refused as beyond the file's end (416)");
            return Err(Failure::new(Reason::Protocol, detail));
        }
        (self.block, self.block_at) = (Bytes::new(), at);
        Ok(())
    }

    fn held(&self, at: u64, want: usize) -> Option<Bytes> {
        let offset = usize::try_from(at.checked_sub(self.block_at)?).ok()?;
        let held = self.block.get(offset..offset.checked_add(want)?)?;
        Some(self.block.slice_ref(held))
    }
}

impl Source for Ranged<'_> {
    fn total(&self) -> Option<u64> {
        self.stream.as_ref().and_then(Source::total).or(self.same.total())
    }

    async fn read(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        let left = self.same.total().map_or(u64::MAX, |total| total.saturating_sub(at));
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(want);
        if let (None, Some(held)) = (&self.stream, self.held(at, want)) {
            return Ok(held);
        }
        // A server may bring less than was asked for.
        let mut all = BytesMut::new();
        while all.len() < want {
            let (at, want) = (at + all.len() as u64, want - all.len());
            if self.stream.is_none() {
                self.fetch(at, want).await?;
            }
            let piece = match &mut self.stream {
                Some(stream) => stream.read(at, want).await?,
                None => self.block.slice(..want.min(self.block.len())),
            };
            if all.is_empty() && (piece.len() == want || self.stream.is_some()) {
                return Ok(piece);
            }
            if piece.is_empty() {
                break;
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}

/// The headers that ask for the bytes from `at` to `last`, or to the end, of a file that is still the same.
fn range(at: u64, last: Option<u64>, same: &Same) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    let last = last.map(|last| last.to_string()).unwrap_or_default();
    let range = HeaderValue::from_str(&format!("bytes={at}-{last}"))
        .map_err(|error| Failure::new(Reason::Agent, format!("a range: {error}")))?;
    Ok(std::iter::once((RANGE, range)).chain(same.condition().map(|tag| (IF_RANGE, tag))).collect())
}

const BLOCK: usize = 64 * 1024;
/// How far a block grows where an index goes on and on.
const MAX_BLOCK: usize = 1 << 20;
/// Small requests before the rest is read in one stream: the beginning, a long index, a few fragments.
const MAX_RANGES: u32 = 8;
/// How much of the file's end is looked for.
const TAIL: u64 = 1024;
