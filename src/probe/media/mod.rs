//! Is this file a playable video or image? Decided from its structure, over bytes that are read forward and sparsely.
//!
//! [`inspect`] walks a file through a [`Source`] and says what it is, or why it does not play; [`MediaRules`] compares
//! that with what was asked for; [`decode`] lets `ffmpeg` look at the picture itself. `.github/docs/media.md` lists what
//! is looked at and what is not.
//!
//! Does not fetch anything, decodes nothing itself, and never reads more than a few MiB: media data is jumped over.

mod bits;
pub mod decode;
mod ebml;
mod gif;
mod jpeg;
mod matroska;
mod mp4;
mod png;
mod reader;
mod rules;
mod sniff;
mod source;
mod webp;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use self::reader::Reader;
pub use self::rules::{Decode, MediaRules};
pub use self::sniff::{Sniffed, sniff};
pub use self::source::{InMemory, Source};
use crate::base::bounded::printable;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;

/// The file formats that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// ISO base media, `QuickTime` included.
    Mp4,
    /// `WebM`: Matroska whose header says `webm`.
    Webm,
    /// Any other Matroska.
    Matroska,
    /// GIF, still or animated.
    Gif,
    /// PNG, still or animated.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP, still or animated.
    Webp,
}

impl Container {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Mp4, Self::Webm, Self::Matroska, Self::Gif, Self::Png, Self::Jpeg, Self::Webp];

    /// The name as settings spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Webm => "webm",
            Self::Matroska => "matroska",
            Self::Gif => "gif",
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// The content types under which a browser plays it, the usual one first.
    #[must_use]
    pub const fn content_types(self) -> &'static [&'static str] {
        match self {
            Self::Mp4 => &["video/mp4", "video/quicktime", "audio/mp4", "video/x-m4v", "application/mp4"],
            Self::Webm => &["video/webm", "audio/webm"],
            Self::Matroska => &["video/x-matroska", "video/matroska", "audio/x-matroska", "video/webm"],
            Self::Gif => &["image/gif"],
            Self::Png => &["image/png", "image/apng"],
            Self::Jpeg => &["image/jpeg", "image/jpg"],
            Self::Webp => &["image/webp"],
        }
    }

    /// True unless a `content-type` header says that the file is something else. A type that says nothing
    /// (`application/octet-stream`) fits everything.
    #[must_use]
    pub fn fits(self, content_type: &str) -> bool {
        let bare = content_type.split(';').next().unwrap_or_default().trim();
        let says_nothing = ["", "application/octet-stream", "binary/octet-stream"];
        self.content_types().iter().chain(&says_nothing).any(|known| known.eq_ignore_ascii_case(bare))
    }

    const fn is_picture(self) -> bool {
        matches!(self, Self::Gif | Self::Png | Self::Jpeg | Self::Webp)
    }
}

impl fmt::Display for Container {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

/// What a file turned out to be. It plays, as far as its structure tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The format.
    pub container: Container,
    /// How long it plays. `None` for a still picture, and for a stream that does not say and was not walked to its end.
    pub duration: Option<Duration>,
    /// The picture's width in pixels; 0 without a picture.
    pub width: u32,
    /// The picture's height in pixels; 0 without a picture.
    pub height: u32,
    /// The first video track, or the picture.
    pub video: Option<Track>,
    /// The first audio track.
    pub audio: Option<Track>,
    /// True when the index stands before the data, so that playing can begin before everything has come. `None` for
    /// formats that have no such index.
    pub fast_start: Option<bool>,
    /// True for an MP4 of fragments.
    pub fragmented: bool,
    /// The length in bytes, when it became known.
    pub bytes: Option<u64>,
    /// What could not be looked at within the limits, as the end of a sentence.
    pub unseen: Option<Cow<'static, str>>,
}

impl Media {
    fn new(container: Container) -> Self {
        Self {
            container,
            duration: None,
            width: 0,
            height: 0,
            video: None,
            audio: None,
            fast_start: None,
            fragmented: false,
            bytes: None,
            unseen: None,
        }
    }

    /// A picture of one or more frames.
    fn picture(container: Container, (width, height): (u32, u32), frames: u64) -> Self {
        let track = Track { codec: Cow::Borrowed(container.as_str()), samples: Some(frames) };
        Self { width, height, video: Some(track), ..Self::new(container) }
    }

    /// One line for people: `mp4, h264 1280x720, 5.0s, no audio`.
    #[must_use]
    pub fn summary(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Media {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { container, width, height, .. } = self;
        let is_picture = container.is_picture();
        match &self.video {
            Some(_) if is_picture => write!(out, "{container} {width}x{height}")?,
            Some(video) => write!(out, "{container}, {} {width}x{height}", video.codec)?,
            None => write!(out, "{container}, no video")?,
        }
        match self.duration {
            Some(duration) => write!(out, ", {:.1}s", duration.as_secs_f64())?,
            None if is_picture => {}
            None => out.write_str(", length unknown")?,
        }
        match &self.audio {
            Some(audio) => write!(out, ", {} audio", audio.codec)?,
            None if is_picture => {}
            None => out.write_str(", no audio")?,
        }
        match &self.unseen {
            Some(unseen) => write!(out, " (not looked at: {unseen})"),
            None => Ok(()),
        }
    }
}

/// One track of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// The codec, by the name that `ffprobe` gives it where it is a known one; else the file's own, made printable.
    pub codec: Cow<'static, str>,
    /// How many frames or audio packets it has; `None` where nobody counted.
    pub samples: Option<u64>,
}

/// Walks the file far enough to say whether it plays.
///
/// Trusts [`Source::total`]: where a body may end before its announced length, draining it is the caller's work.
///
/// # Errors
/// A [`Failure`] with [`Reason::NotPlayable`], [`Reason::Truncated`] or [`Reason::NoOutput`] (no bytes at all), or
/// whatever the source failed with.
pub async fn inspect<S: Source>(source: &mut S) -> Result<Media, Failure> {
    let mut reader = Reader::new(source);
    let start = reader.peek(0, FIRST_READ).await?;
    let container = match sniff(&start) {
        Sniffed::Media(container) => container,
        Sniffed::Empty => {
            return Err(Failure::new(Reason::NoOutput, "expected a video or an image, the file has 0 bytes"));
        }
        other => return Err(broken(format!("expected a video or an image, got {}", other.described(&start)))),
    };
    drop(start);
    let mut media = match container {
        Container::Mp4 => mp4::inspect(&mut reader).await?,
        Container::Webm | Container::Matroska => matroska::inspect(&mut reader).await?,
        Container::Gif => gif::inspect(&mut reader).await?,
        Container::Png => png::inspect(&mut reader).await?,
        Container::Jpeg => jpeg::inspect(&mut reader).await?,
        Container::Webp => webp::inspect(&mut reader).await?,
    };
    media.bytes = reader.end();
    Ok(media)
}

/// How much the first read asks for: most short files have their whole index in it.
const FIRST_READ: usize = 32 * 1024;

/// Not a playable file, and why.
fn broken(detail: impl AsRef<str>) -> Failure {
    Failure::new(Reason::NotPlayable, printable(detail.as_ref(), MAX_DETAIL))
}

/// A file that ends too early, and where.
fn cut(detail: impl AsRef<str>) -> Failure {
    Failure::new(Reason::Truncated, printable(detail.as_ref(), MAX_DETAIL))
}

const MAX_DETAIL: usize = 300;
