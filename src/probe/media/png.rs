//! PNG (W3C, third edition): the head, image data, the end, and the frames of an animated one.
//!
//! Does not unpack image data, nor check its checksums.

use std::time::Duration;

use super::bits::{Cursor, four};
use super::reader::Reader;
use super::source::Source;
use super::{Container, Media, broken, cut};
use crate::model::outcome::Failure;

/// Walks every chunk up to the last, or as far as the limits allow.
pub(super) async fn inspect<S: Source>(reader: &mut Reader<'_, S>) -> Result<Media, Failure> {
    reader.read_closely();
    let mut walk = Walk { at: 8, ..Walk::default() };
    for _ in 0..MAX_CHUNKS {
        if reader.is_spent() {
            break;
        }
        if walk.chunk(reader).await? {
            return walk.finish(true);
        }
    }
    if let Some(end) = reader.end() {
        let tail = reader.peek(end.saturating_sub(64).max(walk.at), 64).await?;
        if !tail.windows(4).any(|part| part == b"IEND") {
            return Err(cut(format!("the PNG ends at byte {end}, without its last chunk (IEND)")));
        }
    }
    walk.finish(false)
}

#[derive(Default)]
struct Walk {
    at: u64,
    size: Option<(u32, u32)>,
    needs_palette: bool,
    has_palette: bool,
    data: u64,
    /// Frames of an animation, as announced.
    frames: Option<u32>,
    delays: Duration,
}

impl Walk {
    /// Passes over one chunk; true when it was the last.
    async fn chunk<S: Source>(&mut self, reader: &mut Reader<'_, S>) -> Result<bool, Failure> {
        let head = reader.exact(self.at, 8, "the head of a PNG chunk").await?;
        let mut cursor = Cursor(&head);
        let (length, kind) = cursor.u32_be().zip(cursor.array::<4>()).unwrap_or_default();
        if length > MAX_LENGTH || !kind.iter().all(u8::is_ascii_alphabetic) {
            return Err(broken(format!("byte {} is not the start of a PNG chunk", self.at)));
        }
        if self.size.is_none() && &kind != b"IHDR" {
            return Err(broken(format!("the PNG begins with chunk `{}`, expected `IHDR`", four(kind))));
        }
        let end = self.at + 12 + u64::from(length);
        self.look(reader, &kind, length).await?;
        if !reader.reaches(end).await? {
            return Err(reader.ends_in(self.at, end - self.at, &format!("chunk `{}`", four(kind))));
        }
        self.at = end;
        Ok(&kind == b"IEND")
    }

    async fn look<S: Source>(
        &mut self,
        reader: &mut Reader<'_, S>,
        kind: &[u8; 4],
        length: u32,
    ) -> Result<(), Failure> {
        let start = self.at + 8;
        match kind {
            b"IHDR" if length != 13 => return Err(broken(format!("chunk `IHDR` has {length} bytes, expected 13"))),
            b"IHDR" => {
                let body = reader.exact(start, 13, "the head of the PNG (IHDR)").await?;
                self.head(&body)?;
            }
            b"PLTE" => self.has_palette = true,
            b"IDAT" => {
                if self.data == 0 && length >= 2 {
                    let body = reader.exact(start, 2, "image data (IDAT)").await?;
                    check_zlib(&body)?;
                }
                self.data += u64::from(length);
            }
            b"acTL" => self.frames = Cursor(&reader.exact(start, 4, "chunk `acTL`").await?).u32_be(),
            b"fcTL" => self.delays = self.delays.saturating_add(delay(&reader.exact(start, 24, "chunk `fcTL`").await?)),
            _ => {}
        }
        Ok(())
    }

    fn head(&mut self, body: &[u8]) -> Result<(), Failure> {
        let mut cursor = Cursor(body);
        let (width, height) = cursor.u32_be().zip(cursor.u32_be()).unwrap_or_default();
        if width == 0 || height == 0 || width > MAX_LENGTH || height > MAX_LENGTH {
            return Err(broken(format!("the picture is {width}x{height} pixels large")));
        }
        let (depth, color) = cursor.u8().zip(cursor.u8()).unwrap_or_default();
        let is_known = match color {
            0 => matches!(depth, 1 | 2 | 4 | 8 | 16),
            3 => matches!(depth, 1 | 2 | 4 | 8),
            2 | 4 | 6 => matches!(depth, 8 | 16),
            _ => false,
        };
        if !is_known {
            return Err(broken(format!("the PNG has {depth} bits of color type {color}, which do not exist")));
        }
        self.needs_palette = color == 3;
        self.size = Some((width, height));
        Ok(())
    }

