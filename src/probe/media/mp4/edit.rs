//! Edit lists (`edts`/`elst`): which part of a track is shown.
//!
//! Does not apply them; it asks whether they leave anything to see, and for how long.

use super::super::broken;
use super::atom::Atoms;
use super::movie::{Trak, short};
use crate::model::outcome::Failure;

/// The sum of an edit list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Edits {
    /// How many edits there are.
    count: u32,
    /// Ticks of the movie's clock that show nothing, before or between the media.
    empty: u64,
    /// Ticks of the movie's clock that show media.
    shown: u64,
    /// The earliest place in the media that is shown, in the track's ticks.
    earliest: Option<u64>,
}

impl Edits {
    /// Reads the content of an `edts` box.
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        let mut edits = Self::default();
        for atom in Atoms::new(body, "edts") {
            let atom = atom?;
            if &atom.kind == b"elst" {
                let (version, _, mut cursor) = atom.full().ok_or_else(|| short(&atom))?;
                edits.count = cursor.u32_be().ok_or_else(|| short(&atom))?;
                let size = if version == 1 { 20 } else { 12 };
                // As many as there are: a count that is too high does not keep players from playing.
                cursor.0.chunks_exact(size).take(edits.count as usize).for_each(|entry| edits.add(entry, version));
            }
        }
        Ok(edits)
    }

    fn add(&mut self, entry: &[u8], version: u8) {
        let mut cursor = super::super::bits::Cursor(entry);
        let both = if version == 1 {
            cursor.u64_be().zip(cursor.u64_be().map(u64::cast_signed))
        } else {
            cursor.u32_be().map(u64::from).zip(cursor.u32_be().map(|time| i64::from(time.cast_signed())))
        };
        let Some((ticks, time)) = both else { return };
        match u64::try_from(time) {
            Ok(time) => {
                self.shown = self.shown.saturating_add(ticks);
                self.earliest = Some(self.earliest.map_or(time, |earliest| earliest.min(time)));
            }
            Err(_) => self.empty = self.empty.saturating_add(ticks),
        }
    }

    /// How long the track plays, in ticks of the movie's clock; `None` without edits, and where they leave it open.
    pub(super) fn ticks(&self) -> Option<u64> {
        (self.shown > 0).then(|| self.shown.saturating_add(self.empty))
    }

    /// Something must be left to see.
    pub(super) fn check(&self, trak: &Trak<'_>) -> Result<(), Failure> {
        if self.count == 0 {
            return Ok(());
        }
        let Some(earliest) = self.earliest else {
            return Err(broken(format!("the edit list of the {} track shows none of it", trak.handler)));
        };
        // Fragments come later than the edit list, which then says 0.
        if trak.is_fragmented {
            return Ok(());
        }
        if self.shown == 0 {
            return Err(broken(format!("the edit list of the {} track shows 0s of it", trak.handler)));
        }
        if trak.ticks.is_some_and(|ticks| ticks > 0 && earliest >= ticks) {
            return Err(broken(format!("the edit list of the {} track begins behind its end", trak.handler)));
        }
        Ok(())
    }
}
