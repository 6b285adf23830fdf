//! What is known of each probe now, and its sample lines.
//!
//! Keeps the last state only: history is the scraper's. Never lets a scrape hold up a result: a scrape takes one
//! reference to each probe's state and renders from those, while results replace the states that are still in use.

use std::collections::HashMap;
use std::sync::Arc;

use super::ProbeSeries;
use super::catalogue::{Catalogue, Family, same_kind};
use super::common::{DURATION, FAILURE_LABELS, SKIP_LABEL, SKIPPED, STARTED, SUCCESS, TIMEOUT};
use super::format::{label, sample};
use super::layout::{Cell, Layout, tail};
use crate::base::clock::unix_seconds;
use crate::model::job::{JOBS, OLDEST, PLACE, Pending};
use crate::model::measure::{Kind, Source};
use crate::model::name::Name;
use crate::model::result::{Identity, ProbeResult};

/// The states of all loaded probes, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Table {
    probes: Vec<Arc<Latest>>,
    places: HashMap<Name, usize>,
}

impl Table {
    /// A table of `probes`. Of two with one name the first stays.
    pub(super) fn new(probes: impl IntoIterator<Item = Latest>) -> Self {
        let mut table = Self::default();
        for latest in probes {
            let name = latest.probe.identity.probe.clone();
            if !table.places.contains_key(&name) {
                table.places.insert(name, table.probes.len());
                table.probes.push(Arc::new(latest));
            }
        }
        table
    }

    /// Becomes `next`, in which probes that have not changed keep what is known of them. Gives back the old table.
    pub(super) fn replace(&mut self, next: Self) -> Self {
        let old = std::mem::replace(self, next);
        for latest in &mut self.probes {
            let place = old.places.get(&latest.probe.identity.probe);
            if let Some(known) = place.and_then(|place| old.probes.get(*place))
                && known.probe.exports_like(&latest.probe)
            {
                let probe = Arc::clone(&latest.probe);
                *latest = Arc::clone(known);
                Arc::make_mut(latest).adopt(probe);
            }
        }
        old
    }

    /// Changes the state of the probe with this name, if it is loaded.
    pub(super) fn change(&mut self, probe: &Name, change: impl FnOnce(&mut Latest)) {
        if let Some(latest) = self.places.get(probe).and_then(|place| self.probes.get_mut(*place)) {
            // Copies the state only while a scrape still reads it.
            change(Arc::make_mut(latest));
        }
    }

    /// Stores a result; one of a probe that is no longer loaded, or now means something else, is left out.
    pub(super) fn record(&mut self, result: &ProbeResult) {
        self.change(&result.identity.probe, |latest| {
            if latest.probe.identity == result.identity && same_kind(latest.probe.kind, result.kind) {
                latest.record(result);
            }
        });
    }

    /// Stores what is known of the outstanding jobs of all probes; a probe that is not named has none.
    pub(super) fn pend(&mut self, pending: &[Pending]) {
        let mut by_probe: HashMap<&Identity, Outstanding> = HashMap::new();
        for job in pending {
            by_probe.entry(&job.identity).or_default().add(job);
        }
        let none = Outstanding::default();
        for latest in self.probes.iter_mut().filter(|latest| latest.can_pend()) {
            let outstanding = by_probe.get(&latest.probe.identity).unwrap_or(&none);
            Arc::make_mut(latest).pend(outstanding);
        }
    }

    /// Every probe's state at this moment.
    pub(super) fn snapshot(&self) -> Vec<Arc<Latest>> {
        self.probes.clone()
    }

    /// How many probes are loaded.
    pub(super) fn len(&self) -> usize {
        self.probes.len()
    }
}

/// The outstanding jobs of one probe, summed up.
#[derive(Default)]
struct Outstanding {
    jobs: f64,
    oldest: f64,
    place: Option<f64>,
}

impl Outstanding {
    fn add(&mut self, job: &Pending) {
        self.jobs += 1.0;
        let age = job.age.as_secs_f64();
        if age >= self.oldest {
            (self.oldest, self.place) = (age, job.position);
        }
    }
}

