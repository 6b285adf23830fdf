//! One scrape's body, rendered piece by piece as the scraper takes it.
//!
//! Holds a reference to each probe's state and one chunk of text, never the whole; holds no thread and no lock. It does
//! not decide what is in the exposition: that is the catalogue's and the states' part.

use std::io::{self, Write};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::Stream;

use super::catalogue::Catalogue;
use super::format::Format;
use super::negotiate::Encoding;
use super::state::Latest;

/// The body of an answer to a scrape: a stream of chunks of about 64 KiB.
///
/// Between two pieces of work it lets the runtime's other tasks run, so that a large scrape delays no probe. Its errors
/// are the compressor's, which writes to memory and has none in practice.
#[derive(Debug)]
pub struct Body {
    pages: Option<Pages>,
    sink: Sink,
    /// The last poll did work; the next one gives way.
    worked: bool,
}

impl Body {
    /// Renders `snapshot`, family by family, and then `rest`, which is rendered already.
    pub(super) fn new(
        catalogue: Arc<Catalogue>,
        snapshot: Vec<Arc<Latest>>,
        rest: Vec<u8>,
        format: Format,
        encoding: Encoding,
    ) -> Self {
        let pages = Pages { catalogue, snapshot, rest, format, family: 0, probe: 0, headed: false };
        let sink = match encoding {
            Encoding::Identity => Sink::Plain(Vec::with_capacity(BUFFER)),
            // Level 6 takes more than twice the time for a third less output.
            Encoding::Gzip => Sink::Gzip {
                encoder: GzEncoder::new(Vec::with_capacity(BUFFER), Compression::fast()),
                page: Vec::with_capacity(BUFFER),
            },
        };
        Self { pages: Some(pages), sink, worked: false }
    }
}

impl Stream for Body {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = &mut *self;
        let Some(pages) = &mut body.pages else { return Poll::Ready(None) };
        if !mem::replace(&mut body.worked, true) {
            let more = pages.fill(body.sink.page());
            if !more {
                body.pages = None;
            }
            match body.sink.take(more) {
                Ok(None) => {}
                Ok(Some(chunk)) => return Poll::Ready(Some(Ok(chunk))),
                Err(error) => {
                    body.pages = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            if !more {
                return Poll::Ready(None);
            }
        }
        body.worked = false;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The text of a scrape, and how far it has been written.
#[derive(Debug)]
struct Pages {
    catalogue: Arc<Catalogue>,
    snapshot: Vec<Arc<Latest>>,
    rest: Vec<u8>,
    format: Format,
    family: usize,
    probe: usize,
    headed: bool,
}

impl Pages {
    /// Writes until `out` holds a chunk or a family ends. False when that was all.
    fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(family) = self.catalogue.families().get(self.family) else {
            out.append(&mut self.rest);
            out.extend_from_slice(self.format.end().as_bytes());
            return false;
        };
        while let Some(latest) = self.snapshot.get(self.probe) {
            self.probe += 1;
            if !latest.has(self.family) {
                continue;
            }
            // A family without samples has no header either, and whether it has any shows only now.
            let start = out.len();
            if !self.headed {
                out.extend_from_slice(family.header(self.format).as_bytes());
            }
            let samples = out.len();
            latest.write(out, self.family, family);
            if out.len() > samples {
                self.headed = true;
            } else {
                out.truncate(start);
            }
            if out.len() >= CHUNK {
                return true;
            }
        }
        self.family += 1;
        self.probe = 0;
        self.headed = false;
        true
    }
}

/// Where pages go on their way out.
#[derive(Debug)]
enum Sink {
    Plain(Vec<u8>),
    Gzip { encoder: GzEncoder<Vec<u8>>, page: Vec<u8> },
}

impl Sink {
    /// Where the next text is to be appended.
    fn page(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Plain(page) | Self::Gzip { page, .. } => page,
        }
    }

    /// The next chunk, if enough has come together or nothing more will.
    fn take(&mut self, more: bool) -> io::Result<Option<Bytes>> {
        let ready = match self {
            Self::Plain(page) => page,
            Self::Gzip { encoder, page } => {
                encoder.write_all(page)?;
                page.clear();
                if !more {
                    encoder.try_finish()?;
                }
                encoder.get_mut()
            }
        };
        if ready.is_empty() || (more && ready.len() < CHUNK) {
            return Ok(None);
        }
        let next = Vec::with_capacity(if more { BUFFER } else { 0 });
        Ok(Some(mem::replace(ready, next).into()))
    }
}

/// Bytes of text, or of compressed text, that make a chunk.
const CHUNK: usize = 64 * 1024;

/// A chunk and the lines by which it may grow longer.
const BUFFER: usize = CHUNK + 8 * 1024;
