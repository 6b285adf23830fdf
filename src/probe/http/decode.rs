//! Takes a body in pieces, undoes its compression, counts, and keeps as much as the rules will look at.
//!
//! Bounded twice: the bytes that come, and the bytes that come out of them. A bomb costs its bound and no more.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use brotli_decompressor::writer::DecompressorWriterCustomAlloc;
use brotli_decompressor::{Allocator, StandardAlloc};
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

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
    /// The coding that `content-encoding` headers name. A name that is not known counts for nothing, since some servers
    /// write a character set there.
    ///
    /// # Errors
    /// A [`Failure`] of reason `protocol` for several codings on top of each other, which nobody asked for.
    pub fn named<'name>(headers: impl Iterator<Item = &'name [u8]>) -> Result<Self, Failure> {
        let mut found = Self::Identity;
        for name in headers.flat_map(|header| header.split(|byte| *byte == b',')) {
            let name = name.trim_ascii();
            let Some((_, coding)) = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) else { continue };
            if found != Self::Identity {
                let detail =
                    format!("the body is compressed twice, as {found:?} and {coding:?}, which was not asked for");
                return Err(Failure::new(Reason::Protocol, detail));
            }
            found = *coding;
        }
        Ok(found)
    }
}

const NAMES: [(&[u8], Coding); 5] = [
    (b"gzip", Coding::Gzip),
    (b"x-gzip", Coding::Gzip),
    (b"deflate", Coding::Deflate),
    (b"br", Coding::Brotli),
    (b"zstd", Coding::Zstd),
];

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

    /// Checks the length that is announced, so that nobody waits for what will be too large.
    ///
    /// # Errors
    /// `body_too_large`.
    pub fn expect(&self, announced: Option<u64>) -> Result<(), Failure> {
        match announced.filter(|length| *length > self.limit) {
            Some(_) => Err(self.too_large("the body as announced")),
            None => Ok(()),
        }
    }

    /// The most bytes that it takes, before and after decompression.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
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
        let written = self.decoder.write_all(piece);
        written.map_err(|error| self.broken(&error))
    }

    /// Bytes that came so far, before decompression.
    #[must_use]
    pub const fn encoded(&self) -> u64 {
        self.encoded
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
                    Failure::new(Reason::Truncated, format!("the body's {:?} data stops short", self.coding))
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
        if let Decoder::Brotli { is_refused, .. } = &self.decoder
            && is_refused.load(Ordering::Relaxed)
        {
            return self.too_large("the window that the body's brotli data needs");
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
    Deflate(Box<Inflater>),
    Brotli {
        writer: Box<BrotliWriter>,
        /// Set when the data needs a larger window than allowed.
        is_refused: Arc<AtomicBool>,
    },
    Zstd(Box<zstd::stream::write::Decoder<'static, Sink>>),
}

impl Decoder {
    fn new(coding: Coding, sink: Sink) -> io::Result<Self> {
        Ok(match coding {
            Coding::Identity => Self::Identity(sink),
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(sink))),
            Coding::Deflate => Self::Undecided(Some(sink)),
            Coding::Brotli => {
                let limit = usize::try_from(sink.limit).unwrap_or(usize::MAX).max(BROTLI_USUAL_WINDOW) + BROTLI_SLACK;
                let is_refused = Arc::new(AtomicBool::new(false));
                let memory = Bounded { limit, is_refused: Arc::clone(&is_refused) };
                let buffer = StandardAlloc::default().alloc_cell(BUFFER);
                let (words, codes) = (StandardAlloc::default(), StandardAlloc::default());
                Self::Brotli { writer: Box::new(BrotliWriter::new(sink, buffer, memory, words, codes)), is_refused }
            }
            Coding::Zstd => {
                let mut decoder = zstd::stream::write::Decoder::new(sink)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }

    fn write_all(&mut self, piece: &[u8]) -> io::Result<()> {
        if let Self::Undecided(sink) = self {
            let Some(first) = piece.first() else { return Ok(()) };
            if let Some(sink) = sink.take() {
                // RFC 1950's first byte has the compression method, 8, in its low half; RFC 1951 data rarely looks so.
                *self = Self::Deflate(Box::new(Inflater::new(sink, first & 0x0f == 8)));
            }
        }
        match self {
            Self::Identity(sink) => sink.write_all(piece),
            Self::Undecided(_) => Ok(()),
            Self::Gzip(decoder) => decoder.write_all(piece),
            Self::Deflate(decoder) => decoder.write_all(piece),
            Self::Brotli { writer, .. } => writer.write_all(piece),
            Self::Zstd(decoder) => decoder.write_all(piece),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Identity(_) | Self::Undecided(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Deflate(decoder) => decoder.finish(),
            // What was wrong with the data was told when it was written, so now it can only be too short.
            Self::Brotli { writer, .. } => writer.close().map_err(|_| io::ErrorKind::UnexpectedEof.into()),
            Self::Zstd(decoder) => decoder.do_finish(),
        }
    }

    fn sink_mut(&mut self) -> &mut Sink {
        match self {
            Self::Identity(sink) => sink,
            Self::Undecided(sink) => sink.get_or_insert_with(Sink::default),
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => &mut decoder.sink,
            Self::Brotli { writer, .. } => writer.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

type BrotliWriter = DecompressorWriterCustomAlloc<Sink, Bytes, Bounded, StandardAlloc, StandardAlloc>;
type Bytes = <StandardAlloc as Allocator<u8>>::AllocatedMemory;

/// Gives a brotli decoder its window, up to a limit: it fills all of it before it gives anything away, so that the
/// [`Sink`] hears of a bomb too late.
struct Bounded {
    limit: usize,
    is_refused: Arc<AtomicBool>,
}

impl Allocator<u8> for Bounded {
    type AllocatedMemory = Bytes;

    fn alloc_cell(&mut self, length: usize) -> Bytes {
        if length > self.limit {
            self.is_refused.store(true, Ordering::Relaxed);
            // The decoder takes an empty cell for a failed allocation, and ends.
            return Bytes::default();
        }
        StandardAlloc::default().alloc_cell(length)
    }

    fn free_cell(&mut self, _: Bytes) {}
}

/// Undoes `deflate`. `flate2`'s own writer does not tell when the data stops short.
struct Inflater {
    state: Decompress,
    is_over: bool,
    buffer: Box<[u8]>,
    sink: Sink,
}

impl Inflater {
    fn new(sink: Sink, zlib_header: bool) -> Self {
        Self { state: Decompress::new(zlib_header), is_over: false, buffer: vec![0; BUFFER].into(), sink }
    }

    fn write_all(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while !self.is_over {
            let (read, written) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(piece, &mut self.buffer, FlushDecompress::None)?;
            let read = usize::try_from(self.state.total_in() - read).unwrap_or(piece.len());
            let written = usize::try_from(self.state.total_out() - written).unwrap_or(BUFFER);
            self.sink.write_all(&self.buffer[..written])?;
            piece = &piece[read..];
            self.is_over = status == Status::StreamEnd;
            // A full buffer may hide more output; without input or output there is no way on.
            if piece.is_empty() && written < BUFFER || (read == 0 && written == 0) {
                break;
            }
        }
        Ok(())
    }

    fn finish(&self) -> io::Result<()> {
        if self.is_over { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
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

const BUFFER: usize = 16 * 1024;
/// The largest window (RFC 7932 §9.1) that servers use for what they compress on the fly.
const BROTLI_USUAL_WINDOW: usize = 4 << 20;
/// What the decoder asks for beside its window, with room to spare.
const BROTLI_SLACK: usize = 1024;
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

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    /// `a video is born ` a hundred times, by `brotli -q 5`, which announces a window of 16 MiB and needs none.
    const BROTLI: &[u8] = b"\x1f\x3f\x06\x00\xa4\x41\xc2\xd2\xe6\xe6\x24\xa2\x38\x96\x43\xb4\x49\xb3\x5b\x5a\x3d\x00";
    /// 50 MiB of zeros, by `brotli -q 9 -w 22`.
    const BROTLI_BOMB: &[u8] = b"\xcb\xff\xff\x3f\x00\x24\x00\xe2\xb1\x40\x72\xef\xff\xf8\xff\xff\x07\x80\x04\x40\x1c\x16\x80\xee\xfd\x1f\xff\xff\
\xff\x00\x90\x00\x88\xc3\x02\xd0\xbd\xff\xe3\xff\xff\x1f\x00\x12\x00\x71\x58\x00\xba\xf7\x7f\xfc\xff\xff\x03\x40\
\x02\x20\x0e\x0b\x40\xf7\xfe\x8f\xff\xff\x7f\x00\x48\x00\xc4\x61\x01\xe8\xde\xff\xe5\xff\xff\x07\x00\x09\x80\x38\
\x2c\x00\xdd\xfb\x0f";
    /// 50 MiB of zeros in a window of 16 MiB, by `brotli -q 9 -w 24`.
    const BROTLI_WIDE_BOMB: &[u8] = b"\xcf\xff\xff\x7f\x00\x24\x00\xe2\xb1\x40\x72\xef\xff\xf9\xff\xff\x0f\x80\x04\x40\
\x1c\x16\x80\xee\xfd\x3f\xff\xff\xff\x01\x90\x00\x88\xc3\x02\xd0\xbd\xff\xcf\xff\xff\x0f\x00\x12\x00\x71\x58\x00\xba\
\xf7\x1f";

    /// One text in every coding.
    fn every_coding() -> [(Coding, Vec<u8>); 6] {
        let plain = plain();
        [
            (Coding::Identity, plain.clone()),
            (Coding::Gzip, gzip(&plain)),
            (Coding::Deflate, zlib(&plain)),
            (Coding::Deflate, deflate(&plain)),
            (Coding::Zstd, zstd(&plain)),
            (Coding::Brotli, BROTLI.to_vec()),
        ]
    }

    fn plain() -> Vec<u8> {
        b"a video is born ".repeat(100)
    }

    #[test]
    fn every_coding_is_undone() {
        for (coding, encoded) in every_coding() {
            let whole = read(coding, &encoded, 10_000).unwrap();
            assert_eq!((whole.bytes, whole.size), (plain(), 1600), "{coding:?}");
        }
    }

    #[test]
    fn what_is_not_kept_is_still_counted() {
        let mut body = Body::new(Coding::Gzip, ByteSize(10_000), false).unwrap();
        body.push(&gzip(&plain())).unwrap();
        let whole = body.finish().unwrap();
        assert_eq!((whole.bytes.len(), whole.size), (0, 1600));
    }

    #[test]
    fn a_bomb_costs_its_bound() {
        let zeros = vec![0; 50 << 20];
        for (coding, bomb) in [
            (Coding::Gzip, gzip(&zeros)),
            (Coding::Deflate, zlib(&zeros)),
            (Coding::Deflate, deflate(&zeros)),
            (Coding::Zstd, zstd(&zeros)),
            (Coding::Brotli, BROTLI_BOMB.to_vec()),
        ] {
            assert!(bomb.len() < 100_000);
            let failure = read(coding, &bomb, 1 << 20).unwrap_err();
            assert_eq!(failure.reason, Reason::BodyTooLarge, "{coding:?}");
            assert_eq!(failure.detail, "the decompressed body is larger than max_body, 1MiB");
        }
    }

    #[test]
    fn a_brotli_window_beyond_the_usual_and_the_limit_is_refused() {
        let failure = read(Coding::Brotli, BROTLI_WIDE_BOMB, 1 << 20).unwrap_err();
        assert_eq!(failure.reason, Reason::BodyTooLarge);
        assert_eq!(failure.detail, "the window that the body's brotli data needs is larger than max_body, 1MiB");
        // Whoever allows as much gets as far as the body itself.
        let failure = read(Coding::Brotli, BROTLI_WIDE_BOMB, 20 << 20).unwrap_err();
        assert_eq!(failure.detail, "the decompressed body is larger than max_body, 20MiB");
    }

    #[test]
    fn data_that_stops_short_is_truncated_at_whichever_byte() {
        for (coding, encoded) in every_coding().into_iter().skip(1) {
            for end in 1..encoded.len() {
                let failure = read(coding, &encoded[..end], 10_000).err();
                let failure = failure.unwrap_or_else(|| panic!("{coding:?} takes {end} of {} bytes", encoded.len()));
                // gzip's last eight bytes are its checksum and length, without which it is taken for damaged.
                let within_checksum = coding == Coding::Gzip && end >= encoded.len() - 8;
                let expected = if within_checksum { Reason::Protocol } else { Reason::Truncated };
                assert_eq!(failure.reason, expected, "{coding:?} at {end}");
            }
        }
    }

    #[test]
    fn data_of_another_kind_is_a_broken_protocol() {
        for coding in [Coding::Gzip, Coding::Zstd, Coding::Brotli, Coding::Deflate] {
            let failure = read(coding, b"\xff<html>nothing of the kind</html>", 1000).unwrap_err();
            assert_eq!(failure.reason, Reason::Protocol, "{coding:?}");
        }
    }

    #[test]
    fn an_empty_body_needs_no_coding() {
        for coding in [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            assert_eq!(read(coding, b"", 10).unwrap().size, 0, "{coding:?}");
        }
    }

    #[test]
    fn codings_are_known_by_name_and_two_at_once_are_refused() {
        let named = |headers: &[&'static str]| Coding::named(headers.iter().map(|header| header.as_bytes()));
        assert_eq!(named(&[]).unwrap(), Coding::Identity);
        assert_eq!(named(&[" GZip "]).unwrap(), Coding::Gzip);
        assert_eq!(named(&["identity, br"]).unwrap(), Coding::Brotli);
        assert_eq!(named(&["utf-8"]).unwrap(), Coding::Identity);
        assert_eq!(named(&["gzip, gzip"]).unwrap_err().reason, Reason::Protocol);
        assert_eq!(named(&["gzip", "br"]).unwrap_err().reason, Reason::Protocol);
    }
}
