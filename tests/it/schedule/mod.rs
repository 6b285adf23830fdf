//! The schedule as the rest of the agent meets it: jobs go in, attempts and counts come out, on paused time.
//!
//! The probe `p` in the region `eu` has its slots one second after the start and every 30 s from there. What a probe
//! does is faked; `cadence.rs` tests the slots themselves.

mod caps;
mod clocks;
mod confirmation;
mod overlap;
mod rhythm;
mod stopping;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forewarn::base::clock::{Clock, Instant, Timestamp};
use forewarn::base::duration::HumanDuration;
use forewarn::model::measure::Kind;
use forewarn::model::outcome::{Failure, Outcome};
use forewarn::model::reason::Reason;
use forewarn::model::result::{Findings, Identity, ProbeResult, Trigger};
use forewarn::schedule::cadence::{Cadence, FIRST_LOOK, When, phase};
use forewarn::schedule::runner::{Firing, Job, Limits, Run, Scheduler, Sink, Skipped, Stopped};
use forewarn::schedule::settings::{Confirm, Overlap};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use tokio::time::sleep_until;

/// A scheduler on simulated clocks.
struct World {
    clock: Clock,
    start: Instant,
    scheduler: Scheduler,
    sink: Arc<Recorder>,
}

impl World {
    /// One second before the first slot of `p`.
    fn new() -> Self {
        Self::with(Limits { concurrency: 1_000, per_host: 1_000 })
    }

    fn with(limits: Limits) -> Self {
        let start = Timestamp::from_second(1_767_225_600 - 1).unwrap() + phase(EVERY, "p", REGION);
        Self::starting_with(&start.to_string(), limits)
    }

    fn starting(wall: &str) -> Self {
        Self::starting_with(wall, Limits { concurrency: 1_000, per_host: 1_000 })
    }

    fn starting_with(wall: &str, limits: Limits) -> Self {
        let clock = Clock::simulated(wall.parse().unwrap());
        let sink = Arc::new(Recorder::default());
        let scheduler = Scheduler::start(limits, clock.clone(), Arc::clone(&sink) as Arc<dyn Sink>);
        Self { clock, start: Instant::now(), scheduler, sink }
    }

