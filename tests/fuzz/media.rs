//! Fuzzes the media check: any bytes must get a verdict, whether or not their length is announced.
//!
//! See `README.md` here for how to run it. Verdicts are not judged here; `tests/it/media` does that.

#![no_main]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use forewarn::probe::media::{InMemory, MediaRules, Source, inspect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let announced = now(inspect(&mut InMemory::new(data.to_vec())));
    let unannounced = now(inspect(&mut Unannounced(InMemory::new(data.to_vec()))));
    assert_eq!(announced.is_ok(), unannounced.is_ok(), "{announced:?} and {unannounced:?}");
    if let Ok(media) = announced {
        assert!(media.summary().len() < 400);
        let _ = MediaRules::default().breach(&media, None);
    }
});

/// The same bytes of a length that nobody announced.
struct Unannounced(InMemory);

impl Source for Unannounced {
    fn total(&self) -> Option<u64> {
        None
    }

    fn read(
        &mut self,
        at: u64,
        want: usize,
    ) -> impl Future<Output = Result<bytes::Bytes, forewarn::model::outcome::Failure>> + Send {
        self.0.read(at, want)
    }
}

/// A source in memory never waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a source in memory waited"),
    }
}
