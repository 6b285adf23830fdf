//! Fetches a file, whole or by a few ranges, and says what came: how much, how fast, and whether it plays.
//!
//! Rules about these things are judged elsewhere; here only what no file survives is a failure: a refusal, a transfer
//! that breaks or stalls, bytes that are no playable media.

use std::time::Duration;

use hyper::header::CONTENT_TYPE;
use url::Url;

use super::Mode;
use super::kind::{BYTES, FIRST_BYTE, LONGEST_STALL, MEDIA_DURATION, REQUESTS, THROUGHPUT};
use super::ranged::{Learned, Ranged};
use super::refusal::{Refused, refused};
use super::stream::Stream;
use super::target::{OwnHeaders, Target};
use crate::base::clock::{Clock, Instant};
use crate::base::duration::shown;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::caller::{Caller, Live};
use crate::probe::http::exchange::content_length;
use crate::probe::http::rules::StatusRange;
use crate::probe::media::{self, Decode, Media, Source};
use crate::probe::timeline::Timeline;

/// What is wanted of a transfer.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'probe> {
    /// Whole, or by ranges.
    pub mode: Mode,
    /// The most bytes to take.
    pub max_bytes: ByteSize,
    /// The longest that nothing may come.
    pub stall: Duration,
    /// Whether the SHA-256 is wanted.
    pub hash: bool,
    /// Whether the file is looked into.
    pub inspect: bool,
    /// Whether pictures are decoded, which needs the whole file.
    pub decode: Option<Decode>,
    /// Statuses beside 200 and 206 that end the transfer well.
    pub accept: &'probe [StatusRange],
}

impl Terms<'_> {
    /// True for a status that was said to be fine.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        self.accept.iter().any(|range| range.contains(status))
    }
}

/// A file that came.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The first answer's status.
    pub status: u16,
    /// False when that status was expected in place of the file.
    pub is_file: bool,
    /// What the server calls it.
    pub content_type: Option<String>,
    /// The file's length, where it is known.
    pub total: Option<u64>,
    /// Bytes that came.
    pub bytes: u64,
    /// From the start of the transfer to its first byte.
    pub first_byte: Duration,
    /// Bytes a second, from the first byte to the last; `None` by ranges.
    pub throughput: Option<f64>,
    /// The SHA-256 in hexadecimal, if it was wanted.
    pub sha256: Option<String>,
    /// What was found in it, if it was looked into.
    pub media: Option<Media>,
}

/// Fetches what lies at `url`; `headers` are sent along. What is learned is recorded on `timeline`.
///
/// # Errors
/// A [`Failure`] when the file does not come, or cannot be played.
pub async fn fetch(
    caller: &Caller,
    url: Url,
    headers: OwnHeaders,
    terms: &Terms<'_>,
    clock: &Clock,
    timeline: &mut Timeline,
) -> Result<Fetched, Failure> {
    let target = Target { caller, url, headers, clock };
    let fetched = match terms.mode {
        Mode::Full => whole(&target, terms, timeline).await?,
        Mode::Ranges => by_ranges(target, terms, timeline).await?,
    };
    timeline.leave(summary(&fetched));
    Ok(fetched)
}

async fn whole(target: &Target<'_>, terms: &Terms<'_>, timeline: &mut Timeline) -> Result<Fetched, Failure> {
    let start = Instant::now();
    let mut live = target.ask([], None, timeline).await?;
    let status = live.reply.head.status.as_u16();
    if status != 200 {
        let fetched = Fetched { status, ..Fetched::default() };
        return if terms.accepts(status) { Ok(fetched) } else { Err(refused(&mut live, Refused::Whole).await) };
    }
    let mut fetched = Fetched { status, is_file: true, content_type: content_type(&live), ..Fetched::default() };
    fetched.first_byte = live.reply.first_byte.saturating_duration_since(start);
    timeline.measure(FIRST_BYTE, fetched.first_byte.as_secs_f64());
    let announced = content_length(&live.reply.head.headers);
    if announced.is_some_and(|length| length > terms.max_bytes.0) {
        let detail = format!("the file is announced with more than max_bytes, {}", terms.max_bytes);
        return Err(Failure::new(Reason::BodyTooLarge, detail));
    }
    let copy = terms.decode.map(|_| tempfile::NamedTempFile::new()).transpose().map_err(|error| no_copy(&error))?;
    let mut stream = Stream::new(live, terms.max_bytes, terms.stall);
    if terms.hash {
        stream = stream.hashing();
    }
    if let Some(copy) = &copy {
        let file = copy.reopen().map_err(|error| no_copy(&error))?;
        stream = stream.copying(tokio::fs::File::from_std(file));
    }
    let looked = read(&mut stream, &mut fetched, terms).await;
    record_stream(&stream, &mut fetched, timeline);
    looked?;
    record_media(&fetched, timeline);
    if let (Some(copy), Some(media)) = (copy, &fetched.media) {
        media::decode::decode(copy.path(), media, DECODE_LIMIT).await?;
    }
    Ok(fetched)
}

