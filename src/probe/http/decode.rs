//! Takes a body in pieces, undoes its compression, counts, and keeps as much as the rules will look at.
//!
//! Bounded twice: the bytes that come, and the bytes that come out of them. A bomb costs its bound and no more.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::base::bounded::printable;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;

/// A body on its way in.
pub struct Body {
    coding: Coding,
    decoder: Decoder,
    encoded: u64,
    limit: u64,
}

/// A body that came whole.
#[derive(Debug, Default)]
pub struct Whole {
    /// Its bytes, if they were to be kept; else empty.
    pub bytes: Vec<u8>,
    /// Its size after decompression.
    pub size: u64,
}

/// A compression that HTTP knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or the bare RFC 1951 that some servers send.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// The coding that a `content-encoding` names; `None` for one that is unknown, or for several.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// What is asked for in `accept-encoding`.
pub const ACCEPTED: &str = "gzip, deflate, br, zstd";

impl Body {
    /// A body in `coding`, of at most `limit` bytes before and after; its bytes are kept if `keep`.
    ///
    /// # Errors
    /// A [`Failure`] that blames the agent, if a decoder cannot be set up.
    pub fn new(coding: Coding, limit: ByteSize, keep: bool) -> Result<Self, Failure> {
        let sink = Sink { kept: keep.then(Vec::new), size: 0, limit: limit.0, is_over: false };
        let decoder = Decoder::new(coding, sink)
            .map_err(|error| Failure::new(Reason::Agent, format!("cannot set up a decoder: {error}")))?;
        Ok(Self { coding, decoder, encoded: 0, limit: limit.0 })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// `body_too_large`, or `protocol` when the compression is broken.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.encoded += piece.len() as u64;
        if self.encoded > self.limit {
            return Err(self.too_large("the body"));
        }
        let written = self.decoder.write_all(self.coding, piece);
        written.map_err(|error| self.broken(&error))
    }

    /// Ends the body.
    ///
    /// # Errors
    /// As [`Self::push`]; `truncated` when the compressed data stops short.
    pub fn finish(mut self) -> Result<Whole, Failure> {
        if self.encoded > 0 {
            let finished = self.decoder.finish();
            finished.map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    Failure::new(Reason::Truncated, format!("the {:?} data stops short", self.coding))
                }
                _ => self.broken(&error),
            })?;
        }
        let sink = self.decoder.sink_mut();
        Ok(Whole { size: sink.size, bytes: sink.kept.take().unwrap_or_default() })
    }

    fn broken(&mut self, error: &io::Error) -> Failure {
        if self.decoder.sink_mut().is_over {
            return self.too_large("the decompressed body");
        }
        let detail = printable(&error.to_string(), 120);
        Failure::new(Reason::Protocol, format!("the body is not valid {:?} data: {detail}", self.coding))
    }

    fn too_large(&self, what: &str) -> Failure {
        Failure::new(Reason::BodyTooLarge, format!("{what} is larger than max_body, {}", ByteSize(self.limit)))
    }
}

enum Decoder {
    Identity(Sink),
    /// `deflate` before its first byte, which tells zlib from bare deflate.
    Undecided(Option<Sink>),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Zlib(Box<ZlibDecoder<Sink>>),
    Deflate(Box<DeflateDecoder<Sink>>),
    Brotli(Box<DecompressorWriter<Sink>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Sink>>),
}

