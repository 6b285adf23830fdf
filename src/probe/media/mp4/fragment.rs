//! Fragments (`moof`) and the segment index (`sidx`): do the samples that they list lie in the data that follows?
//!
//! Holds the ranges of one fragment at a time. Looks at [`ENOUGH`] fragments, not at all of a long recording.

use std::time::Duration;

use super::super::bits::Cursor;
use super::super::broken;
use super::super::reader::Reader;
use super::super::source::Source;
use super::atom::{Atom, Atoms, full};
use super::movie::{Defaults, Handler, Movie, missing, short, span};
use super::table::Place;
use crate::model::outcome::Failure;

/// All that was learned from the fragments so far.
pub(super) struct Fragments {
    streams: Vec<Stream>,
    count: u32,
    /// Ranges that the last fragment lists, to be found in the data behind it.
    pending: Vec<Place>,
}

/// One track across fragments.
struct Stream {
    id: u32,
    handler: Handler,
    timescale: u32,
    defaults: Defaults,
    samples: u64,
    /// When it begins and ends, in its own ticks.
    begin: Option<u64>,
    end: u64,
}

/// What all fragments come to.
pub(super) struct Tally {
    samples: Vec<(u32, u64)>,
    /// How long the longest track plays.
    pub(super) duration: Duration,
}

impl Tally {
    /// How many samples the fragments hold of a track.
    pub(super) fn samples(&self, id: u32) -> Option<u64> {
        self.samples.iter().find(|(track, _)| *track == id).map(|(_, samples)| *samples)
    }
}

impl Fragments {
    pub(super) fn new(movie: &Movie<'_>) -> Self {
        let stream = |trak: &super::Trak<'_>| {
            let defaults = movie.defaults.iter().find(|defaults| defaults.id == trak.id).copied();
            let defaults = defaults.unwrap_or(Defaults { id: trak.id, duration: 0, size: 0, flags: 0 });
            // Samples in the index come before those in fragments.
            let begin = (trak.table_samples() > 0).then_some(0);
            let (id, handler, timescale) = (trak.id, trak.handler, trak.timescale);
            Stream { id, handler, timescale, defaults, samples: 0, begin, end: 0 }
        };
        Self { streams: movie.traks.iter().map(stream).collect(), count: 0, pending: Vec::new() }
    }

    /// True when no more fragments are looked at.
    pub(super) const fn is_enough(&self) -> bool {
        self.count >= ENOUGH
    }

    pub(super) fn tally(&self) -> Tally {
        let played = self.streams.iter().filter(|stream| stream.handler != Handler::Other);
        let duration = |stream: &Stream| span(stream.end.saturating_sub(stream.begin.unwrap_or(0)), stream.timescale);
        Tally {
            samples: self.streams.iter().map(|stream| (stream.id, stream.samples)).collect(),
            duration: played.map(duration).max().unwrap_or_default(),
        }
    }

    /// Reads the content of a `moof` box that begins at `at`.
    pub(super) fn add(&mut self, body: &[u8], at: u64) -> Result<(), Failure> {
        self.count += 1;
        // Without other word a track's data follows that of the track before it.
        let mut follows = at;
        let mut has_tracks = false;
        for atom in Atoms::new(body, "moof") {
            let atom = atom?;
            if &atom.kind == b"traf" {
                has_tracks = true;
                follows = self.add_track(atom.body, at, follows)?;
            }
        }
        if has_tracks { Ok(()) } else { Err(missing("traf", "moof")) }
    }

    /// Reads one `traf` box. Gives where its data ends.
    fn add_track(&mut self, body: &[u8], at: u64, follows: u64) -> Result<u64, Failure> {
        let (mut header, mut time, mut runs) = (None, None, Vec::new());
        for atom in Atoms::new(body, "traf") {
            let atom = atom?;
            match &atom.kind {
                b"tfhd" => header = Some(Header::read(&atom).ok_or_else(|| short(&atom))?),
                b"tfdt" => time = Some(decode_time(&atom).ok_or_else(|| short(&atom))?),
                b"trun" => runs.push(atom),
                _ => {}
            }
        }
        let Some(header) = header else { return Err(missing("tfhd", "traf")) };
        let id = header.id;
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) else {
            return Err(broken(format!("the fragment at byte {at} names track {id}, which the index does not know")));
        };
        let base = header.base.unwrap_or(if header.is_from_moof { at } else { follows });
        if let Some(time) = time {
            stream.end = time;
        }
        let defaults = header.over(stream.defaults);
        let mut next = base;
        for run in runs {
            let run = Run::read(&run, &defaults)?;
            let start = run.offset.map_or(Some(next), |offset| base.checked_add_signed(offset.into()));
            let place = start.and_then(|start| Some(Place { start, end: start.checked_add(run.bytes)? }));
            let place = place.ok_or_else(|| broken(format!("the fragment at byte {at} lists data before the file")))?;
            next = place.end;
            stream.add(&run)?;
            note(&mut self.pending, place);
        }
        Ok(next)
    }

    /// Finds what the last fragment lists in `places`, the data behind it.
    pub(super) async fn settle<S: Source>(
        &mut self,
        places: &[Place],
        reader: &mut Reader<'_, S>,
    ) -> Result<(), Failure> {
        for range in std::mem::take(&mut self.pending) {
            if places.iter().any(|place| place.holds(range)) {
                continue;
            }
            let Place { start, end } = range;
            if !reader.reaches(end).await? {
                return Err(reader.ends_in(start, end - start, "the data of a fragment"));
            }
            return Err(broken(format!(
                "a fragment lists bytes {start} to {end}, outside of the media data (mdat) behind it"
            )));
        }
        Ok(())
    }
}

