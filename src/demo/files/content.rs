//! The bytes behind every link: one healthy clip, and what the defects make of it.
//!
//! Knows nothing of links, faults that hit a transfer, or HTTP.
//!
//! The embedded files were made with ffmpeg 5.1 (libx264), each with `-bitexact -threads 1 -movflags +faststart`:
//!
//! ```sh
//! video="-c:v libx264 -preset veryslow -crf 34 -pix_fmt yuv420p"
//! ffmpeg -f lavfi -i testsrc2=size=192x108:rate=24:duration=5 $video … clip.mp4
//! ffmpeg -f lavfi -i color=black:size=192x108:rate=24:duration=5 $video … black.mp4
//! ffmpeg -f lavfi -i sine=frequency=440:sample_rate=22050:duration=5 -c:a aac -b:a 24k … audio.mp4
//! ```

use std::fmt::Write;

use axum::body::Bytes;
use axum::http::HeaderValue;
use sha2::{Digest, Sha256};

/// What a stored file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::demo) enum Content {
    /// Five seconds of video, index first.
    Clip,
    /// The clip without its index.
    Unindexed,
    /// The first half of the clip.
    Cut,
    /// Five seconds of sound.
    Audio,
    /// Five seconds of black.
    Black,
    /// A web page.
    Page,
    /// Nothing.
    Nothing,
}

/// A stored file.
#[derive(Debug)]
pub(in crate::demo) struct Stored {
    pub(in crate::demo) bytes: Bytes,
    pub(in crate::demo) etag: HeaderValue,
}

/// Every content, ready to be sent.
#[derive(Debug)]
pub(in crate::demo) struct Contents([Stored; 7]);

impl Contents {
    /// Derives the defective files from the embedded ones.
    pub(in crate::demo) fn new() -> Self {
        let page = include_bytes!("../assets/unavailable.html");
        Self([
            Stored::new(Bytes::from_static(CLIP)),
            Stored::new(without_box(CLIP, *b"moov").into()),
            Stored::new(Bytes::from_static(&CLIP[..CLIP.len() / 2])),
            Stored::new(Bytes::from_static(include_bytes!("../assets/audio.mp4"))),
            Stored::new(Bytes::from_static(include_bytes!("../assets/black.mp4"))),
            Stored::new(Bytes::from_static(page)),
            Stored::new(Bytes::new()),
        ])
    }

    pub(in crate::demo) const fn get(&self, content: Content) -> &Stored {
        &self.0[content as usize]
    }
}

impl Stored {
    fn new(bytes: Bytes) -> Self {
        let etag = HeaderValue::from_str(&format!("\"{}\"", hex(&Sha256::digest(&bytes)[..16])));
        // Hexadecimal digits in quotes are a header value.
        Self { etag: etag.unwrap_or_else(|_| HeaderValue::from_static("\"0\"")), bytes }
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An MP4 file without its top-level boxes of one kind (ISO/IEC 14496-12, 4.2: size in 32 bits, then the kind).
fn without_box(mut file: &[u8], kind: [u8; 4]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(file.len());
    while let Some((size, rest)) = file.split_first_chunk::<4>() {
        // Our own files have neither 64-bit sizes nor boxes that reach to the end; either would end the walk here.
        let size = usize::try_from(u32::from_be_bytes(*size)).unwrap_or(0);
        let Some((this, next)) = file.split_at_checked(size).filter(|(this, _)| this.len() >= 8) else { break };
        if !rest.starts_with(&kind) {
            kept.extend_from_slice(this);
        }
        file = next;
    }
    kept
}

const CLIP: &[u8] = include_bytes!("../assets/clip.mp4");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_content_is_what_it_says() {
        let contents = Contents::new();
        let bytes = |content| contents.get(content).bytes.clone();
        let holds = |content, text: &[u8]| memchr::memmem::find(&bytes(content), text).is_some();
        assert_eq!(bytes(Content::Clip), CLIP);
        assert!(holds(Content::Clip, b"moov") && holds(Content::Clip, b"avc1"));
        assert!(!holds(Content::Unindexed, b"moov") && holds(Content::Unindexed, b"mdat"));
        assert!(bytes(Content::Unindexed).starts_with(&CLIP[..8]), "it still begins as a video does");
        assert!(holds(Content::Cut, b"moov") && bytes(Content::Cut).len() < CLIP.len());
        assert!(holds(Content::Audio, b"mp4a") && !holds(Content::Audio, b"avc1"));
        assert!(holds(Content::Black, b"avc1") && bytes(Content::Black).len() < 8_000);
        assert!(bytes(Content::Page).starts_with(b"<!doctype html>"));
        assert!(bytes(Content::Nothing).is_empty());
        for (index, stored) in contents.0.iter().enumerate() {
            assert!(stored.bytes.len() <= 40 * 1024);
            assert!(contents.0[..index].iter().all(|other| other.etag != stored.etag));
        }
    }

    #[test]
    fn a_walk_over_boxes_ends_where_they_do() {
        assert_eq!(
            without_box(b"\0\0\0\x08abcd\0\0\0\x09moovx\0\0\0\x08efgh", *b"moov"),
            b"\0\0\0\x08abcd\0\0\0\x08efgh"
        );
        for odd in [&b""[..], b"\0\0\0", b"\0\0\0\0moov", b"\0\0\0\x07moo", b"\xff\xff\xff\xffmoov"] {
            assert_eq!(without_box(odd, *b"free"), b"");
        }
    }
}
