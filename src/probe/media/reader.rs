//! Reads through a [`Source`] with a small window, and counts what that costs.
//!
//! Knows no format. It never goes back: what lies before the window is gone.

use bytes::Bytes;

use super::source::Source;
use super::{broken, cut};
use crate::model::outcome::Failure;

/// A window over a source that only moves forward.
pub(super) struct Reader<'s, S> {
    source: &'s mut S,
    /// Where `held` begins.
    start: u64,
    held: Bytes,
    /// Where the file ends, once a read came up short; a source may announce it earlier.
    short: Option<u64>,
    /// Where the last read ended.
    seen: u64,
    /// How much a small read takes at once.
    ahead: usize,
    reads: u32,
    bytes: u64,
    allowed: u64,
}

impl<'s, S: Source> Reader<'s, S> {
    pub(super) fn new(source: &'s mut S) -> Self {
        Self {
            source,
            start: 0,
            held: Bytes::new(),
            short: None,
            seen: 0,
            ahead: AHEAD,
            reads: 0,
            bytes: 0,
            allowed: MAX_BYTES,
        }
    }

    /// The file's length, as far as it is known by now.
    pub(super) fn end(&self) -> Option<u64> {
        // A file that ended before its announced length is as long as what came.
        self.short.or_else(|| self.source.total())
    }

    /// True once a walk should come to its end: it has cost what one check may cost.
    pub(super) fn is_spent(&self) -> bool {
        self.reads >= MAX_READS || self.bytes >= self.allowed
    }

    /// From now on small reads follow each other closely: take more at once.
    pub(super) fn read_closely(&mut self) {
        self.ahead = CLOSE;
    }

    /// Lets the walk cost so many bytes more: an index that is read at once.
    pub(super) fn allow(&mut self, bytes: u64) {
        self.allowed = self.allowed.saturating_add(bytes);
    }

    /// Up to `want` bytes at `at`; fewer only where the file ends.
    pub(super) async fn peek(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        debug_assert!(at >= self.start, "a walk goes forward only, and not from {} to {at}", self.start);
        if let Some(found) = self.within(at, want) {
            return Ok(found);
        }
        // The window's tail is kept: a source hands out each byte once.
        let kept = self.within(at, 0).map(|_| self.tail(at)).unwrap_or_default();
        let goal = want.max(self.ahead);
        self.held = if kept.is_empty() && goal <= PIECE {
            self.fetch(at, goal).await?
        } else {
            self.gather(at, kept, goal).await?
        };
        self.start = at;
        Ok(self.held.slice(..want.min(self.held.len())))
    }

    /// `kept`, which stands at `at`, and what follows it, up to `goal` bytes in all.
    async fn gather(&mut self, at: u64, kept: Bytes, goal: usize) -> Result<Bytes, Failure> {
        let mut all = Vec::new();
        let left = self.end().map_or(u64::MAX, |end| end.saturating_sub(at));
        let goal = usize::try_from(left).unwrap_or(usize::MAX).min(goal);
        // Reserved once, so that growing does not hold it twice.
        if all.try_reserve_exact(goal).is_err() {
            return Err(broken(format!("{goal} bytes of index are more than memory holds")));
        }
        all.extend_from_slice(&kept);
        drop(kept);
        self.held = Bytes::new();
        while all.len() < goal {
            let piece = self.fetch(at.saturating_add(all.len() as u64), PIECE.min(goal - all.len())).await?;
            if piece.is_empty() {
                break;
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }

    /// Whatever is at hand at `at`; less than `least` bytes only where the file ends.
    pub(super) async fn some(&mut self, at: u64, least: usize) -> Result<Bytes, Failure> {
        self.peek(at, least).await?;
        Ok(self.tail(at))
    }

    /// Exactly `want` bytes at `at`, which hold `what`.
    pub(super) async fn exact(&mut self, at: u64, want: usize, what: &str) -> Result<Bytes, Failure> {
        let bytes = self.peek(at, want).await?;
        if bytes.len() < want { Err(self.ends_in(at, want as u64, what)) } else { Ok(bytes) }
    }

    /// The failure of a file that ends within `what`, which stands at `at` and is `size` bytes long.
    pub(super) fn ends_in(&self, at: u64, size: u64, what: &str) -> Failure {
        let end = self.end().map_or_else(String::new, |end| format!(" at byte {end}"));
        cut(format!("the file ends{end}, within {what} that goes to byte {}", at.saturating_add(size)))
    }

    /// True when the file has at least `length` bytes. Looks for the last of them only where no length is known.
    pub(super) async fn reaches(&mut self, length: u64) -> Result<bool, Failure> {
        if let Some(end) = self.end() {
            return Ok(length <= end);
        }
        let Some(last) = length.checked_sub(1) else { return Ok(true) };
        // What lies before the window has been seen.
        Ok(last < self.start || !self.peek(last, 1).await?.is_empty())
    }

    fn within(&self, at: u64, want: usize) -> Option<Bytes> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok().filter(|from| *from <= self.held.len())?;
        let to = from.checked_add(want)?;
        if to <= self.held.len() {
            return Some(self.held.slice(from..to));
        }
        // At the file's end a window that holds less holds all there is.
        let ends_here = self.end().is_some_and(|end| end <= self.start + self.held.len() as u64);
        ends_here.then(|| self.held.slice(from..))
    }

    fn tail(&self, at: u64) -> Bytes {
        let from = at.checked_sub(self.start).and_then(|from| usize::try_from(from).ok()).unwrap_or(usize::MAX);
        self.held.slice(from.min(self.held.len())..)
    }

    async fn fetch(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        let left = self.end().map_or(u64::MAX, |end| end.saturating_sub(at));
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(want);
        if want == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = self.source.read(at, want).await?;
        bytes.truncate(want);
        self.reads += 1;
        self.bytes += bytes.len() as u64;
        let end = at + bytes.len() as u64;
        // Where nothing came, the end is known only when what lies before it has been read.
        if bytes.len() < want && (!bytes.is_empty() || at == self.seen) {
            self.short = Some(end);
        }
        self.seen = end;
        Ok(bytes)
    }
}

/// How much a small read takes at once, where jumps are far.
const AHEAD: usize = 8 * 1024;
/// The same, where they are not.
const CLOSE: usize = 64 * 1024;
/// How much a large read asks the source for at once.
const PIECE: usize = 256 * 1024;
/// The most calls of [`Source::read`] before a walk ends early.
const MAX_READS: u32 = 1024;
/// The most bytes before a walk ends early, besides an index that is read at once.
const MAX_BYTES: u64 = 4 << 20;