/// Looks into the file as it comes, and takes it to its end.
async fn read(stream: &mut Stream, fetched: &mut Fetched, terms: &Terms<'_>) -> Result<(), Failure> {
    if terms.inspect {
        fetched.media = Some(media::inspect(stream).await?);
    }
    fetched.sha256 = stream.finish().await?;
    Ok(())
}

fn record_stream(stream: &Stream, fetched: &mut Fetched, timeline: &mut Timeline) {
    fetched.bytes = stream.received();
    fetched.total = Source::total(stream);
    let took = stream.first_byte().elapsed().max(Duration::from_millis(1));
    #[expect(clippy::cast_precision_loss, reason = "sizes stay exact below 2^53")]
    let bytes = fetched.bytes as f64;
    let throughput = bytes / took.as_secs_f64();
    fetched.throughput = Some(throughput);
    timeline.measure(BYTES, bytes);
    timeline.measure(THROUGHPUT, throughput);
    timeline.measure(LONGEST_STALL, stream.longest_gap().as_secs_f64());
}

fn record_media(fetched: &Fetched, timeline: &mut Timeline) {
    let Some(media) = &fetched.media else { return };
    timeline.fact(super::kind::MEDIA, &media.summary());
    if let Some(duration) = media.duration {
        timeline.measure(MEDIA_DURATION, duration.as_secs_f64());
    }
}

async fn by_ranges(target: Target<'_>, terms: &Terms<'_>, timeline: &mut Timeline) -> Result<Fetched, Failure> {
    let start = Instant::now();
    let mut source = Ranged::new(target, terms, timeline);
    let looked = look(&mut source, terms).await;
    let total = source.total();
    let Learned { status, is_file, content_type, received, requests, longest_gap, .. } = source.learned();
    let first_byte = source.learned().first_byte.map(|at| at.saturating_duration_since(start));
    if let Some(first_byte) = first_byte {
        timeline.measure(FIRST_BYTE, first_byte.as_secs_f64());
    }
    #[expect(clippy::cast_precision_loss, reason = "sizes stay exact below 2^53")]
    timeline.measure(BYTES, received as f64);
    timeline.measure(REQUESTS, f64::from(requests));
    timeline.measure(LONGEST_STALL, longest_gap.as_secs_f64());
    let first_byte = first_byte.unwrap_or_default();
    let bytes = received;
    let fetched =
        Fetched { status, is_file, content_type, total, bytes, first_byte, media: looked?, ..Fetched::default() };
    record_media(&fetched, timeline);
    Ok(fetched)
}

/// Looks at the file's beginning, its index and its end.
async fn look(source: &mut Ranged<'_>, terms: &Terms<'_>) -> Result<Option<Media>, Failure> {
    if !source.begin().await? {
        return Ok(None);
    }
    let media = if terms.inspect { Some(media::inspect(source).await?) } else { None };
    source.check_end().await?;
    Ok(media)
}

/// What the server calls the file.
pub(super) fn content_type(live: &Live) -> Option<String> {
    let value = live.reply.head.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn summary(fetched: &Fetched) -> String {
    let of = fetched.total.filter(|total| *total != fetched.bytes).map(|total| format!(" of {}", ByteSize(total)));
    let media = fetched.media.as_ref().map(|media| format!(", {}", media.summary())).unwrap_or_default();
    let first = shown(fetched.first_byte);
    format!("{}{}, first byte after {first}{media}", ByteSize(fetched.bytes), of.unwrap_or_default())
}

fn no_copy(error: &std::io::Error) -> Failure {
    Failure::new(Reason::Agent, format!("cannot keep a copy for the decoder: {error}"))
}

const DECODE_LIMIT: Duration = Duration::from_secs(30);
