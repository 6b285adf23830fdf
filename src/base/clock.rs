//! The one source of "now".
//!
//! Spans are measured with [`Instant`] (tokio's, so tests can pause it); wall time is for people, logs and schedules.
//! Nothing else in the crate may ask the operating system what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use jiff::Timestamp;
pub use tokio::time::Instant;

/// Tells wall time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Simulated(Arc<Simulated>),
}

#[derive(Debug)]
struct Simulated {
    origin: Instant,
    start: Timestamp,
    offset_millis: AtomicI64,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` now and follows tokio's (pausable) time from here.
    #[must_use]
    pub fn simulated(start: Timestamp) -> Self {
        Self(Source::Simulated(Arc::new(Simulated { origin: Instant::now(), start, offset_millis: AtomicI64::new(0) })))
    }

    /// Wall time now, to the nanosecond as far as the machine tells it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            // A clock set outside jiff's range (year 9999) is a broken machine; the epoch is as good a lie as any.
            #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
            Source::System => Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH),
            Source::Simulated(simulated) => {
                let elapsed = i128::try_from(simulated.origin.elapsed().as_nanos()).unwrap_or(i128::MAX);
                let offset = i128::from(simulated.offset_millis.load(Ordering::Relaxed)) * 1_000_000;
                let nanos = simulated.start.as_nanosecond().saturating_add(elapsed).saturating_add(offset);
                Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Moves a simulated clock by `millis` without moving [`Instant`], as a correction or a suspend does.
    ///
    /// Does nothing to the system clock.
    pub fn step(&self, millis: i64) {
        if let Source::Simulated(simulated) = &self.0 {
            simulated.offset_millis.fetch_add(millis, Ordering::Relaxed);
        }
    }
}

/// Seconds since the Unix epoch, as Prometheus wants them.
#[must_use]
pub fn unix_seconds(at: Timestamp) -> f64 {
    Duration::try_from(at.duration_since(Timestamp::UNIX_EPOCH)).map_or(0.0, |span| span.as_secs_f64())
}

/// A [`SystemTime`] as a [`Timestamp`]; `None` outside the years 1970 to 9999.
#[must_use]
pub fn timestamp(at: SystemTime) -> Option<Timestamp> {
    at.duration_since(UNIX_EPOCH).ok()?;
    Timestamp::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_follows_paused_time_and_steps() {
        let clock = Clock::simulated("2026-01-01T00:00:00Z".parse().unwrap());
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now().to_string(), "2026-01-01T00:01:30Z");
        clock.step(-60_000);
        assert_eq!(clock.now().to_string(), "2026-01-01T00:00:30Z");
    }
}
