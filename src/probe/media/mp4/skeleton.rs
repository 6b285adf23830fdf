//! Brings the index (`moov`) into memory: whole where it is of usual size, else without its long tables.
//!
//! Does not understand what it copies, beyond which boxes hold boxes.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::bits::four;
use super::super::broken;
use super::super::reader::Reader;
use super::super::source::Source;
use super::Index;
use super::atom::{self, Head};
use crate::model::outcome::Failure;

/// Reads the content of the `moov` box with this head, which ends at `end`.
pub(super) async fn load<S: Source>(reader: &mut Reader<'_, S>, head: &Head, end: u64) -> Result<Index, Failure> {
    let end = reader.end().map_or(end, |file| end.min(file));
    if end == u64::MAX {
        // It goes to the file's end, and where that is shows when it is read.
        let bytes = reader.peek(head.body, MAX_WHOLE).await?;
        return Ok(Index { is_whole: reader.end().is_some(), bytes });
    }
    match usize::try_from(end.saturating_sub(head.body)) {
        Ok(size) if size <= MAX_WHOLE => {
            reader.allow(size as u64);
            Ok(Index { bytes: reader.exact(head.body, size, "the index (box `moov`)").await?, is_whole: true })
        }
        _ => Ok(Index { bytes: Skeleton::default().copy(reader, head.body, end).await?, is_whole: false }),
    }
}

/// A copy of an index in which long boxes are cut short, and all sizes are right again.
#[derive(Default)]
struct Skeleton {
    out: BytesMut,
    /// The boxes around the place that is copied: where each ends in the file, and where it begins in the copy.
    open: Vec<(u64, usize)>,
}

impl Skeleton {
    async fn copy<S: Source>(mut self, reader: &mut Reader<'_, S>, start: u64, end: u64) -> Result<Bytes, Failure> {
        let mut at = start;
        let mut boxes = 0;
        while at < end {
            boxes += 1;
            self.close(at);
            let head = reader.exact(at, atom::MIN_HEAD, "the index (box `moov`)").await?;
            let head = if head.starts_with(&[0, 0, 0, 1]) {
                reader.exact(at, atom::MAX_HEAD, "the index (box `moov`)").await?
            } else {
                head
            };
            let Some(head) = Head::read(&head, at) else {
                return Err(broken(format!("byte {at}, in box `moov`, is not the start of a box")));
            };
            let around = self.open.last().map_or(end, |(end, _)| *end);
            let box_end = head.end.unwrap_or(around);
            if box_end > around {
                return Err(broken(format!("box `{}` is longer than the box around it", four(head.kind))));
            }
            at = self.enter(reader, &head, box_end).await?;
            if self.out.len() > MAX_COPY || boxes > MAX_BOXES {
                return Err(broken("the index (moov) has more boxes than any file needs"));
            }
        }
        self.close(u64::MAX);
        Ok(self.out.freeze())
    }

    /// Copies a box, or the head of one that holds boxes. Gives where to go on.
    async fn enter<S: Source>(&mut self, reader: &mut Reader<'_, S>, head: &Head, end: u64) -> Result<u64, Failure> {
        let begin = self.out.len();
        self.out.put_u32(0);
        self.out.put_slice(&head.kind);
        if HOLDERS.contains(&&head.kind) && self.open.len() < HOLDERS.len() {
            self.open.push((end, begin));
            return Ok(head.body);
        }
        let size = usize::try_from(end.saturating_sub(head.body)).unwrap_or(usize::MAX);
        let limit =
            if matches!(&head.kind, b"stts" | b"stsc" | b"stsz" | b"stco" | b"co64" | b"stss" | b"ctts" | b"stz2") {
                MAX_TABLE
            } else {
                MAX_BOX
            };
        let kept = reader.exact(head.body, size.min(limit), "the index (box `moov`)").await?;
        self.out.put_slice(&kept);
        self.resize(begin);
        Ok(end)
    }

    /// Ends the boxes that end before `at`.
    fn close(&mut self, at: u64) {
        while let Some((_, begin)) = self.open.pop_if(|(end, _)| *end <= at) {
            self.resize(begin);
        }
    }

    /// Writes the size of the box that begins at `begin` and ends here.
    fn resize(&mut self, begin: usize) {
        let size = u32::try_from(self.out.len() - begin).unwrap_or(u32::MAX);
        if let Some(place) = self.out.get_mut(begin..begin + 4) {
            place.copy_from_slice(&size.to_be_bytes());
        }
    }
}

/// The longest index that is held whole: some four hours of video with sound.
const MAX_WHOLE: usize = 6 << 20;
/// The most that is kept of a table.
const MAX_TABLE: usize = 64;
/// The most that is kept of any other box.
const MAX_BOX: usize = 64 << 10;
/// The most that is copied in all.
const MAX_COPY: usize = 1 << 20;
/// The most boxes, of all depths.
const MAX_BOXES: u32 = 10_000;
/// Boxes that hold boxes which matter.
const HOLDERS: [&[u8; 4]; 7] = [b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"mvex"];
