//! MP4 and `QuickTime` (ISO/IEC 14496-12): walks the boxes of the top level, and has each read by its own file.
//!
//! Jumps over media data. Needs no order: the index may stand before the data, behind it, or come in fragments.

mod atom;
mod edit;
mod entry;
mod fragment;
mod movie;
mod sizes;
mod skeleton;
mod table;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use self::atom::Head;
use self::fragment::{Fragments, Listed, Tally};
use self::movie::{Handler, Movie, Trak, agree};
use self::table::Place;
use super::bits::four;
use super::reader::Reader;
use super::source::Source;
use super::{Container, Media, Track, broken, cut};
use crate::model::outcome::Failure;

/// Walks the file to its end, or as far as the limits allow, and then checks that index and data fit together.
pub(super) async fn inspect<S: Source>(reader: &mut Reader<'_, S>) -> Result<Media, Failure> {
    let mut walk = Walk::default();
    let mut at = 0;
    loop {
        let Some(head) = walk.next_head(reader, at).await? else { break };
        let Some(end) = walk.enter(reader, &head).await? else { break };
        at = end;
    }
    walk.finish(reader).await
}

/// What the walk along the top level has found so far.
#[derive(Default)]
struct Walk {
    boxes: u32,
    index: Option<Index>,
    /// Where media data lies, in the order of the file.
    places: Vec<Place>,
    fast_start: bool,
    fragments: Option<Fragments>,
    /// The end of what a segment index lists, and how long that plays.
    listed: Option<Listed>,
    /// Where data lies that is listed by the index itself, in a file that goes on in fragments.
    before: Option<Vec<Place>>,
    /// Where the walk ended before the file's end.
    stopped: Option<u64>,
}

/// The `moov` box.
struct Index {
    bytes: Bytes,
    /// False when long tables were left out, because the whole is too long to hold.
    is_whole: bool,
}

impl Walk {
    /// The box at `at`; `None` where the walk ends.
    async fn next_head<S: Source>(&mut self, reader: &mut Reader<'_, S>, at: u64) -> Result<Option<Head>, Failure> {
        if self.boxes == MAX_BOXES || reader.is_spent() {
            if self.index.is_none() {
                return Err(broken(format!("no index (moov) in the first {} boxes of the file", self.boxes)));
            }
            self.give_up(at);
            return Ok(None);
        }
        let bytes = reader.peek(at, atom::MAX_HEAD).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if let Some(head) = Head::read(&bytes, at) {
            let is_enough = self.fragments.as_ref().is_some_and(Fragments::is_enough);
            self.stopped = (is_enough && &head.kind == b"moof").then_some(at);
            return Ok(self.stopped.is_none().then_some(head));
        }
        // What follows a complete progressive file does not keep it from playing; nor do zeros that fill a block.
        let is_zero = bytes.iter().all(|byte| *byte == 0);
        match (self.index.is_some(), self.fragments.is_some()) {
            (true, _) if is_zero => Ok(None),
            (true, false) if !self.places.is_empty() => Ok(None),
            _ if bytes.len() < atom::MIN_HEAD => Err(reader.ends_in(at, 8, "the head of a box")),
            _ => Err(broken(format!("byte {at} is not the start of a box"))),
        }
    }

    /// What to make of a box that goes beyond the file's end. Behind a complete progressive file, something that is no
    /// known box merely looks like one.
    fn beyond<S: Source>(&self, reader: &Reader<'_, S>, head: &Head, end: u64) -> Result<Option<u64>, Failure> {
        let is_complete = self.index.is_some() && self.fragments.is_none() && !self.places.is_empty();
        if is_complete && !KNOWN.contains(&&head.kind) {
            return Ok(None);
        }
        Err(reader.ends_in(head.at, end - head.at, &format!("box `{}`", four(head.kind))))
    }

    /// Ends the walk where it has cost enough. What was not seen by then cannot be held against the file.
    fn give_up(&mut self, at: u64) {
        self.stopped = Some(at);
        self.places = vec![Place { start: 0, end: u64::MAX }];
    }

