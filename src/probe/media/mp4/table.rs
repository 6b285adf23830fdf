//! Sample tables (`stbl`): do they agree with each other, and does all that they list lie in the file?
//!
//! Streams over the tables and sums; no sample is ever stored, so the cost is linear in the bytes that came.

use super::super::bits::Cursor;
use super::super::{broken, cut};
use super::atom::{Atom, Atoms};
use super::movie::{Trak, agree, missing, short, span};
use super::sizes::Sizes;
use crate::model::outcome::Failure;

/// A range of the file that holds media data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Place {
    pub(super) const fn holds(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// The tables of one track, not yet checked.
#[derive(Default)]
pub(super) struct Tables<'b> {
    /// The `stsd` box.
    pub(super) description: Option<Atom<'b>>,
    durations: Option<Table<'b>>,
    chunks: Option<Table<'b>>,
    sizes: Option<Sizes<'b>>,
    offsets: Option<Offsets<'b>>,
    sync: Option<Table<'b>>,
}

impl<'b> Tables<'b> {
    /// Reads the content of an `stbl` box. Tables may be shorter than they say only when the index is not whole.
    pub(super) fn read(body: &'b [u8], is_whole: bool) -> Result<Self, Failure> {
        let mut tables = Self::default();
        for atom in Atoms::new(body, "stbl") {
            let atom = atom?;
            let table = |entry| Table::read(&atom, entry, is_whole);
            match &atom.kind {
                b"stsd" => tables.description = Some(atom),
                b"stts" => tables.durations = Some(table(8)?),
                b"stsc" => tables.chunks = Some(table(12)?),
                b"stsz" | b"stz2" => tables.sizes = Some(Sizes::read(&atom, is_whole)?),
                b"stco" => tables.offsets = Some(Offsets { table: table(4)?, is_wide: false }),
                b"co64" => tables.offsets = Some(Offsets { table: table(8)?, is_wide: true }),
                b"stss" => tables.sync = Some(table(4)?),
                _ => {}
            }
        }
        Ok(tables)
    }
}

impl Trak<'_> {
    /// How many samples the index lists; none are there where fragments have them.
    pub(super) fn table_samples(&self) -> u64 {
        self.tables.sizes.as_ref().map_or(0, |sizes| sizes.count.into())
    }

    /// Checks the tables against each other, against `places`, and against the file's end.
    /// Gives the end of the last data that they list.
    pub(super) fn check(&self, places: &[Place], file_end: Option<u64>) -> Result<u64, Failure> {
        let Tables { durations, chunks, sizes, offsets, sync, .. } = &self.tables;
        let lacks = |what| missing(what, "stbl");
        let sizes = sizes.as_ref().ok_or_else(|| lacks("stsz"))?;
        if sizes.count == 0 && self.is_fragmented {
            return Ok(0);
        }
        let handler = self.handler;
        if sizes.count == 0 {
            return Err(broken(format!("the {handler} track holds no samples")));
        }
        let durations = durations.as_ref().ok_or_else(|| lacks("stts"))?;
        let chunks = chunks.as_ref().ok_or_else(|| lacks("stsc"))?;
        let offsets = offsets.as_ref().ok_or_else(|| lacks("stco"))?;
        self.check_durations(durations, sizes.count)?;
        if let Some(sync) = sync {
            self.check_sync(sync, sizes.count)?;
        }
        if !(sizes.is_whole && chunks.is_whole && offsets.table.is_whole) {
            return Ok(0);
        }
        let near = Place { start: 0, end: 0 };
        let walk = Walk { trak: self, places, file_end: file_end.unwrap_or(u64::MAX), near, last: 0, bytes: 0 };
        walk.run(chunks, sizes.clone(), offsets)
    }

    fn check_durations(&self, durations: &Table<'_>, samples: u32) -> Result<(), Failure> {
        if !durations.is_whole {
            return Ok(());
        }
        let (mut count, mut ticks) = (0_u64, 0_u64);
        for entry in durations.entries.chunks_exact(8) {
            let mut cursor = Cursor(entry);
            let Some((run, each)) = cursor.u32_be().zip(cursor.u32_be()) else { break };
            count = count.saturating_add(run.into());
            ticks = ticks.saturating_add(u64::from(run) * u64::from(each));
        }
        let handler = self.handler;
        if count != u64::from(samples) {
            return Err(broken(format!(
                "the tables of the {handler} track disagree: stts lists {count} samples, stsz {samples}"
            )));
        }
        let (said, sum) = (self.ticks.map(|ticks| span(ticks, self.timescale)), span(ticks, self.timescale));
        match said {
            Some(said) if !agree(said, sum) => Err(broken(format!(
                "the {handler} track says that it lasts {:.1}s, its samples last {:.1}s",
                said.as_secs_f64(),
                sum.as_secs_f64()
            ))),
            _ => Ok(()),
        }
    }

    /// A player starts at a sample that needs no other, and looks for it first.
    fn check_sync(&self, sync: &Table<'_>, samples: u32) -> Result<(), Failure> {
        let mut last = 0;
        for entry in sync.entries.chunks_exact(4) {
            let number = Cursor(entry).u32_be().unwrap_or(0);
            if last == 0 && number != 1 {
                return Err(broken(format!(
                    "the {} track does not begin with a keyframe (stss begins with {number})",
                    self.handler
                )));
            }
            if number <= last || number > samples {
                return Err(broken(format!(
                    "the {} track lists sample {number} as a keyframe, behind {last} and of {samples} (stss)",
                    self.handler
                )));
            }
            last = number;
        }
        if sync.count == 0 {
            return Err(broken(format!("the {} track has no keyframe (stss is empty)", self.handler)));
        }
        Ok(())
    }
}