/// Adds a range, joined with the last one where they touch. Past a bound only the outermost ends are kept.
fn note(pending: &mut Vec<Place>, place: Place) {
    if place.start == place.end {
        return;
    }
    let is_full = pending.len() >= MAX_RANGES;
    match pending.last_mut() {
        Some(last) if last.end == place.start => last.end = place.end,
        Some(last) if is_full => {
            *last = Place { start: last.start.min(place.start), end: last.end.max(place.end) };
        }
        _ => pending.push(place),
    }
}

impl Stream {
    fn add(&mut self, run: &Run) -> Result<(), Failure> {
        if run.samples == 0 {
            return Ok(());
        }
        if self.samples == 0 && self.handler == Handler::Video && run.first_flags & NOT_SYNC != 0 {
            return Err(broken("the first fragment does not begin with a keyframe"));
        }
        if run.bytes == 0 && self.handler == Handler::Video {
            return Err(broken("a fragment lists video samples without any bytes"));
        }
        self.begin.get_or_insert(self.end);
        self.samples = self.samples.saturating_add(run.samples.into());
        self.end = self.end.saturating_add(run.ticks);
        Ok(())
    }
}

/// A `tfhd` box.
struct Header {
    id: u32,
    base: Option<u64>,
    is_from_moof: bool,
    duration: Option<u32>,
    size: Option<u32>,
    flags: Option<u32>,
}

impl Header {
    fn read(atom: &Atom<'_>) -> Option<Self> {
        let (_, flags, mut cursor) = atom.full()?;
        let id = cursor.u32_be()?;
        let base = if flags & 0x1 == 0 { None } else { Some(cursor.u64_be()?) };
        let _description = optional(&mut cursor, flags & 0x2)?;
        Some(Self {
            id,
            base,
            is_from_moof: flags & 0x2_0000 != 0,
            duration: optional(&mut cursor, flags & 0x8)?,
            size: optional(&mut cursor, flags & 0x10)?,
            flags: optional(&mut cursor, flags & 0x20)?,
        })
    }

    fn over(&self, defaults: Defaults) -> Defaults {
        Defaults {
            id: self.id,
            duration: self.duration.unwrap_or(defaults.duration),
            size: self.size.unwrap_or(defaults.size),
            flags: self.flags.unwrap_or(defaults.flags),
        }
    }
}

/// A `trun` box, summed up.
struct Run {
    samples: u32,
    /// From the base to its first byte; `None` when it follows the run before.
    offset: Option<i32>,
    bytes: u64,
    ticks: u64,
    first_flags: u32,
}

