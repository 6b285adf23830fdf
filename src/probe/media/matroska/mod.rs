//! Matroska and `WebM` (RFC 9559): walks the segment from cluster to cluster.
//!
//! Where the file says how long it plays, one picture in each cluster is looked for and the rest jumped over; a live stream,
//! which does not say, is walked block by block for as long as the limits allow.

mod tracks;

use std::borrow::Cow;
use std::time::Duration;

use self::tracks::{Kind, Tracks};
use super::bits::Cursor;
use super::ebml::{self, Elements, Head};
use super::reader::Reader;
use super::source::Source;
use super::{Container, Media, Track, broken};
use crate::model::outcome::Failure;

/// Walks the file to its end, or as far as the limits allow.
pub(super) async fn inspect<S: Source>(reader: &mut Reader<'_, S>) -> Result<Media, Failure> {
    let head = reader.peek(0, ebml::MAX_HEAD).await?;
    if head.len() < ebml::MAX_HEAD {
        return Err(reader.ends_in(0, ebml::MAX_HEAD as u64, "the EBML header"));
    }
    let head = Head::read(&head).filter(|head| head.size.is_some_and(|size| size <= MAX_HEADER));
    let head = head.ok_or_else(|| broken("the EBML header has no usable size"))?;
    let size = usize::try_from(head.size.unwrap_or(0)).unwrap_or(0);
    let body = reader.exact(head.length, size, "the EBML header").await?;
    let container = match Elements::new(&body).find(|(id, _)| *id == DOC_TYPE).map(|(_, name)| trimmed(name)) {
        Some(b"webm") => Container::Webm,
        Some(b"matroska") => Container::Matroska,
        Some(other) => {
            return Err(broken(format!("the EBML document is `{}`, no Matroska", String::from_utf8_lossy(other))));
        }
        None => return Err(broken("the EBML header does not say what follows (DocType)")),
    };
    let mut walk = Walk { at: head.length + size as u64, ..Walk::default() };
    walk.find_segment(reader).await?;
    for _ in 0..MAX_ELEMENTS {
        if reader.is_spent() || walk.clusters > ENOUGH {
            return walk.finish(container, false);
        }
        if !walk.element(reader).await? {
            return walk.finish(container, true);
        }
    }
    walk.finish(container, false)
}

/// What the walk has found so far.
#[derive(Default)]
struct Walk {
    at: u64,
    /// Where the segment ends; `None` in a live stream.
    end: Option<u64>,
    clusters: u32,
    cluster: Cluster,
    /// The cluster's time, in ticks.
    time: u64,
    /// Nanoseconds a tick.
    scale: Option<u64>,
    duration: Option<f64>,
    tracks: Option<Tracks>,
    /// The earliest and the latest time of a block, in ticks.
    span: Option<(u64, u64)>,
}

/// The cluster around the place of the walk.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Cluster {
    #[default]
    None,
    /// It does not say where it ends.
    Open,
    Until(u64),
}

impl Cluster {
    const fn end(self) -> Option<u64> {
        if let Self::Until(end) = self { Some(end) } else { None }
    }

    fn is_some(self) -> bool {
        self != Self::None
    }
}

impl Walk {
    async fn find_segment<S: Source>(&mut self, reader: &mut Reader<'_, S>) -> Result<(), Failure> {
        loop {
            let head = self.head(reader).await?.ok_or_else(|| super::cut("the file ends before its segment"))?;
            let body = self.at.saturating_add(head.length);
            match head.id {
                SEGMENT => {
                    self.end = head.size.map(|size| body.saturating_add(size));
                    self.at = body;
                    return self.check_end(reader);
                }
                VOID | CRC if head.size.is_some() => self.at = body.saturating_add(head.size.unwrap_or(0)),
                _ => return Err(broken(format!("byte {} is not the start of a segment", self.at))),
            }
        }
    }

    /// A segment that says where it ends must end there.
    fn check_end<S: Source>(&self, reader: &Reader<'_, S>) -> Result<(), Failure> {
        match self.end.zip(reader.end()) {
            Some((end, file)) if file < end => Err(reader.ends_in(self.at, end - self.at, "the segment")),
            _ => Ok(()),
        }
    }

    /// The head at `at`; `None` where the file ends.
    async fn head<S: Source>(&self, reader: &mut Reader<'_, S>) -> Result<Option<Head>, Failure> {
        let bytes = reader.peek(self.at, ebml::MAX_HEAD).await?;
        match Head::read(&bytes) {
            Some(head) => Ok(Some(head)),
            None if bytes.is_empty() => Ok(None),
            None if bytes.len() < ebml::MAX_HEAD => Err(reader.ends_in(self.at, 2, "the head of an element")),
            None => Err(broken(format!("byte {} is not the start of an element", self.at))),
        }
    }

