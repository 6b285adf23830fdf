//! Where the bytes of a file come from.
//!
//! Only the trait, and the simplest source. Fetching over HTTP is the work of the probes.

use std::future::Future;

use bytes::Bytes;

use crate::model::outcome::Failure;

/// Bytes of a file, read forward only.
///
/// The walker makes few far jumps: it reads headers and indexes, and jumps over what lies between. Over HTTP a far jump is
/// worth a request of its own; a gap of some ten KiB is better read through.
pub trait Source: Send {
    /// The whole length, once known; `None` when nothing announced it.
    fn total(&self) -> Option<u64>;

    /// Up to `want` bytes at `at`; fewer only where the file ends there. `at` never lies before an earlier call's `at`.
    ///
    /// # Errors
    /// A [`Failure`] when the bytes could not be had; [`inspect`](super::inspect) hands it on.
    fn read(&mut self, at: u64, want: usize) -> impl Future<Output = Result<Bytes, Failure>> + Send;
}

/// A file that is in memory as a whole.
#[derive(Debug, Clone)]
pub struct InMemory(Bytes);

impl InMemory {
    /// A source of exactly these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }
}

impl Source for InMemory {
    fn total(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    async fn read(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        let start = usize::try_from(at).unwrap_or(usize::MAX).min(self.0.len());
        Ok(self.0.slice(start..start.saturating_add(want).min(self.0.len())))
    }
}