impl Run {
    fn read(atom: &Atom<'_>, defaults: &Defaults) -> Result<Self, Failure> {
        let (_, flags, mut cursor) = atom.full().ok_or_else(|| short(atom))?;
        let mut head = || {
            let samples = cursor.u32_be()?;
            let offset = optional(&mut cursor, flags & 0x1)?.map(u32::cast_signed);
            Some((samples, offset, optional(&mut cursor, flags & 0x4)?))
        };
        let (samples, offset, first) = head().ok_or_else(|| short(atom))?;
        let columns = [0x100, 0x200, 0x400, 0x800].iter().filter(|column| flags & **column != 0).count();
        let (own_time, own_size) = (flags & 0x100 != 0, flags & 0x200 != 0);
        let each = |value: u32, is_own: bool| if is_own { 0 } else { u64::from(samples) * u64::from(value) };
        let mut run = Self {
            samples,
            offset,
            bytes: each(defaults.size, own_size),
            ticks: each(defaults.duration, own_time),
            first_flags: first.unwrap_or(defaults.flags),
        };
        if columns > 0 {
            let rows = (samples as usize).checked_mul(columns * 4).and_then(|size| cursor.0.get(..size));
            let rows =
                rows.ok_or_else(|| broken(format!("a fragment's run claims {samples} samples and is shorter")))?;
            run.sum(rows.chunks_exact(columns * 4), flags, first.is_none());
        }
        Ok(run)
    }

    fn sum<'r>(&mut self, rows: impl Iterator<Item = &'r [u8]>, flags: u32, first_has_own: bool) {
        for (number, row) in rows.enumerate() {
            let mut cursor = Cursor(row);
            if flags & 0x100 != 0 {
                self.ticks = self.ticks.saturating_add(cursor.u32_be().unwrap_or(0).into());
            }
            if flags & 0x200 != 0 {
                self.bytes = self.bytes.saturating_add(cursor.u32_be().unwrap_or(0).into());
            }
            if flags & 0x400 != 0 && number == 0 && first_has_own {
                self.first_flags = cursor.u32_be().unwrap_or(0);
            }
        }
    }
}

/// A field that is there when its flag is set.
#[expect(clippy::option_option, reason = "whether there are bytes, and whether there is the field")]
fn optional(cursor: &mut Cursor<'_>, flag: u32) -> Option<Option<u32>> {
    if flag == 0 { Some(None) } else { cursor.u32_be().map(Some) }
}

fn decode_time(atom: &Atom<'_>) -> Option<u64> {
    let (version, _, mut cursor) = atom.full()?;
    if version == 1 { cursor.u64_be() } else { cursor.u32_be().map(u64::from) }
}

/// What a segment index (`sidx`) lists.
pub(super) struct Listed {
    end: u64,
    /// How long the segments play together.
    pub(super) duration: Option<Duration>,
}

impl Listed {
    /// Reads the content of a `sidx` box that ends at `anchor`. `None` when there is nothing to learn from it.
    pub(super) fn read(body: &[u8], anchor: u64) -> Option<Self> {
        let (version, _, mut cursor) = full(body)?;
        cursor.skip(4)?;
        let timescale = cursor.u32_be()?;
        let first = if version == 0 {
            cursor.skip(4)?;
            u64::from(cursor.u32_be()?)
        } else {
            cursor.skip(8)?;
            cursor.u64_be()?
        };
        cursor.skip(2)?;
        let count = cursor.u16_be()?;
        let (mut end, mut ticks) = (anchor.checked_add(first)?, 0_u64);
        for entry in cursor.0.chunks_exact(12).take(count.into()) {
            let mut cursor = Cursor(entry);
            end = end.checked_add((cursor.u32_be()? & 0x7fff_ffff).into())?;
            ticks = ticks.saturating_add(cursor.u32_be()?.into());
        }
        Some(Self { end, duration: (ticks > 0 && timescale > 0).then(|| span(ticks, timescale)) })
    }

    /// True when it lists what lies behind `at`.
    pub(super) const fn goes_beyond(&self, at: u64) -> bool {
        self.end > at
    }

    /// All that it lists must be there.
    pub(super) async fn check<S: Source>(&self, reader: &mut Reader<'_, S>) -> Result<(), Failure> {
        if reader.reaches(self.end).await? {
            return Ok(());
        }
        Err(reader.ends_in(0, self.end, "what the segment index (sidx) lists,"))
    }
}

/// Fragments that are looked at: over three minutes in the usual pieces of two seconds.
const ENOUGH: u32 = 100;
/// Ranges of one fragment that are told apart.
const MAX_RANGES: usize = 4096;
const NOT_SYNC: u32 = 0x1_0000;