/// What does not change from result to result.
#[derive(Debug)]
struct Probe {
    identity: Identity,
    kind: &'static Kind,
    /// Settings that are labels' values, by key.
    settings: Vec<(&'static str, String)>,
    layout: Arc<Layout>,
    /// The probe's own labels as they stand in every sample line, without braces.
    labels: Box<str>,
    timeout: f64,
}

impl Probe {
    /// Whether two definitions have the same series, so that counters may go on.
    fn exports_like(&self, other: &Self) -> bool {
        self.labels == other.labels && self.settings == other.settings && same_kind(self.kind, other.kind)
    }
}

/// What is known of one probe.
#[derive(Debug, Clone)]
pub(super) struct Latest {
    probe: Arc<Probe>,
    /// Laid out by [`Layout`].
    row: Box<[f64]>,
    /// The ends of the info metrics' sample lines, where the last result had the facts.
    infos: Box<[Option<Box<str>>]>,
    failures: Vec<([&'static str; 2], f64)>,
    skips: Vec<(&'static str, f64)>,
}

impl Latest {
    /// A probe that has not run.
    pub(super) fn new(series: ProbeSeries, catalogue: &Catalogue) -> Self {
        let layout = catalogue.layout(series.kind);
        let mut latest = Self {
            row: layout.blank.clone(),
            infos: layout.infos.iter().map(|_| None).collect(),
            failures: Vec::new(),
            skips: Vec::new(),
            probe: Arc::new(Probe {
                labels: labels(&series, catalogue).into(),
                layout,
                timeout: series.timeout.as_secs_f64(),
                identity: series.identity,
                kind: series.kind,
                settings: series.settings,
            }),
        };
        latest.feed(TIMEOUT, latest.probe.timeout);
        latest.pend(&Outstanding::default());
        latest
    }

    /// Counts attempts that were due and not made.
    pub(super) fn skipped(&mut self, why: &'static str, count: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a counter is exact up to 2^53")]
        let count = count as f64;
        self.feed(SKIPPED, count);
        tally(&mut self.skips, why, count);
    }

    /// Stores one number among the common ones.
    pub(super) fn feed(&mut self, key: &'static str, value: f64) {
        for intake in &self.probe.layout.common {
            if intake.from == Source::Measure(key) {
                intake.take(&mut self.row, Some(value));
            }
        }
    }

    /// Whether the probe's type can have outstanding jobs.
    fn can_pend(&self) -> bool {
        !self.probe.layout.pending.is_empty()
    }

    /// Stores what is known of the outstanding jobs.
    fn pend(&mut self, outstanding: &Outstanding) {
        for intake in &self.probe.layout.pending {
            let value = match intake.from {
                Source::Pending(JOBS) => Some(outstanding.jobs),
                Source::Pending(OLDEST) => Some(outstanding.oldest),
                Source::Pending(PLACE) => outstanding.place,
                _ => None,
            };
            intake.take(&mut self.row, value);
        }
    }

    fn adopt(&mut self, probe: Arc<Probe>) {
        self.probe = probe;
        self.feed(TIMEOUT, self.probe.timeout);
    }

    fn record(&mut self, result: &ProbeResult) {
        let layout = &self.probe.layout;
        for intake in &layout.common {
            intake.take(&mut self.row, common(result, self.probe.timeout, intake.from));
        }
        for intake in &layout.own {
            let value = match intake.from {
                Source::Measure(key) => result.findings.measure(key),
                Source::Phase(name) => result.findings.phase(name).map(|took| took.as_secs_f64()),
                Source::Pending(_) => None,
            };
            intake.take(&mut self.row, value);
        }
        for (info, slot) in layout.infos.iter().zip(&mut self.infos) {
            let texts: Option<Vec<_>> =
                info.labels.iter().map(|(name, key)| result.findings.fact(key).map(|text| (*name, text))).collect();
            *slot = texts.map(|texts| tail(texts).into());
        }
        if let (false, Some(failure)) = (result.outcome.is_success(), result.outcome.failure()) {
            tally(&mut self.failures, [failure.reason.as_str(), failure.blame.as_str()], 1.0);
        }
    }

    /// Whether the probe's type has this family at all.
    pub(super) fn has(&self, family: usize) -> bool {
        self.probe.layout.cells.get(family).is_some_and(|cells| !cells.is_empty())
    }

    /// Writes the sample lines that the probe has in a family; `place` is the family's in the catalogue.
    pub(super) fn write(&self, out: &mut Vec<u8>, place: usize, family: &Family) {
        let open = &*family.opens.plain;
        for cell in self.probe.layout.cells.get(place).into_iter().flatten() {
            match cell {
                Cell::Value { tail, at } => {
                    if !self.row[*at].is_nan() {
                        self.line(out, open, tail, self.row[*at]);
                    }
                }
                Cell::Setting { name, key, at } => {
                    let setting = self.probe.settings.iter().find(|(known, _)| known == key);
                    if let Some((_, value)) = setting {
                        self.line(out, open, &tail([(*name, value.as_str())]), self.row[*at]);
                    }
                }
                Cell::Histogram { buckets, tail, at } => self.write_histogram(out, family, buckets, tail, *at),
                Cell::Info { at } => {
                    if let Some(tail) = &self.infos[*at] {
                        self.line(out, open, tail, 1.0);
                    }
                }
                Cell::Failures => {
                    for ([reason, blame], count) in &self.failures {
                        let labels = FAILURE_LABELS.into_iter().zip([*reason, *blame]);
                        self.line(out, open, &tail(labels), *count);
                    }
                }
                Cell::Skips => {
                    for (why, count) in &self.skips {
                        self.line(out, open, &tail([(SKIP_LABEL, *why)]), *count);
                    }
                }
            }
        }
    }

    fn write_histogram(&self, out: &mut Vec<u8>, family: &Family, buckets: &[String], tail: &str, at: usize) {
        let mut count = 0.0;
        for (tail, in_bucket) in buckets.iter().zip(&self.row[at..]) {
            count += in_bucket;
            self.line(out, &family.opens.bucket, tail, count);
        }
        self.line(out, &family.opens.sum, tail, self.row[at + buckets.len()]);
        self.line(out, &family.opens.count, tail, count);
    }

    fn line(&self, out: &mut Vec<u8>, open: &str, tail: &str, value: f64) {
        sample(out, open, &self.probe.labels, tail, value);
    }
}

/// The number that a result has for a common measure.
fn common(result: &ProbeResult, timeout: f64, from: Source) -> Option<f64> {
    match from {
        Source::Measure(SUCCESS) => Some(if result.outcome.is_success() { 1.0 } else { 0.0 }),
        Source::Measure(DURATION) => Some(result.took.as_secs_f64()),
        Source::Measure(TIMEOUT) => Some(timeout),
        Source::Measure(STARTED) => Some(unix_seconds(result.started_at)),
        Source::Measure(outcome) if outcome == result.outcome.as_str() => Some(1.0),
        Source::Measure(_) | Source::Phase(_) | Source::Pending(_) => None,
    }
}

/// The label set that all series of a probe begin with: ours first, then the user's by name.
fn labels(series: &ProbeSeries, catalogue: &Catalogue) -> String {
    let identity = &series.identity;
    let mut out = String::new();
    label(&mut out, "probe", identity.probe.as_str());
    let ours = [
        ("service", identity.surface.service.as_str()),
        ("surface", identity.surface.surface.as_str()),
        ("region", &identity.region),
    ];
    let users = series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in ours.into_iter().chain(users.filter(|(name, _)| catalogue.check_label(name).is_ok())) {
        out.push(',');
        label(&mut out, name, value);
    }
    out
}

/// Adds one to a key's count; the keys stay sorted.
fn tally<K: Ord>(counts: &mut Vec<(K, f64)>, key: K, count: f64) {
    match counts.binary_search_by(|(known, _)| known.cmp(&key)) {
        Ok(place) => counts[place].1 += count,
        Err(place) => counts.insert(place, (key, count)),
    }
}
