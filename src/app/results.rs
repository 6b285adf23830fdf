//! Where results go: the metrics, the log, and whoever else watches.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::Observer;
use crate::metrics::Metrics;
use crate::model::name::Name;
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::result::{Identity, ProbeResult};
use crate::schedule::runner::{Sink, Skipped};

/// Takes what the schedule brings forth and hands it on.
pub(super) struct Results {
    metrics: Arc<Metrics>,
    observer: Option<Observer>,
    /// Each probe's last outcome, to log changes and not repeats.
    last: Mutex<HashMap<Name, Seen>>,
}

/// What counts as the same outcome.
type Seen = (usize, Option<Reason>);

impl Results {
    pub(super) fn new(metrics: Arc<Metrics>, observer: Option<Observer>) -> Self {
        Self { metrics, observer, last: Mutex::default() }
    }

    /// Forgets what is known of all probes but these.
    pub(super) fn keep_only(&self, probes: &HashSet<&Name>) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| probes.contains(name));
    }

    /// True when the outcome is another than last time; a first ok is no news.
    fn is_change(&self, result: &ProbeResult) -> bool {
        let seen = (result.outcome.index(), result.outcome.failure().map(|failure| failure.reason));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match last.get_mut(&result.identity.probe) {
            Some(before) => std::mem::replace(before, seen),
            None => last.insert(result.identity.probe.clone(), seen).unwrap_or_default(),
        };
        before != seen
    }
}

impl Sink for Results {
    fn ended(&self, result: ProbeResult) {
        self.metrics.record(&result);
        if self.is_change(&result) {
            log(&result);
        } else {
            tracing::debug!(probe = %result.identity.probe, outcome = result.outcome.as_str(), took = ?result.took, "attempt");
        }
        if let Some(observer) = &self.observer {
            observer(&result);
        }
    }

    fn skipped(&self, identity: &Identity, why: Skipped, count: u64) {
        tracing::debug!(probe = %identity.probe, why = why.as_str(), count, "attempt left out");
        self.metrics.skipped(&identity.probe, why.as_str(), count);
    }

    fn confirmed(&self, identity: &Identity, recovered: bool) {
        tracing::debug!(probe = %identity.probe, recovered, "looked again after a first failure");
        self.metrics.confirmed(&identity.probe, recovered);
    }
}

fn log(result: &ProbeResult) {
    let ProbeResult { identity, outcome, took, .. } = result;
    let (probe, surface) = (&identity.probe, &identity.surface);
    match outcome {
        Outcome::Ok => tracing::info!(%probe, %surface, ?took, "ok again"),
        Outcome::Degraded(failure) => {
            tracing::warn!(%probe, %surface, ?took, reason = %failure.reason, blame = %failure.blame, detail = failure.detail, "degraded");
        }
        Outcome::Failed(failure) => {
            tracing::warn!(%probe, %surface, ?took, reason = %failure.reason, blame = %failure.blame, detail = failure.detail, "failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Failure;
    use crate::model::result::sample::{self, KIND};

    fn result(outcome: Outcome) -> ProbeResult {
        sample::result(outcome, 1)
    }

    #[test]
    fn changes_are_news_and_repeats_are_not() {
        let results = Results::new(Arc::new(Metrics::new(&[&KIND], &[]).unwrap()), None);
        let failed = |reason| result(Outcome::Failed(Failure::new(reason, "why")));
        assert!(!results.is_change(&result(Outcome::Ok)), "a first ok");
        assert!(results.is_change(&failed(Reason::Timeout)));
        assert!(!results.is_change(&failed(Reason::Timeout)), "the same again");
        assert!(results.is_change(&failed(Reason::Dns)), "another reason");
        assert!(results.is_change(&result(Outcome::Ok)));

        assert!(results.is_change(&failed(Reason::Dns)));
        results.keep_only(&HashSet::from([&"pika-web".parse().unwrap()]));
        assert!(!results.is_change(&failed(Reason::Dns)), "still loaded, still known");
        results.keep_only(&HashSet::new());
        assert!(results.is_change(&failed(Reason::Dns)), "removed and forgotten");
    }
}
