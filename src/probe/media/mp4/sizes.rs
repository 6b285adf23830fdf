//! The sizes of samples (`stsz`, `stz2`), summed up chunk by chunk.
//!
//! Never one by one: a table of half bytes has twelve million of them in the longest index that is held.

use super::super::bits::Cursor;
use super::super::broken;
use super::atom::Atom;
use super::movie::short;
use super::table::Table;
use crate::model::outcome::Failure;

/// The sizes of samples, taken from the front.
#[derive(Clone)]
pub(super) struct Sizes<'b> {
    /// How many there are.
    pub(super) count: u32,
    /// How many were not taken yet.
    pub(super) left: u32,
    form: Form<'b>,
    /// False when they were left out because the index is too long to hold.
    pub(super) is_whole: bool,
}

/// How sizes are written.
#[derive(Clone)]
enum Form<'b> {
    /// All alike.
    Fixed(u32),
    /// 32 bits each; what is left of them.
    Wide(&'b [u8]),
    /// 16 bits each.
    Middle(&'b [u8]),
    /// 8 bits each.
    Narrow(&'b [u8]),
    /// 4 bits each, from the high half on; all of them.
    Half(&'b [u8]),
}

impl<'b> Sizes<'b> {
    /// Reads an `stsz` or `stz2` box.
    pub(super) fn read(atom: &Atom<'b>, is_whole: bool) -> Result<Self, Failure> {
        let (_, _, mut cursor) = atom.full().ok_or_else(|| short(atom))?;
        let (form, count) = cursor.u32_be().zip(cursor.u32_be()).ok_or_else(|| short(atom))?;
        let is_compact = &atom.kind == b"stz2";
        if !is_compact && form != 0 {
            return Ok(Self { count, left: count, form: Form::Fixed(form), is_whole: true });
        }
        let bits = if is_compact { form & 0xff } else { 32 };
        let size = (u64::from(count) * u64::from(bits)).div_ceil(8);
        let Table { entries, is_whole, .. } = Table::entries(atom, cursor.0, count, size, is_whole)?;
        let form = match bits {
            32 => Form::Wide(entries),
            16 => Form::Middle(entries),
            8 => Form::Narrow(entries),
            4 => Form::Half(entries),
            _ => return Err(broken(format!("box `stz2` has sizes of {bits} bits"))),
        };
        Ok(Self { count, left: count, form, is_whole })
    }

    /// The sum of the next `count` sizes; `None` when fewer are left.
    pub(super) fn sum(&mut self, count: u32) -> Option<u64> {
        let taken = self.count - self.left;
        self.left = self.left.checked_sub(count)?;
        let number = count as usize;
        match &mut self.form {
            Form::Fixed(size) => Some(u64::from(count) * u64::from(*size)),
            // A chunk a sample is the usual way of some writers, and a sum of one has its price.
            Form::Wide(bytes) if count == 1 => {
                let (size, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(u32::from_be_bytes(*size).into())
            }
            Form::Wide(bytes) => {
                let sizes = front(bytes, number.checked_mul(4)?)?.chunks_exact(4);
                Some(sizes.map(|size| u64::from(Cursor(size).u32_be().unwrap_or(0))).sum())
            }
            Form::Middle(bytes) => {
                let sizes = front(bytes, number.checked_mul(2)?)?.chunks_exact(2);
                Some(sizes.map(|size| u64::from(Cursor(size).u16_be().unwrap_or(0))).sum())
            }
            Form::Narrow(bytes) => Some(front(bytes, number)?.iter().copied().map(u64::from).sum()),
            Form::Half(bytes) => halves(bytes, taken as usize, number),
        }
    }
}

/// Takes so many bytes from the front.
fn front<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// The sum of `count` half bytes from the one numbered `start`: whole bytes at once, and a half at either end.
fn halves(bytes: &[u8], start: usize, count: usize) -> Option<u64> {
    if count == 0 {
        return Some(0);
    }
    let end = start.checked_add(count)?;
    let high = |place: usize| bytes.get(place / 2).map_or(0, |byte| u64::from(byte >> 4));
    let low = |place: usize| bytes.get(place / 2).map_or(0, |byte| u64::from(byte & 0xf));
    let whole = bytes.get(start.div_ceil(2)..end / 2)?.iter().map(|byte| u64::from((byte >> 4) + (byte & 0xf)));
    let first = if start % 2 == 1 { low(start) } else { 0 };
    let last = if end % 2 == 1 { high(end - 1) } else { 0 };
    Some(first + whole.sum::<u64>() + last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_bytes_are_summed_from_anywhere_to_anywhere() {
        let bytes = [0x12, 0x34, 0x56, 0x78];
        let single = |place: usize| u64::try_from(place).unwrap() + 1;
        for start in 0..8 {
            for end in start..=8 {
                let expected = (start..end).map(single).sum();
                assert_eq!(halves(&bytes, start, end - start), Some(expected), "{start} to {end}");
            }
        }
    }

    #[test]
    fn no_more_is_taken_than_there_is() {
        for (form, first) in [
            (Form::Fixed(5), 10),
            (Form::Wide(&[0, 0, 0, 5, 0, 0, 1, 0, 0, 0, 0, 7]), 261),
            (Form::Middle(&[0, 5, 1, 0, 0, 7]), 261),
            (Form::Narrow(&[5, 6, 7]), 11),
            (Form::Half(&[0x56, 0x70]), 11),
        ] {
            let mut sizes = Sizes { count: 3, left: 3, form, is_whole: true };
            assert_eq!(sizes.sum(2), Some(first));
            assert_eq!(sizes.sum(2), None);
        }
    }
}