    fn finish(self, is_whole: bool) -> Result<Media, Failure> {
        if self.data == 0 {
            return Err(broken("the PNG holds no image data (IDAT)"));
        }
        if self.needs_palette && !self.has_palette {
            return Err(broken("the PNG refers to a palette (PLTE) and has none"));
        }
        let frames = u64::from(self.frames.unwrap_or(1).max(1));
        let duration = (is_whole && frames > 1).then_some(self.delays);
        let unseen = (!is_whole).then(|| format!("what comes behind byte {}", self.at).into());
        Ok(Media { duration, unseen, ..Media::picture(Container::Png, self.size.unwrap_or_default(), frames) })
    }
}

/// The first two bytes of a zlib stream: deflate, and a checksum over both.
fn check_zlib(body: &[u8]) -> Result<(), Failure> {
    let head = Cursor(body).u16_be().unwrap_or(0);
    if head >> 8 & 0xf == 8 && head.is_multiple_of(31) {
        return Ok(());
    }
    Err(broken(format!("the image data of the PNG (IDAT) begins with {head:04x}, which is no zlib stream")))
}

/// How long a frame stands, as a fraction of seconds. A denominator of 0 means hundredths.
fn delay(body: &[u8]) -> Duration {
    let mut cursor = Cursor(body);
    let fraction = cursor.skip(20).and_then(|()| cursor.u16_be().zip(cursor.u16_be()));
    let (number, of) = fraction.unwrap_or_default();
    Duration::from_micros(u64::from(number) * 1_000_000 / u64::from(if of == 0 { 100 } else { of }))
}

const MAX_LENGTH: u32 = i32::MAX.unsigned_abs();
const MAX_CHUNKS: u32 = 20_000;

#[cfg(test)]
mod tests {
    use super::super::{InMemory, inspect};
    use super::*;
    use crate::model::reason::Reason;

    fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, body) in chunks {
            out.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
            out.extend(*kind);
            out.extend(*body);
            out.extend([0; 4]);
        }
        out
    }

    const HEAD: (&[u8; 4], &[u8]) = (b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 3, 8, 2, 0, 0, 0]);
    const DATA: (&[u8; 4], &[u8]) = (b"IDAT", &[0x78, 0x9c, 1, 2]);
    const END: (&[u8; 4], &[u8]) = (b"IEND", &[]);

    async fn of(chunks: &[(&[u8; 4], &[u8])]) -> Result<Media, Failure> {
        inspect(&mut InMemory::new(png(chunks))).await
    }

    #[tokio::test]
    async fn a_picture_and_an_animation_are_read() {
        let media = of(&[HEAD, DATA, END]).await.unwrap();
        assert_eq!((media.summary().as_str(), media.duration), ("png 2x3", None));
        let mut control = [0; 26];
        control[20..24].copy_from_slice(&[0, 1, 0, 4]);
        let frame: (&[u8; 4], &[u8]) = (b"fcTL", &control);
        let media = of(&[HEAD, (b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]), frame, DATA, frame, END]).await.unwrap();
        assert_eq!(media.summary(), "png 2x3, 0.5s");
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        for (chunks, expected) in [
            (&[HEAD, END][..], "the PNG holds no image data (IDAT)"),
            (&[DATA, END], "the PNG begins with chunk `IDAT`, expected `IHDR`"),
            (&[(b"IHDR", &[0; 13]), DATA, END], "the picture is 0x0 pixels large"),
            (
                &[(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 3, 9, 2, 0, 0, 0]), DATA, END],
                "the PNG has 9 bits of color type 2, which do not exist",
            ),
            (
                &[(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 3, 8, 3, 0, 0, 0]), DATA, END],
                "the PNG refers to a palette (PLTE) and has none",
            ),
            (
                &[HEAD, (b"IDAT", &[0, 0, 0]), END],
                "the image data of the PNG (IDAT) begins with 0000, which is no zlib stream",
            ),
        ] {
            assert_eq!(of(chunks).await.unwrap_err().detail, expected);
        }
    }

    #[tokio::test]
    async fn a_picture_that_ends_early_is_truncated() {
        let whole = png(&[HEAD, DATA, END]);
        for length in 8..whole.len() {
            let failure = inspect(&mut InMemory::new(whole[..length].to_vec())).await.unwrap_err();
            assert_eq!(failure.reason, Reason::Truncated, "{length}: {failure:?}");
        }
    }
}
