//! The probing side: a plan made into probers, jobs and series, and replaced by the next plan without losing anything.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Observer;
use super::ledger::{may_have_leftovers, recover};
use super::results::Results;
use crate::base::clock::Clock;
use crate::config::plan::{Plan, PlannedProbe};
use crate::metrics::{Metrics, MetricsError, ProbeSeries, Scrape};
use crate::model::name::Name;
use crate::model::result::{Identity, ProbeResult};
use crate::probe::attempt::{self, Order, Prober};
use crate::probe::generation::desk::Desk;
use crate::probe::net::shared::Shared;
use crate::schedule::runner::{Firing, Job, Limits, Run, Scheduler, Sink, Stopped};

/// Everything that probes and counts.
pub(super) struct Agent {
    metrics: Arc<Metrics>,
    results: Arc<Results>,
    scheduler: Scheduler,
    /// Jobs outlive plans.
    desk: Arc<Desk>,
    clock: Clock,
    plan: Mutex<Plan>,
}

/// What a reload changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Difference {
    /// Probes that were not there before.
    pub added: usize,
    /// Probes that are no longer there.
    pub removed: usize,
    /// Probes of which something changed.
    pub changed: usize,
    /// Probes that stayed as they were.
    pub unchanged: usize,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, removed, changed, unchanged } = self;
        write!(out, "probes: {added} added, {removed} removed, {changed} changed, {unchanged} unchanged")
    }
}

impl Agent {
    pub(super) fn start(
        plan: Plan,
        clock: Clock,
        desk: Arc<Desk>,
        observer: Option<Observer>,
    ) -> Result<Self, MetricsError> {
        let metrics = Arc::new(Metrics::new(&crate::probe::kinds(), &[("version", env!("CARGO_PKG_VERSION"))])?);
        let results = Arc::new(Results::new(Arc::clone(&metrics), observer));
        let lags = Arc::clone(&metrics);
        desk.observe_lag(move |lag| lags.poll_lag(lag));
        let sink: Arc<dyn Sink> = Arc::<Results>::clone(&results);
        let scheduler = Scheduler::start(limits(&plan), clock.clone(), sink);
        let agent = Self { metrics, results, scheduler, desk, clock, plan: Mutex::new(plan) };
        agent.apply(&agent.plan.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(agent)
    }

    pub(super) fn replace(&self, plan: Plan) -> Difference {
        let mut current = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let difference = difference(&current, &plan);
        warn_of_restarts(&current, &plan);
        self.apply(&plan);
        *current = plan;
        difference
    }

    /// Takes over what an earlier agent left, in the background: the first attempt of a probe waits for it, nobody else.
    fn look_for_leftovers(&self, plan: &Plan) {
        if !may_have_leftovers(&plan.store) {
            return;
        }
        let (desk, clock, scheduler) = (Arc::clone(&self.desk), self.clock.clone(), self.scheduler.clone());
        tokio::spawn(async move {
            recover(&desk, &clock).await;
            // A paid job that is outstanding cannot wait for its probe's next slot.
            for probe in desk.left() {
                tracing::info!(%probe, "an earlier agent left a job of this probe; it is taken over now");
                scheduler.hurry(probe);
            }
        });
    }

    pub(super) fn reload_failed(&self) {
        self.metrics.reloaded(false, self.clock.now());
    }

    pub(super) fn scrape(&self, accept: Option<&str>, accept_encoding: Option<&str>) -> Scrape {
        // Asked for now, so that a job's age is its age at the scrape.
        self.metrics.pending(&self.desk.pending());
        self.metrics.scrape(accept, accept_encoding)
    }

    pub(super) async fn stop(&self) -> Stopped {
        // Attempts that follow jobs cancel them, within the grace that all attempts have.
        self.desk.close();
        let grace = self.plan.lock().unwrap_or_else(PoisonError::into_inner).agent.grace.get();
        self.scheduler.stop(grace).await
    }

    /// Probers are made anew for every plan, so that they see a changed resolver and changed trust roots; what must
    /// survive lives in the metrics and the schedule, by the probe's name.
    fn apply(&self, plan: &Plan) {
        let shared = Arc::new(Shared::with_desk(self.clock.clone(), Arc::clone(&self.desk)));
        let names = plan.probes.iter().map(|probe| &probe.name).collect();
        self.desk.limit(plan.agent.budget.clone());
        // Series first: a result must find its place.
        self.metrics.replace(plan.probes.iter().map(|probe| series(plan, probe)));
        self.scheduler.replace(plan.probes.iter().map(|probe| job(plan, probe, &shared, &self.clock)).collect());
        self.results.keep_only(&names);
        self.desk.keep_only(&names);
        self.look_for_leftovers(plan);
        self.metrics.reloaded(true, self.clock.now());
    }
}

/// Runs one probe of `plan` once, now, outside any schedule.
pub async fn once(plan: &Plan, probe: &PlannedProbe, clock: &Clock, desk: &Arc<Desk>) -> ProbeResult {
    desk.limit(plan.agent.budget.clone());
    // What other probes left is for the agent that runs them.
    desk.keep_only(&HashSet::from([&probe.name]));
    let shared = Arc::new(Shared::with_desk(clock.clone(), Arc::clone(desk)));
    let order = Order {
        identity: identity(plan, probe),
        trigger: crate::model::result::Trigger::Demand,
        scheduled_at: clock.now(),
        lag: std::time::Duration::ZERO,
        timeout: probe.cadence.timeout,
    };
    attempt::make(&*probe.spec.prober(&shared), order, clock).await
}

/// A prober with a name, as the schedule runs it.
struct Runner {
    identity: Identity,
    prober: Arc<dyn Prober>,
    clock: Clock,
}

impl Run for Runner {
    fn run(&self, firing: Firing) -> BoxFuture<'static, ProbeResult> {
        let (identity, prober, clock) = (self.identity.clone(), Arc::clone(&self.prober), self.clock.clone());
        let Firing { trigger, scheduled_at, lag, timeout } = firing;
        async move { attempt::make(&*prober, Order { identity, trigger, scheduled_at, lag, timeout }, &clock).await }
            .boxed()
    }
}

