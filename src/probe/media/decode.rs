//! Lets `ffmpeg` decode some frames of a file, to catch what its structure cannot show.
//!
//! Placeholder: the interface stands, the work follows.

use std::path::Path;
use std::time::Duration;

use super::Media;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;

/// What the decoded frames are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frames {
    /// How many were looked at.
    pub count: usize,
}

/// Decodes a handful of frames of the file at `path`, which [`inspect`](super::inspect) found to be `media`, within
/// `limit`.
///
/// # Errors
/// A [`Failure`] with [`Reason::NotPlayable`] when no frame decodes, all are black, or the picture never changes; with
/// [`Reason::Config`] when there is no `ffmpeg`.
pub async fn decode(_path: &Path, _media: &Media, _limit: Duration) -> Result<Frames, Failure> {
    Err(Failure::new(Reason::Config, "not yet"))
}
