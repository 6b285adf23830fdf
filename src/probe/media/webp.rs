//! WebP (RFC 9649): the RIFF frame, the picture or the frames within it.
//!
//! Does not decode a frame; of a coded one the first bytes are looked at.

use std::time::Duration;

use super::bits::{Cursor, four};
use super::reader::Reader;
use super::source::Source;
use super::{Container, Media, broken};
use crate::model::outcome::Failure;

/// Walks every chunk within the RIFF frame, or as far as the limits allow.
pub(super) async fn inspect<S: Source>(reader: &mut Reader<'_, S>) -> Result<Media, Failure> {
    let head = reader.exact(0, 12, "the head of the WebP").await?;
    let mut cursor = Cursor(&head);
    let size = cursor.skip(4).and_then(|()| cursor.u32_le()).unwrap_or(0);
    let end = u64::from(size) + 8;
    if reader.end().is_some_and(|file| file < end) {
        return Err(reader.ends_in(0, end, "the RIFF frame"));
    }
    let mut walk = Walk { at: 12, end, ..Walk::default() };
    for _ in 0..MAX_CHUNKS {
        if walk.at + 8 > end {
            if !reader.reaches(end).await? {
                return Err(reader.ends_in(0, end, "the RIFF frame"));
            }
            return walk.finish(true);
        }
        if reader.is_spent() {
            break;
        }
        walk.chunk(reader).await?;
    }
    walk.finish(false)
}

#[derive(Default)]
struct Walk {
    at: u64,
    end: u64,
    /// The size of the canvas, where there is one; of the picture otherwise.
    size: Option<(u32, u32)>,
    has_canvas: bool,
    pictures: u64,
    frames: u64,
    millis: u64,
}

impl Walk {
    async fn chunk<S: Source>(&mut self, reader: &mut Reader<'_, S>) -> Result<(), Failure> {
        let head = reader.exact(self.at, 8, "the head of a WebP chunk").await?;
        let mut cursor = Cursor(&head);
        let (kind, size) = cursor.array::<4>().zip(cursor.u32_le()).unwrap_or_default();
        let start = self.at + 8;
        let end = start + u64::from(size);
        if end > self.end {
            return Err(broken(format!("chunk `{}` is longer than the RIFF frame around it", four(kind))));
        }
        let body = reader.peek(start, LOOKED_AT.min(size as usize)).await?;
        match &kind {
            b"VP8X" => self.canvas(&body)?,
            b"VP8 " | b"VP8L" => {
                let size = picture(kind, &body)?;
                self.pictures += 1;
                if !self.has_canvas {
                    self.size = Some(size);
                }
            }
            b"ANMF" => self.frame(&body, size)?,
            _ => {}
        }
        if !reader.reaches(end).await? {
            return Err(reader.ends_in(self.at, end - self.at, &format!("chunk `{}`", four(kind))));
        }
        // Chunks begin at even places.
        self.at = end + (end & 1);
        Ok(())
    }

    fn canvas(&mut self, body: &[u8]) -> Result<(), Failure> {
        let mut cursor = Cursor(body);
        let size = cursor.skip(4).and_then(|()| cursor.u24_le().zip(cursor.u24_le()));
        let (width, height) = size.ok_or_else(|| broken("chunk `VP8X` is too short"))?;
        self.size = Some((width + 1, height + 1));
        self.has_canvas = true;
        Ok(())
    }

    /// A frame: where it stands, its size, how long, and a picture.
    fn frame(&mut self, body: &[u8], whole: u32) -> Result<(), Failure> {
        let mut cursor = Cursor(body);
        let millis =
            cursor.skip(12).and_then(|()| cursor.u24_le()).ok_or_else(|| broken("chunk `ANMF` is too short"))?;
        cursor.skip(1).ok_or_else(|| broken("chunk `ANMF` is too short"))?;
        let (kind, size) =
            cursor.array::<4>().zip(cursor.u32_le()).ok_or_else(|| broken("chunk `ANMF` holds no picture"))?;
        if u64::from(size) + FRAME_HEAD > u64::from(whole) {
            return Err(broken(format!("chunk `{}` is longer than the frame around it", four(kind))));
        }
        match &kind {
            b"VP8 " | b"VP8L" if size > 0 => drop(picture(kind, cursor.0)?),
            // Transparency comes before the picture that it belongs to.
            b"ALPH" => {}
            _ => return Err(broken("chunk `ANMF` holds no picture")),
        }
        self.frames += 1;
        // As browsers and ffmpeg do: what asks for no delay gets a tenth of a second.
        self.millis += u64::from(if millis <= 10 { 100 } else { millis });
        Ok(())
    }

