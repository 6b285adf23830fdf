//! The one catalogue of metrics, and the exposition in the formats that scrapers ask for.
//!
//! The series of probes are written straight from each probe's last state, as a stream: 10,000 probes of 30 series need
//! no second copy in memory. Keeps no history, decides nothing and serves nothing: the caller brings results in and
//! carries the body out.

mod agent;
pub mod catalogue;
mod common;
mod exposition;
mod format;
mod layout;
mod negotiate;
mod reference;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use exposition::Body;
pub use reference::reference;

use agent::Agent;
use catalogue::{Catalogue, CatalogueError};
use state::{Latest, Table};

use crate::base::clock::{Timestamp, unix_seconds};
use crate::model::job::Pending;
use crate::model::measure::Kind;
use crate::model::name::Name;
use crate::model::result::{Identity, ProbeResult, Trigger};

/// All metrics of one agent. Share it in an [`Arc`].
#[derive(Debug)]
pub struct Metrics {
    catalogue: Arc<Catalogue>,
    table: Mutex<Table>,
    agent: Agent,
}

/// A probe as the metrics see it.
#[derive(Debug, Clone)]
pub struct ProbeSeries {
    /// Probe, surface and region: the labels that come first.
    pub identity: Identity,
    /// The probe type, one of those given to [`Metrics::new`].
    pub kind: &'static Kind,
    /// The user's labels. Those that [`Catalogue::check_label`] refuses are left out.
    pub labels: BTreeMap<String, String>,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// Settings that are the values of labels, by the keys that the type's tables name.
    pub settings: Vec<(&'static str, String)>,
}

/// An answer to one scrape.
#[derive(Debug)]
pub struct Scrape {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `Content-Encoding`, if there is to be one.
    pub content_encoding: Option<&'static str>,
    /// What to send.
    pub body: Body,
}

/// Why the metrics could not be set up: a mistake in the program's tables.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The tables of the probe types do not fit together.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The agent's own metrics were refused.
    #[error("the agent's own metrics: {0}")]
    Agent(#[from] prometheus::Error),
    /// A probe type defines a metric that the agent has for itself.
    #[error("metric `{0}` is the agent's own; a probe type needs another name")]
    Clash(String),
}

impl Metrics {
    /// Metrics of an agent that knows these probe types and has no probe yet.
    ///
    /// `build` are the labels of `forewarn_build_info`, such as `("version", "1.0.0")`.
    ///
    /// # Errors
    /// [`MetricsError`] when the tables do not fit together.
    pub fn new(kinds: &[&'static Kind], build: &[(&str, &str)]) -> Result<Self, MetricsError> {
        let catalogue = Arc::new(Catalogue::new(kinds)?);
        let agent = Agent::new(build)?;
        let families = catalogue.families();
        let own = agent.gather();
        if let Some(clash) = own.iter().find(|own| families.iter().any(|family| family.metric.name == own.name())) {
            return Err(MetricsError::Clash(clash.name().to_owned()));
        }
        Ok(Self { catalogue, table: Mutex::default(), agent })
    }

    /// Makes these the probes that there are, in this order; of two with one name the first counts.
    ///
    /// A probe whose name, labels and type are as before keeps its counters and last values. The series of all others
    /// are gone at once, and results that still come for them are left out. Costs time linear in the number of probes.
    pub fn replace(&self, probes: impl IntoIterator<Item = ProbeSeries>) {
        let next = Table::new(probes.into_iter().map(|series| Latest::new(series, &self.catalogue)));
        self.agent.probes.set(i64::try_from(next.len()).unwrap_or(i64::MAX));
        // Dropped after the lock, because freeing many states takes a while.
        let old = self.table().replace(next);
        drop(old);
    }

    /// Stores a result: gauges show the attempt that finished last, counters and histograms add it.
    pub fn record(&self, result: &ProbeResult) {
        match result.trigger {
            Trigger::Schedule | Trigger::Confirmation(_) => self.agent.lag.observe(result.lag.as_secs_f64()),
            Trigger::Demand => {}
        }
        self.table().record(result);
    }

    /// Counts how late an outstanding job was asked about.
    pub fn poll_lag(&self, lag: Duration) {
        self.agent.poll_lag.observe(lag.as_secs_f64());
    }

    /// Makes these the jobs that are outstanding, in all probes.
    pub fn pending(&self, pending: &[Pending]) {
        self.table().pend(pending);
    }

    /// Counts attempts that were due and not made; `why` is one of few fixed words such as `overlap`.
    pub fn skipped(&self, probe: &Name, why: &'static str, count: u64) {
        self.table().change(probe, |latest| latest.skipped(why, count));
    }

    /// Counts a second look after a first failure: it found all well, or it failed again.
    pub fn confirmed(&self, probe: &Name, recovered: bool) {
        let key = if recovered { common::RECOVERED } else { common::CONFIRMED };
        self.table().change(probe, |latest| latest.feed(key, 1.0));
    }

    /// Notes that a configuration was read, and whether it is the one running now. To be called at start as well.
    pub fn reloaded(&self, ok: bool, at: Timestamp) {
        self.agent.reload_successful.set(i64::from(ok));
        if ok {
            self.agent.reload_success.set(unix_seconds(at));
        }
    }

    /// Answers a scrape with the state of this moment, in what the request's headers prefer; never refuses.
    #[must_use]
    pub fn scrape(&self, accept: Option<&str>, accept_encoding: Option<&str>) -> Scrape {
        let format = negotiate::format(accept);
        let encoding = negotiate::encoding(accept_encoding);
        let rest = self.agent.render(format);
        let snapshot = self.table().snapshot();
        Scrape {
            content_type: format.content_type(),
            content_encoding: encoding.header(),
            body: Body::new(Arc::clone(&self.catalogue), snapshot, rest, format, encoding),
        }
    }

    /// A panic while the lock was held leaves at worst one result half counted, which is no reason to stop counting.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
