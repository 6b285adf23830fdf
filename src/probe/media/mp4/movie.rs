//! The `moov` box: what the file's index says about its tracks.
//!
//! Structure only. The sample tables are checked by [`super::table`], against where the data lies.

use std::fmt;
use std::time::Duration;

use super::super::bits::{Cursor, four};
use super::super::broken;
use super::atom::{Atom, Atoms, full};
use super::edit::Edits;
use super::entry::Entry;
use super::table::Tables;
use crate::model::outcome::Failure;

/// The index of a file.
pub(super) struct Movie<'b> {
    /// Ticks a second of the movie's own clock.
    pub(super) timescale: u32,
    /// The header's duration in those ticks; `None` when it says that it does not know.
    header: Option<u64>,
    /// True when fragments follow.
    pub(super) is_fragmented: bool,
    /// The duration of all fragments, when the index announces one.
    fragments: Option<u64>,
    /// Every track, of whatever kind.
    pub(super) traks: Vec<Trak<'b>>,
    /// What samples of fragments are like unless they say otherwise.
    pub(super) defaults: Vec<Defaults>,
}

/// One `trak` box.
pub(super) struct Trak<'b> {
    pub(super) id: u32,
    pub(super) handler: Handler,
    /// Ticks a second of the track's clock.
    pub(super) timescale: u32,
    /// The media's duration in those ticks; `None` when it says that it does not know.
    pub(super) ticks: Option<u64>,
    pub(super) entry: Entry,
    pub(super) tables: Tables<'b>,
    pub(super) edits: Edits,
    pub(super) is_fragmented: bool,
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handler {
    Video,
    Audio,
    /// Subtitles, time codes, hints: of no concern here.
    Other,
}

impl fmt::Display for Handler {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Other => "other",
        })
    }
}

/// One `trex` box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    pub(super) id: u32,
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

impl<'b> Movie<'b> {
    /// Reads the content of a `moov` box. `is_whole` is false when long tables were left out.
    pub(super) fn read(body: &'b [u8], is_whole: bool) -> Result<Self, Failure> {
        let (mut header, mut extends, mut traks) = (None, None, Vec::new());
        for atom in Atoms::new(body, "moov") {
            let atom = atom?;
            match &atom.kind {
                b"mvhd" => header = Some(clock(&atom)?),
                b"mvex" => extends = Some(Extends::read(atom.body)?),
                b"trak" => traks.push(atom),
                b"cmov" => return Err(broken("the index is compressed (cmov), which players no longer read")),
                _ => {}
            }
        }
        let Some((timescale, ticks)) = header else { return Err(missing("mvhd", "moov")) };
        let is_fragmented = extends.is_some();
        let traks = traks.iter().map(|atom| Trak::read(atom.body, is_fragmented, is_whole));
        let traks = traks.collect::<Result<Vec<_>, _>>()?;
        let extends = extends.unwrap_or_default();
        let movie = Self {
            timescale,
            header: ticks,
            is_fragmented,
            fragments: extends.ticks,
            traks,
            defaults: extends.defaults,
        };
        if movie.played().next().is_none() {
            return Err(broken("the file has neither a video nor an audio track"));
        }
        movie.check_header()?;
        Ok(movie)
    }

    /// The tracks that are seen or heard.
    pub(super) fn played(&self) -> impl Iterator<Item = &Trak<'b>> {
        self.traks.iter().filter(|trak| trak.handler != Handler::Other)
    }

    /// True when the index itself lists samples, which a file of fragments need not have.
    pub(super) fn has_samples(&self) -> bool {
        self.played().any(|trak| trak.table_samples() > 0)
    }

    /// How long the fragments play together, where the index says so.
    pub(super) fn announced(&self) -> Option<Duration> {
        Some(span(self.fragments.filter(|ticks| *ticks > 0)?, self.timescale))
    }

    /// How long a progressive file plays.
    pub(super) fn duration(&self) -> Result<Duration, Failure> {
        let header = self.header.map(|ticks| span(ticks, self.timescale)).unwrap_or_default();
        let own = self.own_duration();
        let duration = if own.is_zero() { header } else { own };
        if duration.is_zero() { Err(broken("the file says that it lasts 0s")) } else { Ok(duration) }
    }

    /// How long the samples play that the index itself lists.
    pub(super) fn own_duration(&self) -> Duration {
        self.played().filter_map(|trak| trak.duration(self.timescale)).max().unwrap_or_default()
    }

    /// How long the header says that it plays. Of a file of fragments it often says nothing.
    fn check_header(&self) -> Result<(), Failure> {
        let Some(ticks) = self.header.filter(|_| !self.is_fragmented) else { return Ok(()) };
        if ticks == 0 {
            return Err(broken("the file's header (mvhd) says that it lasts 0s"));
        }
        let said = span(ticks, self.timescale);
        // Any track counts: subtitles may outlast the picture.
        let longest = self.traks.iter().filter_map(|trak| trak.duration(self.timescale)).max();
        match longest {
            Some(longest) if !agree(said, longest) => Err(broken(format!(
                "the file's header (mvhd) says that it lasts {:.1}s, its longest track {:.1}s",
                said.as_secs_f64(),
                longest.as_secs_f64()
            ))),
            _ => Ok(()),
        }
    }
}

