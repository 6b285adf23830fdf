//! Work that an attempt started at a service and that outlives one request: what is seen of it, and what must be
//! remembered of it and of what it costs.
//!
//! Plain values. Who keeps them is the store's business; what a job means is the prober's.

use std::fmt::Write as _;
use std::time::Duration;

use super::money::Amount;
use super::name::Name;
use super::result::Identity;
use crate::base::clock::Timestamp;
use crate::base::duration::shown;

/// A job that has not ended, as it is seen at one moment: right-censored, neither ok nor failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// For which probe it was started.
    pub identity: Identity,
    /// What the service calls it; empty while the service has not answered yet. Bounded and printable.
    pub job: String,
    /// The stages that a job goes through, in order.
    pub stages: &'static [&'static str],
    /// The one that it is in.
    pub stage: &'static str,
    /// How long ago it was submitted.
    pub age: Duration,
    /// Its place in the service's queue, if the service said so last time.
    pub position: Option<f64>,
}

impl Pending {
    /// How far it has come, in one line for people: `12.0s  ✓ submit  ▸ queue (position 4)  · render`. The age comes first, so
    /// that it is seen where the line is cut.
    #[must_use]
    pub fn progress(&self) -> String {
        let here = self.stages.iter().position(|stage| *stage == self.stage).unwrap_or_default();
        let mut out = shown(self.age);
        for (index, stage) in self.stages.iter().enumerate() {
            let glyph = match index.cmp(&here) {
                std::cmp::Ordering::Less => '✓',
                std::cmp::Ordering::Equal => '▸',
                std::cmp::Ordering::Greater => '·',
            };
            let place = self.position.filter(|_| index == here && *stage == "queue");
            let place = place.map(|place| format!(" (position {place})")).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = write!(out, "  {glyph} {stage}{place}");
        }
        out
    }
}

/// Key of the number of a probe's outstanding jobs, for [`Source::Pending`](super::measure::Source::Pending).
pub const JOBS: &str = "jobs";
/// Key of the age of the oldest of them, in seconds.
pub const OLDEST: &str = "oldest";
/// Key of the place in the queue of the oldest of them.
pub const PLACE: &str = "place";

/// Names one remembered job; never used twice in one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub i64);

/// A job that is about to be submitted, to be remembered before the request leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// For which probe.
    pub probe: Name,
    /// When.
    pub at: Timestamp,
    /// What it will cost; `None` where nothing is counted.
    pub charge: Option<Charge>,
}

/// What a job costs, and which accounts must bear it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// How much.
    pub amount: Amount,
    /// Of what: a currency, credits.
    pub unit: String,
    /// Every account that it is counted in. Each must have room, or nothing is counted anywhere.
    pub accounts: Vec<Account>,
}

/// A sum that is kept for one day (UTC) in one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// The most that may be counted in it per day, as whoever opens the job sees it.
    pub per_day: Amount,
}

/// What came of an [`Opening`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It is remembered, and its charge is counted.
    Ticket(Ticket),
    /// One account has no room; nothing was counted or remembered.
    Exhausted {
        /// Which.
        account: Account,
        /// What was counted there today before.
        spent: Amount,
    },
}

/// A job whose agent ended before the job did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Names it in the store.
    pub ticket: Ticket,
    /// For which probe it was started.
    pub probe: Name,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// What the service's answer to the submission gave, by name (`id`, `status_url`, …); `None` if the agent ended before
    /// the answer came, so that nobody can tell whether there is such a job.
    pub values: Option<Vec<(String, String)>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_shows_what_was_and_what_is_to_come() {
        let pending = Pending {
            identity: crate::model::result::sample::result(crate::model::outcome::Outcome::Ok, 1).identity,
            job: "j1".to_owned(),
            stages: &["submit", "queue", "render"],
            stage: "queue",
            age: Duration::from_secs(12),
            position: Some(4.0),
        };
        assert_eq!(pending.progress(), "12.0s  ✓ submit  ▸ queue (position 4)  · render");
    }
}