    fn finish(self, is_whole: bool) -> Result<Media, Failure> {
        let frames = self.frames + self.pictures;
        let (Some(size), 1..) = (self.size, frames) else { return Err(broken("the WebP holds no picture")) };
        let duration = (is_whole && self.frames > 1).then(|| Duration::from_millis(self.millis));
        let unseen = (!is_whole).then(|| format!("what comes behind byte {}", self.at).into());
        Ok(Media { duration, unseen, ..Media::picture(Container::Webp, size, frames) })
    }
}

/// The size of a coded picture.
fn picture(kind: [u8; 4], body: &[u8]) -> Result<(u32, u32), Failure> {
    let mut cursor = Cursor(body);
    let size = if &kind == b"VP8L" {
        // RFC 9649, 3.4: a signature, then twice 14 bits, each one less than it means.
        let mut read = || (cursor.u8()? == 0x2f).then(|| cursor.u32_le()).flatten();
        read().map(|bits| ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
    } else {
        // RFC 6386, 9.1: a keyframe's tag (lowest bit 0), a start code, then twice 14 bits and 2 of scaling.
        let mut read = || {
            (cursor.u24_le()? & 1 == 0).then_some(())?;
            (cursor.array::<3>()? == [0x9d, 0x01, 0x2a]).then_some(())?;
            Some((cursor.u16_le()? & 0x3fff, cursor.u16_le()? & 0x3fff))
        };
        read().map(|(width, height)| (width.into(), height.into()))
    };
    match size {
        Some((width, height)) if width > 0 && height > 0 => Ok((width, height)),
        Some((width, height)) => Err(broken(format!("the picture is {width}x{height} pixels large"))),
        None => Err(broken(format!("chunk `{}` does not begin like a picture", four(kind)))),
    }
}

/// What stands before a frame's picture: its own head, and the head of the picture's chunk.
const FRAME_HEAD: u64 = 16 + 8;
/// Of each chunk.
const LOOKED_AT: usize = 40;
const MAX_CHUNKS: u32 = 20_000;

#[cfg(test)]
mod tests {
    use super::super::{InMemory, inspect};
    use super::*;
    use crate::model::reason::Reason;

    const LOSSY: &[u8] = &[0, 0, 0, 0x9d, 1, 0x2a, 2, 0, 3, 0];
    const LOSSLESS: &[u8] = &[0x2f, 1, 0x80, 0, 0, 0];

    fn chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = kind.to_vec();
        out.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        out.extend(body);
        out.extend(vec![0; body.len() % 2]);
        out
    }

    fn webp(chunks: &[Vec<u8>]) -> Vec<u8> {
        let body = [b"WEBP".to_vec(), chunks.concat()].concat();
        chunk(*b"RIFF", &body)
    }

    fn frame(millis: u8) -> Vec<u8> {
        let mut body = vec![0; 16];
        body[12] = millis;
        body.extend(chunk(*b"VP8 ", LOSSY));
        chunk(*b"ANMF", &body)
    }

    async fn of(bytes: Vec<u8>) -> Result<Media, Failure> {
        inspect(&mut InMemory::new(bytes)).await
    }

    #[tokio::test]
    async fn each_kind_of_picture_is_read() {
        assert_eq!(of(webp(&[chunk(*b"VP8 ", LOSSY)])).await.unwrap().summary(), "webp 2x3");
        assert_eq!(of(webp(&[chunk(*b"VP8L", LOSSLESS)])).await.unwrap().summary(), "webp 2x3");
        let canvas = chunk(*b"VP8X", &[2, 0, 0, 0, 9, 0, 0, 19, 0, 0]);
        let media = of(webp(&[canvas, frame(200), frame(100)])).await.unwrap();
        assert_eq!(media.summary(), "webp 10x20, 0.3s");
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        for (chunks, expected) in [
            (vec![], "the WebP holds no picture"),
            (vec![chunk(*b"VP8X", &[0; 10])], "the WebP holds no picture"),
            (vec![chunk(*b"VP8 ", &[0; 10])], "chunk `VP8 ` does not begin like a picture"),
            (vec![chunk(*b"ANMF", &[0; 30])], "chunk `ANMF` holds no picture"),
        ] {
            assert_eq!(of(webp(&chunks)).await.unwrap_err().detail, expected);
        }
    }

    #[tokio::test]
    async fn a_picture_that_ends_early_is_truncated() {
        let whole = webp(&[chunk(*b"VP8L", LOSSLESS)]);
        for length in 12..whole.len() {
            let failure = of(whole[..length].to_vec()).await.unwrap_err();
            assert_eq!(failure.reason, Reason::Truncated, "{length}: {failure:?}");
        }
    }
}
