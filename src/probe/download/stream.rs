//! A file as it comes over one connection, from its first byte to its last: counted, timed, hashed, and read forward by
//! whoever looks into it.
//!
//! Holds one piece at a time, whatever the file's size.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::base::clock::Instant;
use crate::base::duration::shown;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::caller::Live;
use crate::probe::api::pool::Pool;
use crate::probe::http::exchange::content_length;
use crate::probe::media::Source;

/// A file on its way in.
pub struct Stream {
    live: Live,
    /// What came and was not asked for yet.
    ahead: BytesMut,
    /// Where `ahead` begins in the file.
    at: u64,
    /// Where the stream itself begins in the file.
    start: u64,
    received: u64,
    /// Bytes that are announced.
    announced: Option<u64>,
    limit: u64,
    patience: Duration,
    longest_gap: Duration,
    hash: Option<Sha256>,
    /// A copy on disk, for whoever must seek in it.
    copy: Option<tokio::fs::File>,
    is_over: bool,
}

impl Stream {
    /// Reads the rest of `live`, at most `limit` bytes; a gap longer than `patience` is a failure.
    #[must_use]
    pub fn new(live: Live, limit: ByteSize, patience: Duration) -> Self {
        let announced = content_length(&live.reply.head.headers);
        live.connection.allow(limit.0.saturating_add(limit.0 / 4));
        Self {
            live,
            ahead: BytesMut::new(),
            at: 0,
            start: 0,
            received: 0,
            announced,
            limit: limit.0,
            patience,
            longest_gap: Duration::ZERO,
            hash: None,
            copy: None,
            is_over: false,
        }
    }

    /// What comes is not the whole file, but the rest of it from `at` on.
    #[must_use]
    pub const fn starting_at(mut self, at: u64) -> Self {
        (self.at, self.start) = (at, at);
        self
    }

    /// Lets the connection wait in `pool`, if all of the answer was read.
    pub fn keep(self, pool: &Pool) {
        self.live.keep(pool);
    }

    /// Works out the SHA-256 on the way. To be called before the first read.
    #[must_use]
    pub fn hashing(mut self) -> Self {
        self.hash = Some(Sha256::new());
        self
    }

    /// Writes a copy on the way. To be called before the first read.
    #[must_use]
    pub fn copying(mut self, to: tokio::fs::File) -> Self {
        self.copy = Some(to);
        self
    }

    /// Bytes that came so far.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// The longest that nothing came.
    #[must_use]
    pub const fn longest_gap(&self) -> Duration {
        self.longest_gap
    }

    /// When the first byte of the answer came.
    #[must_use]
    pub const fn first_byte(&self) -> Instant {
        self.live.reply.first_byte
    }

    /// Reads to the end. Gives back the SHA-256 in hexadecimal, if it was asked for.
    ///
    /// # Errors
    /// `truncated`, `network`, `stalled`, `body_too_large`.
    pub async fn finish(&mut self) -> Result<Option<String>, Failure> {
        while !self.is_over {
            self.ahead.clear();
            self.more().await?;
        }
        if let Some(copy) = &mut self.copy {
            copy.flush().await.map_err(|error| cannot_copy(&error))?;
        }
        Ok(self.hash.take().map(|hash| crate::base::hash::hexadecimal(&hash.finalize())))
    }

    /// Takes the next piece.
    async fn more(&mut self) -> Result<(), Failure> {
        let asked = Instant::now();
        let piece =
            tokio::time::timeout(self.patience, self.live.connection.piece(&mut self.live.reply, self.received));
        let piece = piece.await;
        self.longest_gap = self.longest_gap.max(asked.elapsed());
        let piece = piece.map_err(|_| self.stalled())??;
        let Some(piece) = piece else {
            self.is_over = true;
            return Ok(());
        };
        self.received += piece.len() as u64;
        if self.received > self.limit {
            return Err(self.too_large());
        }
        if let Some(hash) = &mut self.hash {
            hash.update(&piece);
        }
        if let Some(copy) = &mut self.copy {
            copy.write_all(&piece).await.map_err(|error| cannot_copy(&error))?;
        }
        self.ahead.extend_from_slice(&piece);
        Ok(())
    }

    fn stalled(&self) -> Failure {
        let of = self.announced.map(|announced| format!(" of {announced}")).unwrap_or_default();
        let patience = shown(self.patience);
        Failure::new(Reason::Stalled, format!("no byte came for {patience}, after {}{of} bytes", self.received))
    }

    fn too_large(&self) -> Failure {
        let limit = ByteSize(self.limit);
        Failure::new(Reason::BodyTooLarge, format!("the file is larger than max_bytes, {limit}"))
    }
}

impl Source for Stream {
    fn total(&self) -> Option<u64> {
        let length = if self.is_over { Some(self.received) } else { self.announced };
        length?.checked_add(self.start)
    }

    async fn read(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        // Nobody waits for what is known to be too much.
        let is_known = self.announced.is_some_and(|announced| announced > self.limit);
        if is_known && at.saturating_sub(self.start) >= self.limit {
            return Err(self.too_large());
        }
        loop {
            // What lies before is not looked at again.
            let passed = at.saturating_sub(self.at).min(self.ahead.len() as u64);
            let _ = self.ahead.split_to(usize::try_from(passed).unwrap_or(self.ahead.len()));
            self.at += passed;
            let arrived = self.at == at;
            if self.is_over || (arrived && self.ahead.len() >= want) {
                let have = if arrived { self.ahead.len().min(want) } else { 0 };
                return Ok(Bytes::copy_from_slice(&self.ahead[..have]));
            }
            self.more().await?;
        }
    }
}

fn cannot_copy(error: &std::io::Error) -> Failure {
    Failure::new(Reason::Agent, format!("cannot write a copy for the decoder: {error}"))
}
