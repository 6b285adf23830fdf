//! One attempt's whole harvest. Everything that a probe learns leaves it as one [`ProbeResult`].
//!
//! Metrics, history and verdict read this value; no part reads another part's metrics back by name.

use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::measure::Kind;
use super::name::{Name, SurfaceRef};
use super::outcome::Outcome;
use crate::base::clock::Timestamp;

/// Who an attempt is made for: the labels that every result of a probe shares. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The probe's name.
    pub probe: Name,
    /// What it watches.
    pub surface: SurfaceRef,
    /// Where the agent stands.
    pub region: Arc<str>,
}

/// Why an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Its schedule said so.
    Schedule,
    /// A first failure is checked again; the number counts from 1.
    Confirmation(u32),
    /// A person asked.
    Demand,
}

/// One attempt: what was done, what came, how long each part took.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeResult {
    /// Probe, surface and region.
    pub identity: Identity,
    /// The probe type's tables, which give the keys below their meaning.
    pub kind: &'static Kind,
    /// Why it was made.
    pub trigger: Trigger,
    /// When the schedule wanted it.
    pub scheduled_at: Timestamp,
    /// When it really started; latency counts from here.
    pub started_at: Timestamp,
    /// From the scheduled to the real start, on the monotonic clock.
    pub lag: Duration,
    /// From the real start to the end.
    pub took: Duration,
    /// The deadline it had.
    pub timeout: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// What the prober learned.
    pub findings: Findings,
}

/// What a prober learned on the way, whole or up to where it failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// Phases that were entered, summed over repeats, in order of first entry.
    pub phases: Vec<(&'static str, Duration)>,
    /// Numbers by the kind's keys.
    pub measures: Vec<(&'static str, f64)>,
    /// Texts by the kind's keys; bounded and printable, but still the target's words.
    pub facts: Vec<(&'static str, String)>,
    /// What happened, in order, for people.
    pub steps: Vec<Step>,
}

impl Findings {
    /// The measure with this key.
    #[must_use]
    pub fn measure(&self, key: &str) -> Option<f64> {
        self.measures.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    /// The fact with this key.
    #[must_use]
    pub fn fact(&self, key: &str) -> Option<&str> {
        self.facts.iter().find(|(known, _)| *known == key).map(|(_, text)| text.as_str())
    }

    /// The duration of a phase, if it was entered.
    #[must_use]
    pub fn phase(&self, name: &str) -> Option<Duration> {
        self.phases.iter().find(|(known, _)| *known == name).map(|(_, took)| *took)
    }
}

/// One thing that happened during an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What: a phase's name or `redirect`, `rule`, ….
    pub name: &'static str,
    /// From the attempt's start to the step's start.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// What came of it, in a few printable words.
    pub detail: String,
}

impl Serialize for ProbeResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("probe", &self.identity.probe)?;
        map.serialize_entry("service", &self.identity.surface.service)?;
        map.serialize_entry("surface", &self.identity.surface.surface)?;
        map.serialize_entry("region", &*self.identity.region)?;
        map.serialize_entry("scheduled_at", &self.scheduled_at.to_string())?;
        map.serialize_entry("started_at", &self.started_at.to_string())?;
        map.serialize_entry("took", &self.took.as_secs_f64())?;
        map.serialize_entry("outcome", self.outcome.as_str())?;
        map.serialize_entry("failure", &self.outcome.failure())?;
        let phases = self.findings.phases.iter().map(|(name, took)| (*name, took.as_secs_f64()));
        map.serialize_entry("phases", &Pairs(phases))?;
        map.serialize_entry("measures", &Pairs(self.findings.measures.iter().copied()))?;
        map.serialize_entry("facts", &Pairs(self.findings.facts.iter().map(|(key, text)| (*key, text))))?;
        map.serialize_entry("steps", &self.findings.steps)?;
        map.end()
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("at", &self.at.as_secs_f64())?;
        map.serialize_entry("took", &self.took.as_secs_f64())?;
        map.serialize_entry("detail", &self.detail)?;
        map.end()
    }
}

/// Serialises an iterator of pairs as a map, in its order.
struct Pairs<I>(I);

impl<I, V> Serialize for Pairs<I>
where
    I: Iterator<Item = (&'static str, V)> + Clone,
    V: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.clone())
    }
}

/// A result for the tests of whoever reads results.
#[cfg(test)]
pub(crate) mod sample {
    use super::{Findings, Identity, ProbeResult, Trigger};
    use crate::model::measure::Kind;
    use crate::model::outcome::Outcome;
    use std::time::Duration;

    /// A type that learns nothing.
    pub(crate) static KIND: Kind =
        Kind { name: "http", about: "", phases: &[], measures: &[], facts: &[], series: &[], infos: &[] };

    /// What `pika-web` found in `took` milliseconds.
    pub(crate) fn result(outcome: Outcome, took: u64) -> ProbeResult {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let identity =
            Identity { probe: "pika-web".parse().unwrap(), surface: "pika/web".parse().unwrap(), region: "eu".into() };
        ProbeResult {
            identity,
            kind: &KIND,
            trigger: Trigger::Schedule,
            scheduled_at: at,
            started_at: at,
            lag: Duration::ZERO,
            took: Duration::from_millis(took),
            timeout: Duration::from_secs(10),
            outcome,
            findings: Findings::default(),
        }
    }
}