    /// Looks into one box; where it ends, or `None` when it is the last one.
    async fn enter<S: Source>(&mut self, reader: &mut Reader<'_, S>, head: &Head) -> Result<Option<u64>, Failure> {
        self.boxes += 1;
        let end = match head.end {
            Some(end) => end,
            None => reader.end().unwrap_or(u64::MAX),
        };
        if head.end.is_some() && reader.end().is_some_and(|file| file < end) {
            return self.beyond(reader, head, end);
        }
        match &head.kind {
            // A second one is ignored by players.
            b"moov" if self.index.is_none() => {
                self.fast_start = self.places.is_empty();
                self.index = Some(skeleton::load(reader, head, end).await?);
                self.fragments = self.read_index()?;
            }
            b"moof" => self.enter_fragment(reader, head, end).await?,
            b"sidx" if self.listed.is_none() => {
                let bytes = reader.exact(head.body, head.body_size(end, MAX_SIDX)?, "box `sidx`").await?;
                self.listed = Listed::read(&bytes, end);
            }
            b"mdat" => self.add_place(Place { start: head.body, end }),
            _ => {}
        }
        // Where no length is announced, what is jumped over must be seen to be there.
        if head.end.is_some() && !reader.reaches(end).await? {
            return self.beyond(reader, head, end);
        }
        Ok(head.end)
    }

    /// The structure is checked as soon as it is there; the tables wait until all of the data has been located.
    fn read_index(&self) -> Result<Option<Fragments>, Failure> {
        let Some(index) = &self.index else { return Ok(None) };
        let movie = Movie::read(&index.bytes, index.is_whole)?;
        Ok(movie.is_fragmented.then(|| Fragments::new(&movie)))
    }

    async fn enter_fragment<S: Source>(
        &mut self,
        reader: &mut Reader<'_, S>,
        head: &Head,
        end: u64,
    ) -> Result<(), Failure> {
        let Some(fragments) = &mut self.fragments else {
            let why =
                if self.index.is_some() { "the index (moov) announces none" } else { "no index (moov) before it" };
            return Err(broken(format!("byte {} begins a fragment (moof), and {why}", head.at)));
        };
        fragments.settle(&self.places, reader).await?;
        // Each fragment is checked against the data that follows it; earlier data is done with.
        let places = std::mem::take(&mut self.places);
        self.before.get_or_insert(places);
        let bytes = reader.exact(head.body, head.body_size(end, MAX_MOOF)?, "box `moof`").await?;
        fragments.add(&bytes, head.at)
    }

    fn add_place(&mut self, place: Place) {
        // Beyond a few, neighbours are taken as one: less exact, and bounded.
        let is_full = self.places.len() == MAX_PLACES;
        match self.places.last_mut() {
            Some(last) if is_full => last.end = place.end,
            _ => self.places.push(place),
        }
    }

    async fn finish<S: Source>(mut self, reader: &mut Reader<'_, S>) -> Result<Media, Failure> {
        let Some(index) = self.index.take() else {
            let what = if self.places.is_empty() { "neither index (moov) nor data" } else { "no index (moov)" };
            return Err(broken(format!("the file has {what}: it was not finished, or its end is missing")));
        };
        let movie = Movie::read(&index.bytes, index.is_whole)?;
        let mut tally = None;
        if let Some(fragments) = &mut self.fragments {
            fragments.settle(&self.places, reader).await?;
            tally = Some(fragments.tally());
        }
        if !movie.is_fragmented || movie.has_samples() {
            self.check_tables(&movie, reader).await?;
        }
        let mut media = Media { fast_start: Some(self.fast_start), ..describe(&movie, tally.as_ref())? };
        media.duration = match &tally {
            None => Some(movie.duration()?),
            Some(tally) => self.duration(&movie, tally, reader).await?,
        };
        let rest = self.stopped.map(|at| format!("what comes behind byte {at}").into());
        media.unseen = rest.or_else(|| (!index.is_whole).then_some(TOO_LONG.into()));
        Ok(media)
    }

