//! The tracks of a segment: what they claim, and how many blocks were seen of each.
//!
//! Does not look into a codec's own data.

use std::borrow::Cow;
use std::time::Duration;

use super::super::broken;
use super::super::ebml::{self, Elements};
use crate::base::bounded::printable;
use crate::model::outcome::Failure;

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

/// One track that is seen or heard.
#[derive(Debug)]
pub(super) struct Found {
    number: u64,
    kind: Kind,
    pub(super) codec: Cow<'static, str>,
    pub(super) width: u32,
    pub(super) height: u32,
    frame: Duration,
    /// How many blocks were seen.
    pub(super) blocks: u64,
}

/// The tracks that are seen or heard, in the order of the file.
#[derive(Debug)]
pub(super) struct Tracks(Vec<Found>);

impl Tracks {
    /// Reads the content of a `Tracks` element.
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        let mut elements = Elements::new(body);
        let entries: Vec<_> = elements.by_ref().filter(|(id, _)| *id == TRACK_ENTRY).take(MAX_TRACKS).collect();
        if entries.len() < MAX_TRACKS && !elements.is_done() {
            return Err(broken("element `Tracks` is damaged"));
        }
        let mut tracks = Vec::new();
        for (_, entry) in entries {
            tracks.extend(Entry::read(entry).found()?);
        }
        if tracks.is_empty() {
            return Err(broken("the file has neither a video nor an audio track"));
        }
        Ok(Self(tracks))
    }

    /// The first track of a kind of which a block was seen.
    pub(super) fn first(&self, kind: Kind) -> Option<&Found> {
        self.0.iter().find(|track| track.kind == kind && track.blocks > 0)
    }

    /// True when a block of every track was seen.
    pub(super) fn are_all_seen(&self) -> bool {
        self.0.iter().all(|track| track.blocks > 0)
    }

    /// Counts a block. True when it is a picture's. `is_key` where the block tells.
    pub(super) fn count(&mut self, number: u64, is_key: Option<bool>) -> Result<bool, Failure> {
        // A block of a track that is not played: subtitles.
        let Some(track) = self.0.iter_mut().find(|track| track.number == number) else { return Ok(false) };
        if track.blocks == 0 && track.kind == Kind::Video && is_key == Some(false) {
            return Err(broken("the video track does not begin with a keyframe"));
        }
        track.blocks += 1;
        Ok(track.kind == Kind::Video)
    }

    /// Each track that was announced must have been seen. Where the walk ended early, one is enough.
    pub(super) fn check(&self, is_whole: bool) -> Result<(), Failure> {
        let is_empty = |kind| self.0.iter().any(|track| track.kind == kind) && self.first(kind).is_none();
        if self.0.iter().all(|track| track.blocks == 0) || (is_whole && is_empty(Kind::Video)) {
            let kind = if is_empty(Kind::Video) { Kind::Video } else { Kind::Audio };
            return Err(broken(format!("the {} track holds no blocks", kind.as_str())));
        }
        Ok(())
    }

    /// How long a picture stands, where that is said.
    pub(super) fn frame_duration(&self) -> Duration {
        self.first(Kind::Video).or_else(|| self.first(Kind::Audio)).map_or(Duration::ZERO, |track| track.frame)
    }
}

/// A `TrackEntry` element.
#[derive(Default)]
struct Entry<'b> {
    number: u64,
    kind: u64,
    codec: &'b [u8],
    has_configuration: bool,
    is_encrypted: bool,
    nanos: u64,
    size: (u64, u64),
}

impl<'b> Entry<'b> {
    fn read(body: &'b [u8]) -> Self {
        let mut entry = Self::default();
        for (id, value) in Elements::new(body) {
            match id {
                TRACK_NUMBER => entry.number = ebml::unsigned(value).unwrap_or(0),
                TRACK_TYPE => entry.kind = ebml::unsigned(value).unwrap_or(0),
                CODEC_ID => entry.codec = super::trimmed(value),
                CODEC_PRIVATE => entry.has_configuration = !value.is_empty(),
                DEFAULT_DURATION => entry.nanos = ebml::unsigned(value).unwrap_or(0),
                VIDEO => entry.size = size(value),
                CONTENT_ENCODINGS => entry.is_encrypted = is_encrypted(value),
                _ => {}
            }
        }
        entry
    }