    /// Looks into one element of the segment or of a cluster, and goes behind it. False at the end.
    async fn element<S: Source>(&mut self, reader: &mut Reader<'_, S>) -> Result<bool, Failure> {
        if self.end.is_some_and(|end| self.at >= end) {
            return Ok(false);
        }
        let Some(head) = self.head(reader).await? else {
            return match self.end {
                Some(end) => Err(reader.ends_in(self.at, end - self.at, "the segment")),
                None => Ok(false),
            };
        };
        let body = self.at.saturating_add(head.length);
        if self.cluster.end().is_some_and(|end| self.at >= end) {
            self.cluster = Cluster::None;
        }
        let Some(size) = head.size else {
            return self.open_ended(head.id, body);
        };
        let end = body.saturating_add(size);
        if let Some(around) = self.cluster.end().or(self.end).filter(|around| end > *around) {
            let what = "goes beyond what is around it, to byte";
            return Err(broken(format!("the element at byte {} {what} {around}", self.at)));
        }
        // A cluster is entered; that all of it is there shows when its end is reached.
        if head.id == CLUSTER && reader.end().is_none_or(|file| end <= file) {
            self.enter_cluster(Cluster::Until(end), body);
            return Ok(true);
        }
        self.pass(reader, head.id, body, end).await?;
        Ok(true)
    }

    /// Looks into the element whose content goes from `body` to `end`, and goes behind it.
    async fn pass<S: Source>(
        &mut self,
        reader: &mut Reader<'_, S>,
        id: u32,
        body: u64,
        end: u64,
    ) -> Result<(), Failure> {
        let found_picture = self.look(reader, id, body, end - body).await;
        // Reading may have shown where the file ends, and what was found then is beside the point.
        if reader.end().is_some_and(|file| file < end) {
            return Err(reader.ends_in(self.at, end - self.at, "an element"));
        }
        let found_picture = found_picture?;
        self.at = match self.cluster.end() {
            Some(cluster_end) if found_picture && self.may_jump() => cluster_end,
            _ => end,
        };
        // What is jumped over must be seen to be there.
        if reader.reaches(self.at).await? { Ok(()) } else { Err(reader.ends_in(body, self.at - body, "an element")) }
    }

    /// True when the rest of a cluster may be jumped over once it has shown a picture.
    fn may_jump(&self) -> bool {
        let is_known = self.tracks.as_ref().is_some_and(Tracks::are_all_seen);
        self.duration.is_some() && (is_known || self.clusters > FIRST)
    }

    /// An element of unknown size: a cluster of a live stream, and nothing else.
    fn open_ended(&mut self, id: u32, body: u64) -> Result<bool, Failure> {
        if id != CLUSTER {
            return Err(broken(format!("the element at byte {} has no size", self.at)));
        }
        self.enter_cluster(Cluster::Open, body);
        Ok(true)
    }

    fn enter_cluster(&mut self, cluster: Cluster, body: u64) {
        self.clusters += 1;
        self.cluster = cluster;
        self.time = 0;
        self.at = body;
    }

    /// Looks into an element that has a size. True when it was a picture.
    async fn look<S: Source>(
        &mut self,
        reader: &mut Reader<'_, S>,
        id: u32,
        at: u64,
        size: u64,
    ) -> Result<bool, Failure> {
        let whole = usize::try_from(size).unwrap_or(usize::MAX);
        match id {
            INFO if self.scale.is_none() => self.info(&whole_of(reader, at, whole, "Info").await?)?,
            TRACKS if self.tracks.is_none() => {
                self.tracks = Some(Tracks::read(&whole_of(reader, at, whole, "Tracks").await?)?);
            }
            TIMESTAMP if self.cluster.is_some() => {
                self.time = ebml::unsigned(&reader.exact(at, whole.min(8), "a time").await?).unwrap_or(0);
            }
            SIMPLE_BLOCK if self.cluster.is_some() => {
                return self.block(&reader.peek(at, whole.min(BLOCK_HEAD)).await?, true);
            }
            BLOCK_GROUP if self.cluster.is_some() => {
                let group = reader.peek(at, whole.min(GROUP_HEAD)).await?;
                if let Some(block) = block_of(&group) {
                    return self.block(block, false);
                }
            }
            _ => {}
        }
        Ok(false)
    }

