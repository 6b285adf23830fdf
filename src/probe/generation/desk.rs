//! The jobs that are outstanding now, in all probes: seen by whoever exports them, recalled when the agent stops or their
//! probe goes, and taken over from an agent that ended before they did.
//!
//! Outlives plans, so a reload does not disturb a job. Sends nothing: the attempt that sits here does.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, watch};

use super::kind::STAGES;
use super::ledger::{Ledger, LedgerError, Memory};
use super::webhook::receive::Receivers;
use crate::base::bounded::printable;
use crate::base::clock::Instant;
use crate::model::job::{Account, Leftover, Pending, Ticket};
use crate::model::money::Amount;
use crate::model::name::Name;
use crate::model::result::Identity;

/// All outstanding jobs.
pub struct Desk {
    ledger: Arc<dyn Ledger>,
    state: Mutex<State>,
    recovered: OnceCell<()>,
    lag: OnceLock<Box<LagObserver>>,
    receivers: Receivers,
}

/// Is told how late a job was asked about.
type LagObserver = dyn Fn(Duration) + Send + Sync;

#[derive(Default)]
struct State {
    closed: bool,
    last: u64,
    /// The probes that are here; none before that was said.
    probes: Option<HashSet<Name>>,
    seats: BTreeMap<u64, Entry>,
    /// Jobs that nobody follows, by probe; the oldest first.
    leftovers: HashMap<Name, VecDeque<Leftover>>,
    /// What all probes together may spend a day, by unit.
    limits: BTreeMap<String, Amount>,
}

struct Entry {
    identity: Identity,
    since: Instant,
    job: String,
    /// None before there is anything to see.
    stage: Option<&'static str>,
    position: Option<f64>,
    recall: watch::Sender<bool>,
    /// What would have to be taken over if its attempt went away without a word.
    leftover: Option<Leftover>,
}

impl Default for Desk {
    fn default() -> Self {
        Self::new(Arc::new(Memory::default()))
    }
}