    /// The track, unless it is of a kind that is not played.
    fn found(self) -> Result<Option<Found>, Failure> {
        let kind = match self.kind {
            1 => Kind::Video,
            2 => Kind::Audio,
            _ => return Ok(None),
        };
        if self.number == 0 {
            return Err(broken(format!("the {} track has no number", kind.as_str())));
        }
        if self.is_encrypted {
            return Err(broken(format!("the {} track is encrypted", kind.as_str())));
        }
        let (codec, needs_configuration) = codec(self.codec, kind)?;
        if needs_configuration && !self.has_configuration {
            return Err(broken(format!(
                "the {} track ({codec}) has no decoder configuration (CodecPrivate)",
                kind.as_str()
            )));
        }
        let (width, height) = self.size;
        let (width, height) = (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0));
        if kind == Kind::Video && (width == 0 || height == 0) {
            return Err(broken(format!("the picture is {width}x{height} pixels large")));
        }
        let frame = Duration::from_nanos(self.nanos).min(LONGEST_FRAME);
        Ok(Some(Found { number: self.number, kind, codec, width, height, frame, blocks: 0 }))
    }
}

/// The codec's name, and whether it cannot do without a configuration.
fn codec(id: &[u8], kind: Kind) -> Result<(Cow<'static, str>, bool), Failure> {
    let known = CODECS.iter().find(|(known, ..)| known.as_bytes() == id);
    if let Some((_, name, needs_configuration)) = known {
        return Ok((Cow::Borrowed(name), *needs_configuration));
    }
    let id = String::from_utf8_lossy(id);
    match kind {
        Kind::Video => Err(broken(format!("the video track uses codec `{id}`, which no player is known to play"))),
        Kind::Audio => Ok((Cow::Owned(printable(id.trim_start_matches("A_"), 20)), false)),
    }
}

fn size(video: &[u8]) -> (u64, u64) {
    let mut size = (0, 0);
    for (id, value) in Elements::new(video) {
        match id {
            PIXEL_WIDTH => size.0 = ebml::unsigned(value).unwrap_or(0),
            PIXEL_HEIGHT => size.1 = ebml::unsigned(value).unwrap_or(0),
            _ => {}
        }
    }
    size
}

fn is_encrypted(encodings: &[u8]) -> bool {
    let mut each = Elements::new(encodings).filter(|(id, _)| *id == CONTENT_ENCODING);
    each.any(|(_, encoding)| Elements::new(encoding).any(|(id, _)| id == CONTENT_ENCRYPTION))
}

/// Identifier, name as `ffprobe` gives it, and whether `CodecPrivate` must be there.
const CODECS: [(&str, &str, bool); 22] = [
    ("V_VP8", "vp8", false),
    ("V_VP9", "vp9", false),
    ("V_AV1", "av1", false),
    ("V_MPEG4/ISO/AVC", "h264", true),
    ("V_MPEGH/ISO/HEVC", "hevc", true),
    ("V_MPEG4/ISO/ASP", "mpeg4", false),
    ("V_MPEG4/ISO/SP", "mpeg4", false),
    ("V_MPEG2", "mpeg2video", false),
    ("V_MPEG1", "mpeg1video", false),
    ("V_MJPEG", "mjpeg", false),
    ("V_THEORA", "theora", true),
    ("V_PRORES", "prores", false),
    ("V_FFV1", "ffv1", false),
    ("A_OPUS", "opus", false),
    ("A_VORBIS", "vorbis", true),
    ("A_AAC", "aac", false),
    ("A_MPEG/L3", "mp3", false),
    ("A_AC3", "ac3", false),
    ("A_EAC3", "eac3", false),
    ("A_FLAC", "flac", true),
    ("A_PCM/INT/LIT", "pcm", false),
    ("A_PCM/INT/BIG", "pcm", false),
];

const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const TRACK_TYPE: u32 = 0x83;
const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63a2;
const DEFAULT_DURATION: u32 = 0x23_e383;
const VIDEO: u32 = 0xe0;
const PIXEL_WIDTH: u32 = 0xb0;
const PIXEL_HEIGHT: u32 = 0xba;
const CONTENT_ENCODINGS: u32 = 0x6d80;
const CONTENT_ENCODING: u32 = 0x6240;
const CONTENT_ENCRYPTION: u32 = 0x5035;

const MAX_TRACKS: usize = 64;
const LONGEST_FRAME: Duration = Duration::from_secs(10);