    /// The head of a block: track, time within the cluster, flags.
    fn block(&mut self, head: &[u8], tells_keyframes: bool) -> Result<bool, Failure> {
        let mut cursor = Cursor(head);
        let read = ebml::number(&mut cursor).flatten().zip(cursor.u16_be()).zip(cursor.u8());
        let Some(((track, offset), flags)) = read else {
            return Err(broken(format!("the block at byte {} is too short", self.at)));
        };
        let time = self.time.saturating_add_signed(offset.cast_signed().into());
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
        let Some(tracks) = &mut self.tracks else { return Err(broken("the first block comes before the tracks")) };
        tracks.count(track, tells_keyframes.then_some(flags & 0x80 != 0))
    }

    fn info(&mut self, body: &[u8]) -> Result<(), Failure> {
        let mut scale = 1_000_000;
        for (id, value) in Elements::new(body) {
            match id {
                TIMESTAMP_SCALE => scale = ebml::unsigned(value).unwrap_or(0),
                DURATION => self.duration = ebml::float(value).filter(|ticks| ticks.is_finite() && *ticks > 0.0),
                _ => {}
            }
        }
        if scale == 0 {
            return Err(broken("the segment has a time scale of 0"));
        }
        self.scale = Some(scale);
        Ok(())
    }

    fn finish(self, container: Container, is_whole: bool) -> Result<Media, Failure> {
        let (Some(scale), Some(tracks)) = (self.scale, &self.tracks) else {
            let what = if self.scale.is_none() { "information (Info)" } else { "tracks (Tracks)" };
            return Err(broken(format!("the segment has no {what}")));
        };
        tracks.check(is_whole)?;
        let mut media = Media::new(container);
        let is_counted = is_whole && self.duration.is_none();
        let track =
            |found: &tracks::Found| Track { codec: found.codec.clone(), samples: is_counted.then_some(found.blocks) };
        if let Some(video) = tracks.first(Kind::Video) {
            (media.width, media.height) = (video.width, video.height);
            media.video = Some(track(video));
        }
        media.audio = tracks.first(Kind::Audio).map(track);
        media.duration = match self.duration {
            Some(ticks) => Duration::try_from_secs_f64(ticks * as_float(scale) / 1e9).ok(),
            None => self.span.filter(|_| is_whole).map(|(first, last)| {
                let ticks = u128::from(last - first) * u128::from(scale);
                Duration::from_nanos(u64::try_from(ticks).unwrap_or(u64::MAX)).saturating_add(tracks.frame_duration())
            }),
        };
        let rest = (!is_whole).then(|| Cow::Owned(format!("what comes behind byte {}", self.at)));
        Ok(Media { unseen: rest, ..media })
    }
}

/// The head of the block in a group that begins so. It usually comes first, and never far behind.
fn block_of(mut group: &[u8]) -> Option<&[u8]> {
    while let Some(head) = Head::read(group) {
        let body = group.get(usize::try_from(head.length).ok()?..)?;
        if head.id == BLOCK {
            return Some(body);
        }
        group = body.get(usize::try_from(head.size?).ok()?..)?;
    }
    None
}

async fn whole_of<S: Source>(
    reader: &mut Reader<'_, S>,
    at: u64,
    size: usize,
    what: &str,
) -> Result<bytes::Bytes, Failure> {
    if size > MAX_INDEX {
        return Err(broken(format!("element `{what}` claims {size} bytes, at most {MAX_INDEX} are expected")));
    }
    reader.exact(at, size, &format!("element `{what}`")).await
}

/// A text may end in zero bytes.
fn trimmed(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a scale of more than 2^53 nanoseconds is no scale")]
const fn as_float(scale: u64) -> f64 {
    scale as f64
}

const DOC_TYPE: u32 = 0x4282;
const SEGMENT: u32 = 0x1853_8067;
const VOID: u32 = 0xec;
const CRC: u32 = 0xbf;
const INFO: u32 = 0x1549_a966;
const TIMESTAMP_SCALE: u32 = 0x002a_d7b1;
const DURATION: u32 = 0x4489;
const TRACKS: u32 = 0x1654_ae6b;
const CLUSTER: u32 = 0x1f43_b675;
const TIMESTAMP: u32 = 0xe7;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;

const MAX_HEADER: u64 = 4096;
/// The longest information about a segment or its tracks. A track's own configuration may take some KiB.
const MAX_INDEX: usize = 1 << 20;
/// Track, time and flags.
const BLOCK_HEAD: usize = 8 + 3;
/// How far into a group its block is looked for.
const GROUP_HEAD: usize = 128;
const MAX_ELEMENTS: u32 = 50_000;
/// Clusters in which a block of each track is looked for.
const FIRST: u32 = 3;
/// Clusters that are looked at: minutes of video, as they usually are cut.
const ENOUGH: u32 = 100;

#[cfg(test)]
mod tests;
