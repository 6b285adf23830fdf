//! Boxes: their heads in a file, and the boxes within a box.
//!
//! A box is called an atom here, as `QuickTime` does, because `box` is a word of the language.

use super::super::bits::{Cursor, four};
use super::super::broken;
use crate::model::outcome::Failure;

/// The head of a box on the top level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Where the box begins.
    pub(super) at: u64,
    pub(super) kind: [u8; 4],
    /// Where its content begins.
    pub(super) body: u64,
    /// Where it ends; `None` when it goes to the file's end.
    pub(super) end: Option<u64>,
}

impl Head {
    /// The head that `bytes`, which stand at `at`, begin with. `None` when they are none.
    pub(super) fn read(bytes: &[u8], at: u64) -> Option<Self> {
        let (kind, size, head) = read_head(bytes)?;
        let end = match size {
            0 => None,
            size => Some(at.checked_add(size)?),
        };
        Some(Self { at, kind, body: at.checked_add(head as u64)?, end })
    }

    /// The size of the content of a box that ends at `end`, which is to be read as a whole.
    pub(super) fn body_size(&self, end: u64, limit: usize) -> Result<usize, Failure> {
        if self.end.is_none() {
            return Err(broken(format!("box `{}` at byte {} does not say how long it is", four(self.kind), self.at)));
        }
        let size = end.saturating_sub(self.body);
        usize::try_from(size).ok().filter(|size| *size <= limit).ok_or_else(|| {
            broken(format!(
                "box `{}` at byte {} claims {size} bytes, at most {limit} are expected",
                four(self.kind),
                self.at
            ))
        })
    }
}

/// The kind, the size of the whole (0: to the end), and the size of the head. Refuses what cannot be a box.
fn read_head(bytes: &[u8]) -> Option<([u8; 4], u64, usize)> {
    let mut cursor = Cursor(bytes);
    let small = cursor.u32_be()?;
    let kind = cursor.array::<4>()?;
    let (size, head) = match small {
        1 => (cursor.u64_be()?, 16),
        size => (u64::from(size), 8),
    };
    // `©xyz` and the like stand in `QuickTime` metadata.
    let is_kind = kind.iter().all(|byte| matches!(byte, b' '..=b'~' | 0xa9));
    (is_kind && (size == 0 || size >= head as u64)).then_some((kind, size, head))
}

/// A box within a box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Atom<'b> {
    pub(super) kind: [u8; 4],
    pub(super) body: &'b [u8],
}

impl<'b> Atom<'b> {
    /// The content of a box that begins with a version and flags, and these two.
    pub(super) fn full(&self) -> Option<(u8, u32, Cursor<'b>)> {
        full(self.body)
    }

    pub(super) fn name(&self) -> String {
        four(self.kind)
    }
}

/// A version, flags, and what follows them.
pub(super) fn full(body: &[u8]) -> Option<(u8, u32, Cursor<'_>)> {
    let mut cursor = Cursor(body);
    let [version, a, b, c] = cursor.array()?;
    Some((version, u32::from_be_bytes([0, a, b, c]), cursor))
}

/// The boxes within a box, in order. Ends after the first fault.
pub(super) struct Atoms<'b> {
    rest: &'b [u8],
    inside: &'static str,
    left: u32,
}

impl<'b> Atoms<'b> {
    /// The boxes that `body`, the content of a box named `inside`, consists of.
    pub(super) const fn new(body: &'b [u8], inside: &'static str) -> Self {
        Self { rest: body, inside, left: MAX_CHILDREN }
    }

    fn fail(&mut self, what: &str) -> Failure {
        self.rest = &[];
        broken(format!("{what} in box `{}`", self.inside))
    }
}

impl<'b> Iterator for Atoms<'b> {
    type Item = Result<Atom<'b>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        // `QuickTime` may end a list of boxes with four zero bytes.
        if self.rest.len() < MIN_HEAD {
            return None;
        }
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => return Some(Err(self.fail("too many boxes"))),
        };
        let Some((kind, size, head)) = read_head(self.rest) else {
            return Some(Err(self.fail("bytes that are no box")));
        };
        let size = if size == 0 { self.rest.len() } else { usize::try_from(size).unwrap_or(usize::MAX) };
        let Some((atom, rest)) = self.rest.split_at_checked(size) else {
            return Some(Err(self.fail(&format!("box `{}` is longer than the box around it,", four(kind)))));
        };
        self.rest = rest;
        Some(Ok(Atom { kind, body: atom.get(head..).unwrap_or_default() }))
    }
}

/// The shortest head.
pub(super) const MIN_HEAD: usize = 8;
/// The longest head.
pub(super) const MAX_HEAD: usize = 16;
const MAX_CHILDREN: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_size_is_read() {
        let head = Head::read(b"\0\0\0\x10mdat", 100).unwrap();
        assert_eq!((head.body, head.end), (108, Some(116)));
        let head = Head::read(b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0", 100).unwrap();
        assert_eq!((head.body, head.end), (116, Some(100 + (1 << 32))));
        let head = Head::read(b"\0\0\0\0mdat", 100).unwrap();
        assert_eq!((head.body, head.end), (108, None));
    }

    #[test]
    fn what_cannot_be_a_box_is_refused() {
        for bytes in [&b"\0\0\0\x07mdat"[..], b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0f", b"\0\0\0\x10m\0at", b"\0\0\0\x10mda"]
        {
            assert_eq!(Head::read(bytes, 0), None, "{bytes:?}");
        }
        assert_eq!(Head::read(b"\0\0\0\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff", 9), None);
    }

    #[test]
    fn a_box_longer_than_the_one_around_it_ends_the_list() {
        let mut atoms = Atoms::new(b"\0\0\0\x08free\0\0\0\x09stbl", "minf");
        assert_eq!(atoms.next().unwrap().unwrap().name(), "free");
        let detail = atoms.next().unwrap().unwrap_err().detail;
        assert_eq!(detail, "box `stbl` is longer than the box around it, in box `minf`");
        assert!(atoms.next().is_none());
    }
}
