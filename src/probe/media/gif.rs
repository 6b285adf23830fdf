//! GIF (89a specification): frames, their delays, and the trailer at the end.
//!
//! Does not unpack frames.

use std::time::Duration;

use super::bits::Cursor;
use super::reader::Reader;
use super::source::Source;
use super::{Container, Media, broken, cut};
use crate::model::outcome::Failure;

/// Walks every block up to the trailer, or as far as the limits allow.
pub(super) async fn inspect<S: Source>(reader: &mut Reader<'_, S>) -> Result<Media, Failure> {
    reader.read_closely();
    let screen = reader.exact(0, 13, "the head of the GIF").await?;
    let mut cursor = Cursor(&screen);
    let read = (|| {
        cursor.skip(6)?;
        Some((cursor.u16_le()?, cursor.u16_le()?, cursor.u8()?))
    })();
    let (width, height, flags) = read.unwrap_or_default();
    if width == 0 || height == 0 {
        return Err(broken(format!("the picture is {width}x{height} pixels large")));
    }
    let mut walk = Walk { at: 13 + color_table(flags), ..Walk::default() };
    for _ in 0..MAX_BLOCKS {
        if reader.is_spent() {
            break;
        }
        if walk.block(reader).await? {
            return walk.finish((width.into(), height.into()), true);
        }
    }
    walk.look_at_end(reader).await?;
    walk.finish((width.into(), height.into()), false)
}

#[derive(Default)]
struct Walk {
    at: u64,
    frames: u64,
    /// Of the next frame, in hundredths of a second.
    delay: u16,
    hundredths: u64,
}

impl Walk {
    /// Passes over one block; true when it was the trailer.
    async fn block<S: Source>(&mut self, reader: &mut Reader<'_, S>) -> Result<bool, Failure> {
        let head = reader.peek(self.at, 10).await?;
        match head.first() {
            Some(0x3b) => return Ok(true),
            Some(0x21) => {
                if let [0x21, 0xf9, 4, _, low, high, ..] = *head {
                    self.delay = u16::from_le_bytes([low, high]);
                }
                self.at += 2;
                self.pass_data(reader).await?;
            }
            Some(0x2c) => {
                let flags = head.get(9).copied().ok_or_else(|| ends(self.at))?;
                // The descriptor, its colors, and the byte that begins the packed data.
                self.at += 10 + color_table(flags) + 1;
                if self.pass_data(reader).await? > 0 {
                    self.frames += 1;
                    // As browsers and ffmpeg do: what asks for no delay gets a tenth of a second.
                    self.hundredths += if self.delay < 2 { 10 } else { self.delay.into() };
                }
                self.delay = 0;
            }
            // Some writers end a block twice.
            Some(0) => self.at += 1,
            Some(_) => return Err(broken(format!("byte {} is not the start of a GIF block", self.at))),
            None => return Err(ends(self.at)),
        }
        Ok(false)
    }

    /// Passes over blocks of data up to the empty one; how many bytes they held.
    async fn pass_data<S: Source>(&mut self, reader: &mut Reader<'_, S>) -> Result<u64, Failure> {
        let mut count = 0;
        loop {
            let held = reader.some(self.at, 1).await?;
            if held.is_empty() {
                return Err(ends(self.at));
            }
            let mut place = 0;
            while let Some(size) = held.get(place) {
                place += 1 + usize::from(*size);
                count += u64::from(*size);
                if *size == 0 {
                    self.at += place as u64;
                    return Ok(count);
                }
            }
            self.at += place as u64;
            if reader.is_spent() {
                return Ok(count);
            }
        }
    }

    /// Of a file that is too long to walk, the end must at least look like one.
    async fn look_at_end<S: Source>(&self, reader: &mut Reader<'_, S>) -> Result<(), Failure> {
        let Some(end) = reader.end() else { return Ok(()) };
        let tail = reader.peek(end.saturating_sub(16).max(self.at), 16).await?;
        if tail.contains(&0x3b) { Ok(()) } else { Err(ends(end)) }
    }

    fn finish(self, size: (u32, u32), is_whole: bool) -> Result<Media, Failure> {
        if self.frames == 0 {
            return Err(broken("the GIF holds no frame"));
        }
        let duration = (is_whole && self.frames > 1).then(|| Duration::from_millis(self.hundredths * 10));
        let unseen = (!is_whole).then(|| format!("what comes behind byte {}", self.at).into());
        Ok(Media { duration, unseen, ..Media::picture(Container::Gif, size, self.frames) })
    }
}

/// How long a table of colors is, by the flags before it.
const fn color_table(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

fn ends(at: u64) -> Failure {
    cut(format!("the GIF ends at byte {at}, without a trailer"))
}

/// Blocks before the walk ends: tens of thousands of frames.
const MAX_BLOCKS: u32 = 50_000;

#[cfg(test)]
mod tests {
    use super::super::{InMemory, inspect};
    use super::*;
    use crate::model::reason::Reason;

    /// A GIF of 2x3 pixels with frames of these delays.
    fn gif(delays: &[u16]) -> Vec<u8> {
        let mut out = b"GIF89a\x02\0\x03\0\x80\0\0".to_vec();
        out.extend([0; 6]);
        for delay in delays {
            out.extend([0x21, 0xf9, 4, 0]);
            out.extend(delay.to_le_bytes());
            out.extend([0, 0, 0x2c, 0, 0, 0, 0, 2, 0, 3, 0, 0, 2, 2, 0x4c, 1, 0]);
        }
        out.push(0x3b);
        out
    }

    async fn of(bytes: Vec<u8>) -> Result<Media, Failure> {
        inspect(&mut InMemory::new(bytes)).await
    }

    #[tokio::test]
    async fn frames_are_counted_and_their_delays_summed() {
        let media = of(gif(&[50, 0, 25])).await.unwrap();
        assert_eq!((media.width, media.height, media.duration), (2, 3, Some(Duration::from_millis(850))));
        assert_eq!(media.summary(), "gif 2x3, 0.8s");
        assert_eq!(of(gif(&[50])).await.unwrap().duration, None);
    }

    #[tokio::test]
    async fn a_gif_without_frames_or_without_an_end_is_refused() {
        assert_eq!(of(gif(&[])).await.unwrap_err().detail, "the GIF holds no frame");
        let whole = gif(&[1, 2]);
        for length in 13..whole.len() {
            let failure = of(whole[..length].to_vec()).await.unwrap_err();
            assert_eq!(failure.reason, Reason::Truncated, "{length}: {failure:?}");
        }
        let mut wrong = gif(&[1]);
        wrong[19] = 0x77;
        assert_eq!(of(wrong).await.unwrap_err().detail, "byte 19 is not the start of a GIF block");
    }
}
