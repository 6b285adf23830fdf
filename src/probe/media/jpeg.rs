//! JPEG (ITU-T T.81): the frame's size, at least one scan, and the end of the image.
//!
//! Does not decode a scan: damage within the coded data does not show.

use super::bits::Cursor;
use super::reader::Reader;
use super::source::Source;
use super::{Container, Media, broken, cut};
use crate::model::outcome::Failure;

/// Walks the segments and scans up to the end of the image, or as far as the limits allow.
pub(super) async fn inspect<S: Source>(reader: &mut Reader<'_, S>) -> Result<Media, Failure> {
    reader.read_closely();
    let mut walk = Walk { at: 2, ..Walk::default() };
    for _ in 0..MAX_SEGMENTS {
        match walk.segment(reader).await? {
            Next::Go => {}
            Next::End => return walk.finish(true),
            Next::Stop => break,
        }
        if reader.is_spent() {
            break;
        }
    }
    if let Some(end) = reader.end() {
        let tail = reader.peek(end.saturating_sub(TAIL).max(walk.at), 4096).await?;
        if !tail.windows(2).any(|pair| pair == [0xff, END]) {
            return Err(ends(end));
        }
    }
    walk.finish(false)
}

#[derive(Default)]
struct Walk {
    at: u64,
    size: Option<(u32, u32)>,
    /// Bytes of coded data.
    data: u64,
}

enum Next {
    Go,
    /// The image has ended.
    End,
    /// It is too long to be walked.
    Stop,
}

impl Walk {
    /// Passes over one segment, and over the coded data behind it where it starts a scan.
    async fn segment<S: Source>(&mut self, reader: &mut Reader<'_, S>) -> Result<Next, Failure> {
        let head = reader.peek(self.at, 4).await?;
        match *head {
            [0xff, 0xff, ..] => self.at += 1,
            [0xff, END, ..] => return Ok(Next::End),
            [0xff, 0x01 | 0xd0..=0xd8, ..] => self.at += 2,
            [0xff, marker, high, low] if marker >= 0xc0 => {
                let length = u16::from_be_bytes([high, low]);
                let (start, end) = (self.at + 2, self.at + 2 + u64::from(length));
                if length < 2 {
                    return Err(broken(format!("the JPEG segment at byte {} is too short", self.at)));
                }
                if is_frame(marker) {
                    let body = reader.exact(start, 8, "a JPEG frame's head").await?;
                    self.frame(&body)?;
                }
                if !reader.reaches(end).await? {
                    return Err(reader.ends_in(start, length.into(), "a JPEG segment"));
                }
                self.at = end;
                if marker == SCAN {
                    return self.scan(reader).await;
                }
            }
            [_, _, _, _] => {
                return Err(broken(format!("byte {} is not the start of a JPEG segment", self.at)));
            }
            _ => return Err(ends(self.at + head.len() as u64)),
        }
        Ok(Next::Go)
    }

    fn frame(&mut self, body: &[u8]) -> Result<(), Failure> {
        let mut cursor = Cursor(body);
        let size = cursor.skip(3).and_then(|()| cursor.u16_be().zip(cursor.u16_be()));
        let (height, width) = size.unwrap_or_default();
        if width == 0 || height == 0 {
            return Err(broken(format!("the picture is {width}x{height} pixels large")));
        }
        self.size = Some((width.into(), height.into()));
        Ok(())
    }

    /// Passes over coded data, up to the next marker that is no part of it.
    async fn scan<S: Source>(&mut self, reader: &mut Reader<'_, S>) -> Result<Next, Failure> {
        if self.size.is_none() {
            return Err(broken("the JPEG has a scan before its frame's head"));
        }
        loop {
            let held = reader.some(self.at, 2).await?;
            if held.len() < 2 {
                return Err(ends(self.at + held.len() as u64));
            }
            // Within coded data 0xff is followed by 0, or marks a place to start again.
            let is_marker = |pair: &[u8]| matches!(pair, [0xff, next] if !matches!(*next, 0 | 0xd0..=0xd7 | 0xff));
            let stop = held.windows(2).position(is_marker);
            let passed = stop.unwrap_or(held.len() - 1) as u64;
            self.data += passed;
            self.at += passed;
            if stop.is_some() {
                return Ok(Next::Go);
            }
            if reader.is_spent() {
                return Ok(Next::Stop);
            }
        }
    }

    fn finish(self, is_whole: bool) -> Result<Media, Failure> {
        let Some(size) = self.size else { return Err(broken("the JPEG has no frame")) };
        if self.data < 2 {
            return Err(broken("the JPEG holds no image data"));
        }
        let unseen = (!is_whole).then(|| format!("what comes behind byte {}", self.at).into());
        Ok(Media { unseen, ..Media::picture(Container::Jpeg, size, 1) })
    }
}

/// The heads of frames, of any coding; three codes among them mean other things.
const fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

fn ends(at: u64) -> Failure {
    cut(format!("the JPEG ends at byte {at}, without the end of its image (EOI)"))
}

const SCAN: u8 = 0xda;
const END: u8 = 0xd9;
const MAX_SEGMENTS: u32 = 20_000;
/// Where the end of a long image is looked for: behind it some writers add data of their own.
const TAIL: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::super::{InMemory, inspect};
    use super::*;
    use crate::model::reason::Reason;

    /// A JPEG of 2x3 pixels, as far as its structure goes.
    fn jpeg() -> Vec<u8> {
        let mut out = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2];
        out.extend([0xff, 0xc0, 0, 11, 8, 0, 3, 0, 2, 1, 1, 0x11, 0]);
        out.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
        out.extend([1, 2, 0xff, 0, 3, 0xff, 0xd0, 4, 0xff, 0xd9]);
        out
    }

    async fn of(bytes: Vec<u8>) -> Result<Media, Failure> {
        inspect(&mut InMemory::new(bytes)).await
    }

    #[tokio::test]
    async fn a_picture_is_read() {
        assert_eq!(of(jpeg()).await.unwrap().summary(), "jpeg 2x3");
        let mut trailed = jpeg();
        trailed.extend(b"maker's notes");
        assert_eq!(of(trailed).await.unwrap().summary(), "jpeg 2x3");
    }

    #[tokio::test]
    async fn a_scan_may_cross_the_window_at_any_byte() {
        for padding in 32_700..32_800 {
            let mut bytes = jpeg();
            let end = bytes.split_off(bytes.len() - 2);
            bytes.extend(vec![7; padding]);
            bytes.extend(end);
            assert_eq!(of(bytes).await.unwrap().summary(), "jpeg 2x3", "{padding}");
        }
    }

    #[tokio::test]
    async fn a_picture_that_ends_early_is_truncated() {
        let whole = jpeg();
        for length in 3..whole.len() {
            let failure = of(whole[..length].to_vec()).await.unwrap_err();
            assert_eq!(failure.reason, Reason::Truncated, "{length}: {failure:?}");
        }
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let scan = [0xff, 0xd8, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 1, 2, 3, 0xff, 0xd9].to_vec();
        assert_eq!(of(scan).await.unwrap_err().detail, "the JPEG has a scan before its frame's head");
        assert_eq!(of(vec![0xff, 0xd8, 0xff, 0xd9, 0]).await.unwrap_err().detail, "the JPEG has no frame");
        let mut flat = jpeg();
        flat[13..15].copy_from_slice(&[0, 0]);
        assert_eq!(of(flat).await.unwrap_err().detail, "the picture is 2x0 pixels large");
    }
}