fn job(plan: &Plan, probe: &PlannedProbe, shared: &Arc<Shared>, clock: &Clock) -> Job {
    let identity = identity(plan, probe);
    let runner = Runner { identity: identity.clone(), prober: probe.spec.prober(shared), clock: clock.clone() };
    Job { identity, cadence: probe.cadence.clone(), host: probe.spec.host().map(Arc::from), run: Arc::new(runner) }
}

fn series(plan: &Plan, probe: &PlannedProbe) -> ProbeSeries {
    ProbeSeries {
        identity: identity(plan, probe),
        kind: probe.spec.kind(),
        labels: probe.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        timeout: probe.cadence.timeout,
        settings: probe.spec.settings(),
    }
}

fn identity(plan: &Plan, probe: &PlannedProbe) -> Identity {
    Identity { probe: probe.name.clone(), surface: probe.surface.clone(), region: Arc::clone(plan.agent.region.name()) }
}

fn limits(plan: &Plan) -> Limits {
    let count = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    Limits { concurrency: count(plan.agent.concurrency), per_host: count(plan.agent.per_host) }
}

fn difference(old: &Plan, new: &Plan) -> Difference {
    let before: HashMap<&Name, &PlannedProbe> = old.probes.iter().map(|probe| (&probe.name, probe)).collect();
    let mut difference = Difference::default();
    for probe in &new.probes {
        match before.get(&probe.name) {
            None => difference.added += 1,
            Some(old) if *old == probe => difference.unchanged += 1,
            Some(_) => difference.changed += 1,
        }
    }
    difference.removed = before.len() - difference.changed - difference.unchanged;
    difference
}

fn warn_of_restarts(old: &Plan, new: &Plan) {
    let (before, after) = (&old.agent, &new.agent);
    for (key, changed) in [
        ("agent.listen", before.listen != after.listen),
        ("agent.concurrency", before.concurrency != after.concurrency),
        ("agent.per_host", before.per_host != after.per_host),
        ("store.url", old.store.url != new.store.url),
    ] {
        if changed {
            tracing::warn!(key, "this change takes effect at the next start");
        }
    }
}