impl Desk {
    /// A desk whose jobs and money are written down in `ledger`.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger,
            state: Mutex::default(),
            recovered: OnceCell::new(),
            lag: OnceLock::new(),
            receivers: Receivers::default(),
        }
    }

    /// Tells `observer` from now on how late jobs are asked about. The first observer stays.
    pub fn observe_lag(&self, observer: impl Fn(Duration) + Send + Sync + 'static) {
        let _ = self.lag.set(Box::new(observer));
    }

    /// Where services call back.
    #[must_use]
    pub const fn receivers(&self) -> &Receivers {
        &self.receivers
    }

    /// Notes how late a job was asked about.
    pub(super) fn asked_late_by(&self, lag: Duration) {
        if let Some(observer) = self.lag.get() {
            observer(lag);
        }
    }

    /// Where money and jobs are written down.
    #[must_use]
    pub fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// Sets what all probes together may spend a day, by unit.
    pub fn limit(&self, limits: BTreeMap<String, Amount>) {
        self.lock().limits = limits;
    }

    /// The account that all probes share in `unit`. It is kept without a limit too, so that one that comes later knows what
    /// was spent before.
    #[must_use]
    pub fn common_account(&self, unit: &str) -> Account {
        let per_day = self.lock().limits.get(unit).copied().unwrap_or(Amount::MAX);
        Account { name: COMMON.to_owned(), per_day }
    }

    /// All outstanding jobs as they are seen now.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        let state = self.lock();
        let seen = |entry: &Entry| {
            Some(Pending {
                identity: entry.identity.clone(),
                job: entry.job.clone(),
                stages: &STAGES,
                stage: entry.stage?,
                age: entry.since.elapsed(),
                position: entry.position,
            })
        };
        state.seats.values().filter_map(seen).collect()
    }

    /// Makes these the probes that are here, and recalls the jobs of all others.
    pub fn keep_only(&self, probes: &HashSet<&Name>) {
        let mut state = self.lock();
        state.probes = Some(probes.iter().map(|name| (*name).clone()).collect());
        for entry in state.seats.values().filter(|entry| !probes.contains(&entry.identity.probe)) {
            entry.recall.send_replace(true);
        }
    }

    /// Recalls all jobs and lets no new ones begin.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for entry in state.seats.values() {
            entry.recall.send_replace(true);
        }
    }

    /// True once the agent stops.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// A seat for a job that begins now, or that began as long ago as `since` says; `None` once the desk is closed, or the probe
    /// is not here any more. The job is seen from its first [`Seat::report`] on.
    #[must_use]
    pub fn sit(self: &Arc<Self>, identity: &Identity, since: Instant) -> Option<Seat> {
        let mut state = self.lock();
        let is_gone = state.probes.as_ref().is_some_and(|probes| !probes.contains(&identity.probe));
        if state.closed || is_gone {
            return None;
        }
        state.last += 1;
        let key = state.last;
        let (recall, recalled) = watch::channel(false);
        let identity = identity.clone();
        state.seats.insert(
            key,
            Entry { identity, since, job: String::new(), stage: None, position: None, recall, leftover: None },
        );
        Some(Seat { desk: Arc::clone(self), key, recalled })
    }

    /// Takes over the jobs of agents that ended before their jobs did, as far as their probes are here. Gives back the others,
    /// which stay as they are: their own agent may come back.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub async fn recover(&self) -> Result<Vec<Leftover>, LedgerError> {
        let mut strays = Vec::new();
        for leftover in self.ledger.leftovers().await? {
            let is_here = self.lock().probes.as_ref().is_none_or(|probes| probes.contains(&leftover.probe));
            if !is_here {
                strays.push(leftover);
            } else if self.ledger.adopt(leftover.ticket).await? {
                self.lock().leftovers.entry(leftover.probe.clone()).or_default().push_back(leftover);
            }
        }
        Ok(strays)
    }

    /// Waits until [`Self::recover`] was done once.
    ///
    /// # Errors
    /// As there; the next call tries again.
    pub(super) async fn recovered(&self) -> Result<(), LedgerError> {
        self.recovered.get_or_try_init(|| async { self.recover().await.map(drop) }).await.copied()
    }

    /// The probes that have jobs which nobody follows.
    #[must_use]
    pub fn left(&self) -> Vec<Name> {
        let state = self.lock();
        state.leftovers.iter().filter(|(_, jobs)| !jobs.is_empty()).map(|(name, _)| name.clone()).collect()
    }

    /// A job of this probe that nobody follows.
    #[must_use]
    pub fn leftover(&self, probe: &Name) -> Option<Leftover> {
        self.lock().leftovers.get_mut(probe)?.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One outstanding job's place. When it is dropped before [`Seat::settle`], the job can be taken over.
pub struct Seat {
    desk: Arc<Desk>,
    key: u64,
    recalled: watch::Receiver<bool>,
}

impl Seat {
    /// Waits until the job is to be given up: the agent stops, or its probe is gone.
    pub async fn recalled(&self) {
        // The sender lives in the desk for as long as the seat does.
        let _ = self.recalled.clone().wait_for(|recalled| *recalled).await;
    }

    /// True when the job is to be given up.
    #[must_use]
    pub fn is_recalled(&self) -> bool {
        *self.recalled.borrow()
    }

    /// Says where the job stands.
    pub fn report(&self, stage: &'static str, position: Option<f64>) {
        self.change(|entry| {
            entry.stage = Some(stage);
            entry.position = position;
        });
    }

    /// Says what the service calls the job, and what it takes to follow it.
    pub fn remember(&self, job: &str, leftover: Leftover) {
        let job = printable(job, MAX_JOB);
        self.change(|entry| {
            entry.job = job;
            entry.leftover = Some(leftover);
        });
    }

    /// The job needs no one any more; gives back its ticket, to be closed in the ledger.
    #[must_use]
    pub fn settle(&self) -> Option<Ticket> {
        let mut ticket = None;
        self.change(|entry| ticket = entry.leftover.take().map(|leftover| leftover.ticket));
        ticket
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.desk.lock().seats.get_mut(&self.key) {
            change(entry);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.desk.lock();
        let left = state.seats.remove(&self.key).and_then(|entry| entry.leftover);
        if let Some(leftover) = left {
            state.leftovers.entry(leftover.probe.clone()).or_default().push_back(leftover);
        }
    }
}

/// The account in which everything is counted.
const COMMON: &str = "agent";
const MAX_JOB: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(probe: &str) -> Identity {
        Identity { probe: probe.parse().unwrap(), surface: "s/generation".parse().unwrap(), region: "here".into() }
    }

    fn leftover(probe: &str) -> Leftover {
        Leftover {
            ticket: Ticket(7),
            probe: probe.parse().unwrap(),
            opened_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            values: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_is_seen_while_it_is_outstanding() {
        let desk = Arc::new(Desk::default());
        let seat = desk.sit(&identity("a"), Instant::now()).unwrap();
        assert!(desk.pending().is_empty(), "nothing is submitted yet");
        tokio::time::advance(Duration::from_secs(5)).await;
        seat.report("queue", Some(3.0));
        let pending = desk.pending();
        assert_eq!((pending[0].stage, pending[0].position, pending[0].age.as_secs()), ("queue", Some(3.0), 5));
        drop(seat);
        assert!(desk.pending().is_empty());
    }

    #[tokio::test]
    async fn a_job_whose_attempt_went_away_can_be_taken_over_once() {
        let desk = Arc::new(Desk::default());
        let seat = desk.sit(&identity("a"), Instant::now()).unwrap();
        seat.remember("j1", leftover("a"));
        drop(seat);
        assert_eq!(desk.leftover(&"a".parse().unwrap()), Some(leftover("a")));
        assert_eq!(desk.leftover(&"a".parse().unwrap()), None);
        let seat = desk.sit(&identity("a"), Instant::now()).unwrap();
        seat.remember("j1", leftover("a"));
        assert_eq!(seat.settle(), Some(Ticket(7)));
        drop(seat);
        assert_eq!(desk.leftover(&"a".parse().unwrap()), None);
    }

    #[tokio::test]
    async fn removal_recalls_some_and_closing_all() {
        let desk = Arc::new(Desk::default());
        let (a, b) = (desk.sit(&identity("a"), Instant::now()), desk.sit(&identity("b"), Instant::now()));
        let (a, b) = (a.unwrap(), b.unwrap());
        desk.keep_only(&HashSet::from([&"a".parse().unwrap()]));
        b.recalled().await;
        assert!(!a.is_recalled());
        desk.close();
        a.recalled().await;
        assert!(desk.sit(&identity("a"), Instant::now()).is_none());
    }
}
