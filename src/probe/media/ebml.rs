//! EBML (RFC 8794): heads of elements, and the elements within one that is in memory.
//!
//! Knows no element by name: that is [`super::matroska`]'s.

use super::bits::Cursor;

/// The head of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: u32,
    /// The size of its content; `None` when it is unknown, as in a live stream.
    pub(super) size: Option<u64>,
    /// The length of this head.
    pub(super) length: u64,
}

impl Head {
    /// The head that `bytes` begin with. `None` when they are none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        let first = *bytes.first()?;
        let id_length = first.leading_zeros() as usize + 1;
        // The identifier keeps the bit that marks its length.
        let id = (id_length <= 4).then(|| cursor.take(id_length)).flatten()?;
        let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
        let size = number(&mut cursor)?;
        Some(Self { id, size, length: (bytes.len() - cursor.0.len()) as u64 })
    }
}

/// A number of one to eight bytes, its length marked by its first bit; all other bits set means unknown.
#[expect(clippy::option_option, reason = "whether there are bytes, and whether they say something")]
pub(super) fn number(cursor: &mut Cursor<'_>) -> Option<Option<u64>> {
    let first = *cursor.0.first()?;
    let length = first.leading_zeros() as usize + 1;
    let taken = (length <= 8).then(|| cursor.take(length)).flatten()?;
    let value = taken.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let bits = 7 * length;
    let value = value & ((1 << bits) - 1);
    Some((value != (1 << bits) - 1).then_some(value))
}

/// The elements within one that is in memory: identifier and content. Ends where something is none, or longer than what
/// is left.
pub(super) struct Elements<'b>(Cursor<'b>);

impl<'b> Elements<'b> {
    pub(super) const fn new(body: &'b [u8]) -> Self {
        Self(Cursor(body))
    }

    /// True when all of the content made sense.
    pub(super) const fn is_done(&self) -> bool {
        self.0.0.is_empty()
    }
}

impl<'b> Iterator for Elements<'b> {
    type Item = (u32, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = Head::read(self.0.0)?;
        let mut cursor = self.0;
        cursor.skip(usize::try_from(head.length).ok()?)?;
        let body = cursor.take(usize::try_from(head.size?).ok()?)?;
        self.0 = cursor;
        Some((head.id, body))
    }
}

/// An unsigned integer of zero to eight bytes.
pub(super) fn unsigned(body: &[u8]) -> Option<u64> {
    (body.len() <= 8).then(|| body.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// A floating-point number of four or eight bytes; no bytes are 0.
pub(super) fn float(body: &[u8]) -> Option<f64> {
    match body.len() {
        0 => Some(0.0),
        4 => Cursor(body).u32_be().map(|bits| f32::from_bits(bits).into()),
        8 => Cursor(body).u64_be().map(f64::from_bits),
        _ => None,
    }
}

/// The longest head.
pub(super) const MAX_HEAD: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_every_length_are_read() {
        let head = Head::read(&[0xae, 0x82, 1]).unwrap();
        assert_eq!(head, Head { id: 0xae, size: Some(2), length: 2 });
        let head = Head::read(&[0x1a, 0x45, 0xdf, 0xa3, 0x40, 5]).unwrap();
        assert_eq!(head, Head { id: 0x1a45_dfa3, size: Some(5), length: 6 });
        let head = Head::read(&[0xec, 0x01, 0, 0, 0, 0, 0, 1, 0]).unwrap();
        assert_eq!(head, Head { id: 0xec, size: Some(256), length: 9 });
    }

    #[test]
    fn an_unknown_size_is_told_from_a_large_one() {
        for bytes in [&[0xae, 0xff][..], &[0xae, 0x7f, 0xff], &[0xae, 1, 255, 255, 255, 255, 255, 255, 255]] {
            assert_eq!(Head::read(bytes).unwrap().size, None, "{bytes:?}");
        }
        assert_eq!(Head::read(&[0xae, 0xfe]).unwrap().size, Some(126));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for bytes in [&[][..], &[0xae], &[0, 0x80], &[0x08, 0, 0, 0, 0, 0x80], &[0xae, 0], &[0x1a, 0x45]] {
            assert_eq!(Head::read(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_list_ends_at_the_first_fault() {
        let mut elements = Elements::new(&[0xd7, 0x81, 1, 0x83, 0x84, 1]);
        assert_eq!(elements.next(), Some((0xd7, &[1][..])));
        assert_eq!(elements.next(), None);
        assert!(!elements.is_done());
    }
}
