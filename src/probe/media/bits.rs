//! Reads numbers from a slice of hostile bytes, and never beyond it.
//!
//! Knows no format: byte order is in the method's name.

/// What is left of a slice. Every method takes from its front and gives `None` where too little is left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'b>(pub(super) &'b [u8]);

impl<'b> Cursor<'b> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// Big-endian, as all that end in `_be`.
    pub(super) fn u16_be(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32_be(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64_be(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Little-endian, as all that end in `_le`.
    pub(super) fn u16_le(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u24_le(&mut self) -> Option<u32> {
        self.array().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    pub(super) fn u32_le(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}

/// A four-character code as people read it, such as `avc1`.
pub(super) fn four(code: [u8; 4]) -> String {
    String::from_utf8_lossy(&code).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_stops_at_the_end() {
        let mut cursor = Cursor(&[1, 0, 2, 3, 0, 0, 0, 9]);
        assert_eq!((cursor.u8(), cursor.u16_be(), cursor.u8()), (Some(1), Some(2), Some(3)));
        assert_eq!((cursor.u64_be(), cursor.u32_be(), cursor.u8()), (None, Some(9), None));
        assert_eq!(Cursor(&[1, 2, 3]).u24_le(), Some(0x03_02_01));
    }
}