impl<'b> Trak<'b> {
    fn read(body: &'b [u8], is_fragmented: bool, is_whole: bool) -> Result<Self, Failure> {
        let (mut id, mut edits, mut media) = (None, Edits::default(), None);
        for atom in Atoms::new(body, "trak") {
            let atom = atom?;
            match &atom.kind {
                b"tkhd" => id = Some(track_id(&atom)?),
                b"edts" => edits = Edits::read(atom.body)?,
                b"mdia" => media = Some(atom),
                _ => {}
            }
        }
        let Some(id) = id else { return Err(missing("tkhd", "trak")) };
        let Some(media) = media else { return Err(missing("mdia", "trak")) };
        let MediaBox { clock, handler, info } = MediaBox::read(media.body)?;
        let (timescale, ticks) = clock;
        let mut trak = Self {
            id,
            handler,
            timescale,
            ticks,
            entry: Entry::default(),
            tables: Tables::default(),
            edits,
            is_fragmented,
        };
        if handler != Handler::Other {
            trak.read_samples(info, is_whole)?;
            trak.edits.check(&trak)?;
        }
        Ok(trak)
    }

    fn read_samples(&mut self, info: Option<Atom<'b>>, is_whole: bool) -> Result<(), Failure> {
        let Some(info) = info else { return Err(missing("minf", "mdia")) };
        let mut table = None;
        for atom in Atoms::new(info.body, "minf") {
            let atom = atom?;
            match &atom.kind {
                b"stbl" => table = Some(atom),
                b"dinf" => check_location(atom.body)?,
                _ => {}
            }
        }
        let Some(table) = table else { return Err(missing("stbl", "minf")) };
        self.tables = Tables::read(table.body, is_whole)?;
        let Some(description) = self.tables.description else { return Err(missing("stsd", "stbl")) };
        self.entry = Entry::read(description, self.handler)?;
        Ok(())
    }

    /// How long it plays: its edits where it has some, else its media. `None` where neither says.
    pub(super) fn duration(&self, movie_timescale: u32) -> Option<Duration> {
        match self.edits.ticks() {
            Some(ticks) => Some(span(ticks, movie_timescale)),
            None => self.ticks.map(|ticks| span(ticks, self.timescale)),
        }
    }
}

/// What is of interest in an `mdia` box.
struct MediaBox<'b> {
    clock: (u32, Option<u64>),
    handler: Handler,
    info: Option<Atom<'b>>,
}

impl<'b> MediaBox<'b> {
    fn read(body: &'b [u8]) -> Result<Self, Failure> {
        let (mut header, mut handler, mut info) = (None, None, None);
        for atom in Atoms::new(body, "mdia") {
            let atom = atom?;
            match &atom.kind {
                b"mdhd" => header = Some(clock(&atom)?),
                b"hdlr" => handler = Some(read_handler(&atom)?),
                b"minf" => info = Some(atom),
                _ => {}
            }
        }
        let Some(clock) = header else { return Err(missing("mdhd", "mdia")) };
        let Some(handler) = handler else { return Err(missing("hdlr", "mdia")) };
        Ok(Self { clock, handler, info })
    }
}

/// What is of interest in an `mvex` box.
#[derive(Default)]
struct Extends {
    ticks: Option<u64>,
    defaults: Vec<Defaults>,
}