impl Decoder {
    fn new(coding: Coding, sink: Sink) -> io::Result<Self> {
        Ok(match coding {
            Coding::Identity => Self::Identity(sink),
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(sink))),
            Coding::Deflate => Self::Undecided(Some(sink)),
            Coding::Brotli => Self::Brotli(Box::new(DecompressorWriter::new(sink, BROTLI_BUFFER))),
            Coding::Zstd => {
                let mut decoder = zstd::stream::write::Decoder::new(sink)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }

    fn write_all(&mut self, coding: Coding, piece: &[u8]) -> io::Result<()> {
        if let Self::Undecided(sink) = self {
            let Some(first) = piece.first() else { return Ok(()) };
            if let Some(sink) = sink.take() {
                *self = if first & 0x0f == 8 {
                    Self::Zlib(Box::new(ZlibDecoder::new(sink)))
                } else {
                    Self::Deflate(Box::new(DeflateDecoder::new(sink)))
                };
            }
        }
        // RFC 7932 windows above 4 MiB are legal and never used on the web; refusing them keeps the memory bounded.
        if coding == Coding::Brotli && self.sink_mut().size == 0 && piece.first().is_some_and(|first| is_wide(*first)) {
            return Err(io::Error::other("a brotli window above 4 MiB"));
        }
        match self {
            Self::Identity(sink) => sink.write_all(piece),
            Self::Undecided(_) => Ok(()),
            Self::Gzip(decoder) => decoder.write_all(piece),
            Self::Zlib(decoder) => decoder.write_all(piece),
            Self::Deflate(decoder) => decoder.write_all(piece),
            Self::Brotli(decoder) => decoder.write_all(piece),
            Self::Zstd(decoder) => decoder.write_all(piece),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Identity(_) | Self::Undecided(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zlib(decoder) => decoder.try_finish(),
            Self::Deflate(decoder) => decoder.try_finish(),
            Self::Brotli(decoder) => decoder.close(),
            Self::Zstd(decoder) => decoder.flush(),
        }
    }

    fn sink_mut(&mut self) -> &mut Sink {
        match self {
            Self::Identity(sink) => sink,
            Self::Undecided(sink) => sink.get_or_insert_with(Sink::default),
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

/// Where decompressed bytes go: counted, kept if wanted, refused beyond the limit.
#[derive(Default)]
struct Sink {
    kept: Option<Vec<u8>>,
    size: u64,
    limit: u64,
    is_over: bool,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size + bytes.len() as u64 > self.limit {
            self.is_over = true;
            return Err(io::Error::other("larger than the limit"));
        }
        self.size += bytes.len() as u64;
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// True when a brotli stream's first byte announces a window of 2^23 or 2^24 bytes, or a "large window" (RFC 7932 §9.1).
const fn is_wide(first: u8) -> bool {
    // WBITS: xxxx1101 is 23, xxxx1111 is 24; 0010001 is the escape to large windows.
    matches!(first & 0x0f, 0b1101 | 0b1111) || first & 0x7f == 0b001_0001
}

const BROTLI_BUFFER: usize = 4096;
/// RFC 8878 §3.1.1.1.2 recommends decoders to support 8 MiB, and no more is needed.
const ZSTD_WINDOW_LOG: u32 = 23;

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(coding: Coding, encoded: &[u8], limit: u64) -> Result<Whole, Failure> {
        let mut body = Body::new(coding, ByteSize(limit), true).unwrap();
        for piece in encoded.chunks(7) {
            body.push(piece)?;
        }
        body.finish()
    }

    #[test]
    fn every_coding_is_undone() {
        let plain = b"a video is born ".repeat(100);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&plain).unwrap();
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(&plain).unwrap();
        for (coding, encoded) in [
            (Coding::Identity, plain.clone()),
            (Coding::Gzip, gzip(&plain)),
            (Coding::Deflate, zlib.finish().unwrap()),
            (Coding::Deflate, raw.finish().unwrap()),
            (Coding::Zstd, zstd::encode_all(&plain[..], 3).unwrap()),
        ] {
            assert_eq!(read(coding, &encoded, 10_000).unwrap().bytes, plain, "{coding:?}");
        }
    }

    #[test]
    fn a_bomb_costs_its_bound() {
        let bomb = gzip(&vec![0; 50 << 20]);
        assert!(bomb.len() < 100_000);
        let failure = read(Coding::Gzip, &bomb, 1 << 20).unwrap_err();
        assert_eq!(failure.reason, Reason::BodyTooLarge);
        let bomb = zstd::encode_all(&vec![0_u8; 50 << 20][..], 3).unwrap();
        assert_eq!(read(Coding::Zstd, &bomb, 1 << 20).unwrap_err().reason, Reason::BodyTooLarge);
    }

    #[test]
    fn broken_and_short_data_are_told_apart() {
        assert_eq!(read(Coding::Gzip, b"<html>no gzip at all</html>", 1000).unwrap_err().reason, Reason::Protocol);
        let whole = gzip(b"a video is born");
        assert_eq!(read(Coding::Gzip, &whole[..whole.len() - 9], 1000).unwrap_err().reason, Reason::Truncated);
        assert_eq!(read(Coding::Brotli, &[0xff; 20], 1000).unwrap_err().reason, Reason::Protocol);
    }

    #[test]
    fn an_empty_body_needs_no_coding() {
        for coding in [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            assert_eq!(read(coding, b"", 10).unwrap().size, 0, "{coding:?}");
        }
    }
}