    async fn check_tables<S: Source>(&mut self, movie: &Movie<'_>, reader: &mut Reader<'_, S>) -> Result<(), Failure> {
        let places = self.before.as_ref().unwrap_or(&self.places);
        if places.is_empty() {
            return Err(match reader.end() {
                Some(end) => cut(format!("the file ends at byte {end}, before its data (mdat)")),
                None => broken("the file has an index and no data (mdat)"),
            });
        }
        let mut last = 0;
        for trak in movie.played() {
            last = last.max(trak.check(places, reader.end())?);
        }
        if reader.reaches(last).await? { Ok(()) } else { Err(reader.ends_in(0, last, "the data")) }
    }

    /// How long a file of fragments plays; `None` when nothing says so and not all of them were looked at.
    async fn duration<S: Source>(
        &self,
        movie: &Movie<'_>,
        tally: &Tally,
        reader: &mut Reader<'_, S>,
    ) -> Result<Option<Duration>, Failure> {
        if let Some(listed) = &self.listed {
            listed.check(reader).await?;
        }
        let announced = movie.announced();
        let Some(stopped) = self.stopped else {
            // The index of a file that begins with samples of its own counts them in its tables.
            let seen = tally.duration.max(movie.own_duration());
            return match announced {
                Some(announced) if !agree(announced, seen) && announced > seen => Err(cut(format!(
                    "the file announces {:.1}s, its fragments hold {:.1}s",
                    announced.as_secs_f64(),
                    seen.as_secs_f64()
                ))),
                _ => Ok(Some(seen)),
            };
        };
        let listed = self.listed.as_ref().filter(|listed| listed.goes_beyond(stopped));
        Ok(announced.or_else(|| listed.and_then(|listed| listed.duration)))
    }
}

/// The tracks, as people see them.
fn describe(movie: &Movie<'_>, tally: Option<&Tally>) -> Result<Media, Failure> {
    let mut media = Media::new(Container::Mp4);
    media.fragmented = movie.is_fragmented;
    let track = |trak: &Trak<'_>, codec: &Cow<'static, str>| {
        let in_fragments = tally.and_then(|tally| tally.samples(trak.id));
        let samples = trak.table_samples().saturating_add(in_fragments.unwrap_or(0));
        Track { codec: codec.clone(), samples: Some(samples) }
    };
    for trak in movie.played() {
        let described = track(trak, &trak.entry.codec);
        // A track that a file of fragments announces and never fills has nothing to play.
        if described.samples == Some(0) {
            continue;
        }
        match trak.handler {
            Handler::Video if media.video.is_none() => {
                (media.width, media.height) = (trak.entry.width, trak.entry.height);
                media.video = Some(described);
            }
            Handler::Audio if media.audio.is_none() => media.audio = Some(described),
            _ => {}
        }
    }
    if media.video.is_none() && movie.played().any(|trak| trak.handler == Handler::Video) {
        return Err(broken("the video track holds no samples"));
    }
    if media.video.is_none() && media.audio.is_none() {
        return Err(broken("the file has neither a video nor an audio track that holds samples"));
    }
    Ok(media)
}

/// What stands on the top level of files.
const KNOWN: [&[u8; 4]; 14] = [
    b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"free", b"skip", b"wide", b"uuid", b"udta", b"meta", b"sidx",
    b"styp", b"emsg",
];
/// Boxes on the top level before the walk ends. A file of fragments ends it earlier.
const MAX_BOXES: u32 = 4096;
/// Places of media data that are told apart.
const MAX_PLACES: usize = 16;
/// The longest fragment head. A second of video needs about a KiB.
const MAX_MOOF: usize = 1 << 20;
/// The longest segment index: 80,000 segments.
const MAX_SIDX: usize = 1 << 20;
const TOO_LONG: &str = "the longest tables of the index";

#[cfg(test)]
mod tests;