impl Extends {
    fn read(body: &[u8]) -> Result<Self, Failure> {
        let mut extends = Self::default();
        for atom in Atoms::new(body, "mvex") {
            let atom = atom?;
            match &atom.kind {
                b"mehd" => {
                    let (version, _, mut cursor) = atom.full().ok_or_else(|| short(&atom))?;
                    extends.ticks = time(&mut cursor, version).ok_or_else(|| short(&atom))?;
                }
                b"trex" => extends.defaults.push(Defaults::read(&atom).ok_or_else(|| short(&atom))?),
                _ => {}
            }
        }
        Ok(extends)
    }
}

impl Defaults {
    fn read(atom: &Atom<'_>) -> Option<Self> {
        let (_, _, mut cursor) = atom.full()?;
        let id = cursor.u32_be()?;
        cursor.skip(4)?;
        Some(Self { id, duration: cursor.u32_be()?, size: cursor.u32_be()?, flags: cursor.u32_be()? })
    }
}

/// The timescale and the duration of an `mvhd` or `mdhd` box, which begin alike.
fn clock(atom: &Atom<'_>) -> Result<(u32, Option<u64>), Failure> {
    let read = || {
        let (version, _, mut cursor) = atom.full()?;
        cursor.skip(if version == 1 { 16 } else { 8 })?;
        Some((cursor.u32_be()?, time(&mut cursor, version)?))
    };
    let (timescale, ticks) = read().ok_or_else(|| short(atom))?;
    if timescale == 0 {
        return Err(broken(format!("box `{}` has a timescale of 0", atom.name())));
    }
    Ok((timescale, ticks))
}

/// A duration of 64 or 32 bits, by the box's version. All bits set means that nobody knows.
#[expect(clippy::option_option, reason = "whether there are bytes, and whether they say something")]
fn time(cursor: &mut Cursor<'_>, version: u8) -> Option<Option<u64>> {
    let ticks = if version == 1 {
        cursor.u64_be()?
    } else {
        let ticks = cursor.u32_be()?;
        if ticks == u32::MAX { u64::MAX } else { u64::from(ticks) }
    };
    Some((ticks != u64::MAX).then_some(ticks))
}

fn track_id(atom: &Atom<'_>) -> Result<u32, Failure> {
    let read = || {
        let (version, _, mut cursor) = atom.full()?;
        cursor.skip(if version == 1 { 16 } else { 8 })?;
        cursor.u32_be()
    };
    read().ok_or_else(|| short(atom))
}

fn read_handler(atom: &Atom<'_>) -> Result<Handler, Failure> {
    let read = || {
        let (_, _, mut cursor) = atom.full()?;
        cursor.skip(4)?;
        cursor.array::<4>()
    };
    Ok(match &read().ok_or_else(|| short(atom))? {
        b"vide" => Handler::Video,
        b"soun" => Handler::Audio,
        _ => Handler::Other,
    })
}

/// The data must lie in this file: players do not follow references to others.
fn check_location(dinf: &[u8]) -> Result<(), Failure> {
    for atom in Atoms::new(dinf, "dinf") {
        let atom = atom?;
        if &atom.kind != b"dref" {
            continue;
        }
        let (_, _, mut cursor) = atom.full().ok_or_else(|| short(&atom))?;
        cursor.skip(4).ok_or_else(|| short(&atom))?;
        let references = Atoms::new(cursor.0, "dref").collect::<Result<Vec<_>, _>>()?;
        let is_here = |reference: &Atom<'_>| full(reference.body).is_some_and(|(_, flags, _)| flags & 1 != 0);
        if let Some(first) = references.first().filter(|_| !references.iter().any(is_here)) {
            return Err(broken(format!("the data lies in another file (dref `{}`)", four(first.kind))));
        }
    }
    Ok(())
}

/// Ticks of a clock as a span, at most some thousand years.
pub(super) fn span(ticks: u64, timescale: u32) -> Duration {
    let timescale = u64::from(timescale.max(1));
    let nanos = u128::from(ticks % timescale) * 1_000_000_000 / u128::from(timescale);
    Duration::new((ticks / timescale).min(LONGEST), u32::try_from(nanos).unwrap_or(0))
}

/// True when two statements about one duration do not contradict each other.
pub(super) fn agree(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= Duration::from_secs(1) + one.max(other) / 10
}

pub(super) fn missing(what: &str, inside: &str) -> Failure {
    broken(format!("box `{inside}` has no `{what}`"))
}

pub(super) fn short(atom: &Atom<'_>) -> Failure {
    broken(format!("box `{}` is too short", atom.name()))
}

const LONGEST: u64 = 100_000_000_000;
