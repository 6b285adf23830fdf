//! The media check against real files: made by `ffmpeg`, judged beside `ffprobe`, broken in every way known.
//!
//! Needs `ffmpeg` and `ffprobe`; without them these tests fail. The files are made once for all of them.

mod boxes;
mod corpus;
mod decode;
mod limits;
mod mutations;
mod oracle;
mod samples;
mod sparse;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use forewarn::model::outcome::Failure;
use forewarn::probe::media::{Media, MediaRules, Source, inspect};

/// A source that holds the walker to its word: it reads forward only, and what it reads is counted.
pub(crate) struct Watched {
    bytes: Bytes,
    announces: bool,
    last: u64,
    pub(crate) read: u64,
    pub(crate) reads: u32,
}

impl Watched {
    pub(crate) fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), announces: true, last: 0, read: 0, reads: 0 }
    }

    /// The same bytes of a length that nobody announced.
    pub(crate) fn unannounced(bytes: impl Into<Bytes>) -> Self {
        Self { announces: false, ..Self::new(bytes) }
    }
}

impl Source for Watched {
    fn total(&self) -> Option<u64> {
        self.announces.then_some(self.bytes.len() as u64)
    }

    async fn read(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        assert!(at >= self.last, "read at {at} after {}", self.last);
        assert!(want > 0 && want <= 1 << 20, "asked for {want} bytes at once");
        self.last = at;
        let start = usize::try_from(at).unwrap().min(self.bytes.len());
        let piece = self.bytes.slice(start..start.saturating_add(want).min(self.bytes.len()));
        self.read += piece.len() as u64;
        self.reads += 1;
        Ok(piece)
    }
}

/// The verdict of the walker, within its limits, whether or not the length is announced.
pub(crate) fn verdict(bytes: &[u8]) -> Result<Media, Failure> {
    let mut announced = Watched::new(bytes.to_vec());
    let mut unannounced = Watched::unannounced(bytes.to_vec());
    let first = block_on(inspect(&mut announced));
    let second = block_on(inspect(&mut unannounced));
    for source in [&announced, &unannounced] {
        assert!(source.read < 11 << 20 && source.reads < 2000, "{} bytes in {} reads", source.read, source.reads);
    }
    match (&first, &second) {
        (Ok(one), Ok(other)) => {
            assert_eq!(Media { bytes: None, ..one.clone() }, Media { bytes: None, ..other.clone() });
        }
        (one, other) => assert_eq!(one.is_ok(), other.is_ok(), "announced: {one:?}; unannounced: {other:?}"),
    }
    first
}

/// The verdict that a probe without further rules comes to: it plays, and there is something to see.
pub(crate) fn plays(bytes: &[u8]) -> Result<Media, Failure> {
    let media = verdict(bytes)?;
    match MediaRules::default().breach(&media, None) {
        Some(failure) => Err(failure),
        None => Ok(media),
    }
}

/// None of the sources here ever waits.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Does `work` for every item, on as many threads as there are cores.
pub(crate) fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = Arc::new(Mutex::new(0));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let index = {
                            let mut next = next.lock().unwrap();
                            *next += 1;
                            *next - 1
                        };
                        let Some(item) = items.get(index) else { break done };
                        done.push((index, work(item)));
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