/// The walk over the chunks of one track.
struct Walk<'w> {
    trak: &'w Trak<'w>,
    places: &'w [Place],
    /// As far as it is known.
    file_end: u64,
    /// The place that held the last chunk, and probably holds the next.
    near: Place,
    last: u64,
    bytes: u64,
}

impl Walk<'_> {
    fn run(mut self, runs: &Table<'_>, mut sizes: Sizes<'_>, offsets: &Offsets<'_>) -> Result<u64, Failure> {
        let total = offsets.table.count;
        let mut offsets = offsets.clone();
        let mut next_chunk = 1;
        let mut entries = runs.entries.chunks_exact(12).peekable();
        while let Some(entry) = entries.next() {
            let mut cursor = Cursor(entry);
            let Some((first, each)) = cursor.u32_be().zip(cursor.u32_be()) else { break };
            // The run goes to the chunk before the next run's first, or to the last one.
            let until = match entries.peek() {
                Some(next) => Cursor(next).u32_be().unwrap_or(0),
                None => total.saturating_add(1),
            };
            if first != next_chunk || until <= first || until > total.saturating_add(1) || each == 0 {
                return Err(self.disagree(&format!("stsc has a run of chunks {first} to {until} of {total}")));
            }
            for chunk in first..until {
                let Some(at) = offsets.next() else { return Err(self.disagree("stco is too short")) };
                let Some(size) = sizes.sum(each) else {
                    return Err(
                        self.disagree(&format!("stsc and stco list more samples than stsz, from chunk {chunk} on"))
                    );
                };
                self.chunk(chunk, at, size)?;
            }
            next_chunk = until;
        }
        if sizes.left > 0 {
            return Err(self.disagree(&format!("stsz lists {} samples more than stsc and stco", sizes.left)));
        }
        if self.bytes == 0 {
            return Err(broken(format!("every sample of the {} track is empty", self.trak.handler)));
        }
        Ok(self.last)
    }

    fn disagree(&self, how: &str) -> Failure {
        broken(format!("the tables of the {} track disagree: {how}", self.trak.handler))
    }

    fn chunk(&mut self, number: u32, at: u64, size: u64) -> Result<(), Failure> {
        if size == 0 {
            return Ok(());
        }
        let end = at.saturating_add(size);
        let chunk = Place { start: at, end };
        self.bytes = self.bytes.saturating_add(size);
        self.last = self.last.max(end);
        if self.near.holds(chunk) { Ok(()) } else { self.find(number, chunk) }
    }

    /// Finds the place that holds a chunk, and keeps it for the next.
    fn find(&mut self, number: u32, chunk: Place) -> Result<(), Failure> {
        let Place { start, end } = chunk;
        let what = || format!("chunk {number} of the {} track (bytes {start} to {end})", self.trak.handler);
        if end > self.file_end {
            return Err(cut(format!("the file ends at byte {}, {} lies behind it", self.file_end, what())));
        }
        // Places are in the order of the file.
        let place = self.places.partition_point(|place| place.start <= start).checked_sub(1);
        let place = place.and_then(|place| self.places.get(place)).filter(|place| place.holds(chunk));
        let Some(place) = place else {
            return Err(broken(format!("{} lies outside of the media data (mdat)", what())));
        };
        self.near = Place { start: place.start, end: place.end.min(self.file_end) };
        Ok(())
    }
}

/// A table of entries of one size.
#[derive(Clone)]
pub(super) struct Table<'b> {
    count: u32,
    pub(super) entries: &'b [u8],
    /// False when entries were left out because the index is too long to hold.
    pub(super) is_whole: bool,
}

impl<'b> Table<'b> {
    fn read(atom: &Atom<'b>, entry: u64, is_whole: bool) -> Result<Self, Failure> {
        let (_, _, mut cursor) = atom.full().ok_or_else(|| short(atom))?;
        let count = cursor.u32_be().ok_or_else(|| short(atom))?;
        Self::entries(atom, cursor.0, count, u64::from(count) * entry, is_whole)
    }

    /// The entries that `rest` begins with: so many, of so many bytes in all.
    pub(super) fn entries(
        atom: &Atom<'b>,
        rest: &'b [u8],
        count: u32,
        size: u64,
        is_whole: bool,
    ) -> Result<Self, Failure> {
        let entries = usize::try_from(size).ok().and_then(|size| rest.get(..size));
        match entries {
            Some(entries) => Ok(Self { count, entries, is_whole: true }),
            None if is_whole => Err(broken(format!(
                "table `{}` claims {count} entries, {size} bytes, and is {} bytes long",
                atom.name(),
                rest.len()
            ))),
            None => Ok(Self { count, entries: &[], is_whole: false }),
        }
    }
}

/// The offsets of chunks, taken from the front.
#[derive(Clone)]
struct Offsets<'b> {
    table: Table<'b>,
    is_wide: bool,
}

impl Iterator for Offsets<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut cursor = Cursor(self.table.entries);
        let at = if self.is_wide { cursor.u64_be() } else { cursor.u32_be().map(u64::from) }?;
        self.table.entries = cursor.0;
        Some(at)
    }
}