    /// Lets time pass up to and with this second after the start.
    async fn until(&self, second: u64) {
        sleep_until(self.start + seconds(second)).await;
        // Others that are due at this very moment.
        tokio::task::yield_now().await;
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// What the wall clock, if nobody moved it, showed so long after the start.
    fn wall(&self, at: Duration) -> Timestamp {
        self.clock.now() - SignedDuration::try_from(self.elapsed()).unwrap() + SignedDuration::try_from(at).unwrap()
    }
}

/// An attempt every 30 s, with nothing special about it.
fn every_30_s(name: &str, target: &Arc<Target>) -> Job {
    let run = Faked { target: Arc::clone(target), identity: identity(name) };
    let cadence = Cadence {
        when: When::Every(EVERY),
        timeout: seconds(10),
        overlap: Overlap::Skip,
        confirm: None,
        first_look: true,
    };
    Job { identity: identity(name), cadence, host: None, run: Arc::new(run) }
}

fn identity(name: &str) -> Identity {
    Identity { probe: name.parse().unwrap(), surface: "pika/web".parse().unwrap(), region: REGION.into() }
}

const fn confirm(after: u64, times: u32) -> Confirm {
    Confirm { after: HumanDuration(seconds(after)), times }
}

fn cron(text: &str) -> When {
    When::Cron { expression: text.parse().unwrap(), zone: TimeZone::UTC }
}

fn failed(reason: Reason) -> Outcome {
    Outcome::Failed(Failure::new(reason, "as the test wants"))
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// What attempts meet: takes its time, then says how the attempt with this number (from 0) ends.
struct Target {
    origin: Instant,
    takes: Duration,
    outcome: Box<dyn Fn(usize) -> Outcome + Send + Sync>,
    starts: Mutex<Vec<Start>>,
    running: AtomicUsize,
    /// The most that ever ran at once.
    most: AtomicUsize,
}

#[derive(Debug, Clone)]
struct Start {
    /// Since the test's start.
    at: Duration,
    firing: Firing,
}

impl Target {
    fn new(takes: Duration, outcome: impl Fn(usize) -> Outcome + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            origin: Instant::now(),
            takes,
            outcome: Box::new(outcome),
            starts: Mutex::default(),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }

    fn instant() -> Arc<Self> {
        Self::new(Duration::ZERO, |_| Outcome::Ok)
    }

    fn starts(&self) -> Vec<Start> {
        self.starts.lock().unwrap().clone()
    }

    /// Seconds from the test's start to each attempt's.
    fn at(&self) -> Vec<f64> {
        self.starts().iter().map(|start| start.at.as_secs_f64()).collect()
    }

    /// From each attempt's start to the next one's.
    fn gaps(&self) -> Vec<Duration> {
        self.starts().windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).collect()
    }

    fn triggers(&self) -> Vec<Trigger> {
        self.starts().iter().map(|start| start.firing.trigger).collect()
    }

    fn enter(self: &Arc<Self>, firing: &Firing) -> (usize, Running) {
        let mut starts = self.starts.lock().unwrap();
        starts.push(Start { at: self.origin.elapsed(), firing: firing.clone() });
        self.most.fetch_max(self.running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        (starts.len() - 1, Running(Arc::clone(self)))
    }
}

/// Counts an attempt as running, until it ends or is dropped.
struct Running(Arc<Target>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Faked {
    target: Arc<Target>,
    identity: Identity,
}

impl Run for Faked {
    fn run(&self, firing: Firing) -> BoxFuture<'static, ProbeResult> {
        let (target, identity) = (Arc::clone(&self.target), self.identity.clone());
        async move {
            let (number, _running) = target.enter(&firing);
            if !target.takes.is_zero() {
                tokio::time::sleep(target.takes).await;
            }
            ProbeResult {
                identity,
                kind: &KIND,
                trigger: firing.trigger,
                scheduled_at: firing.scheduled_at,
                started_at: firing.scheduled_at,
                lag: firing.lag,
                took: target.takes,
                timeout: firing.timeout,
                outcome: (target.outcome)(number),
                findings: Findings::default(),
            }
        }
        .boxed()
    }
}

/// Remembers all that the scheduler says.
#[derive(Default)]
struct Recorder {
    results: Mutex<Vec<ProbeResult>>,
    skipped: Mutex<Vec<(String, Skipped, u64)>>,
    confirmed: Mutex<Vec<(String, bool)>>,
}

impl Recorder {
    fn results(&self) -> Vec<ProbeResult> {
        self.results.lock().unwrap().clone()
    }

    /// The sums, in order of first appearance.
    fn skipped(&self) -> Vec<(String, Skipped, u64)> {
        self.skipped.lock().unwrap().clone()
    }

    fn confirmed(&self) -> Vec<(String, bool)> {
        self.confirmed.lock().unwrap().clone()
    }
}

impl Sink for Recorder {
    fn ended(&self, result: ProbeResult) {
        self.results.lock().unwrap().push(result);
    }

    fn skipped(&self, identity: &Identity, why: Skipped, count: u64) {
        let name = identity.probe.to_string();
        let mut skipped = self.skipped.lock().unwrap();
        match skipped.iter_mut().find(|(known, reason, _)| *known == name && *reason == why) {
            Some((.., sum)) => *sum += count,
            None => skipped.push((name, why, count)),
        }
    }

    fn confirmed(&self, identity: &Identity, recovered: bool) {
        self.confirmed.lock().unwrap().push((identity.probe.to_string(), recovered));
    }
}

static KIND: Kind =
    Kind { name: "fake", about: "Nothing.", phases: &[], measures: &[], facts: &[], series: &[], infos: &[] };

const EVERY: Duration = Duration::from_secs(30);
const REGION: &str = "eu";

#[test]
fn the_reasons_to_skip_have_different_labels() {
    let mut labels: Vec<_> = Skipped::ALL.iter().map(|why| why.as_str()).collect();
    assert!(labels.is_sorted(), "the order of the label values");
    labels.dedup();
    assert_eq!(labels.len(), 4);
}
