//! All jobs' entries, and what is due when. Told what the clocks show and which attempts ended, it answers with
//! [`Action`]s.
//!
//! Does not wait, spawn or count, which the runner does; what becomes of one job, its [`Entry`] decides.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use super::cadence::Moment;
use super::entry::{Action, Ending, Entry, Key};
use super::runner::Job;
use crate::base::clock::Instant;
use crate::base::duration::shown;
use crate::model::name::Name;
use crate::model::result::Trigger;

/// All jobs, and what is due when.
pub(super) struct Timetable {
    jobs: HashMap<Key, Entry>,
    /// Slots and looks to come. An item that its entry no longer knows is out of date and is passed over.
    due: BinaryHeap<Reverse<(Instant, Key)>>,
    /// How the two clocks stood to each other when the plans were made.
    clocks: Moment,
    last_key: u64,
}

impl Timetable {
    /// An empty table.
    pub(super) fn new(now: Moment) -> Self {
        Self { jobs: HashMap::new(), due: BinaryHeap::new(), clocks: now, last_key: 0 }
    }

    /// Makes `jobs` the jobs from now on. One with the name of a present one takes over its state and, unless its
    /// times changed, its next slot; so a reload that changes nothing changes nothing.
    pub(super) fn replace(&mut self, jobs: Vec<Job>, now: Moment) {
        let jobs: BTreeMap<Name, Job> = jobs.into_iter().map(|job| (job.identity.probe.clone(), job)).collect();
        let mut present: HashMap<Name, Entry> =
            self.jobs.drain().map(|(_, entry)| (entry.name().clone(), entry)).collect();
        for (name, job) in jobs {
            let entry = if let Some(mut entry) = present.remove(&name) {
                entry.redefine(job, now);
                entry
            } else {
                self.last_key += 1;
                Entry::new(Key(self.last_key), job, now)
            };
            self.jobs.insert(entry.key(), entry);
        }
        self.rebuild();
    }

    /// When there is something to do next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((instant, _))| *instant)
    }

    /// What has come due by `now`.
    pub(super) fn due(&mut self, now: Moment) -> Vec<Action> {
        self.watch_clocks(now);
        let mut actions = Vec::new();
        while let Some(Reverse((instant, key))) = self.due.peek().copied()
            && instant <= now.instant
        {
            self.due.pop();
            let Some(entry) = self.jobs.get_mut(&key) else { continue };
            if entry.slot_at() == Some(instant) {
                entry.slot_came(now, &mut actions);
                self.due.extend(entry.slot_at().map(|slot| Reverse((slot, key))));
            } else if entry.look_at() == Some(instant) {
                let next = entry.look_came(now, &mut actions);
                self.due.extend(next.map(|look| Reverse((look, key))));
            }
        }
        actions
    }

    /// What follows from a wish for an attempt of this job now, beside its slots.
    pub(super) fn hurry(&mut self, name: &Name, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(entry) = self.jobs.values_mut().find(|entry| entry.name() == name) {
            entry.hurry(now, &mut actions);
        }
        actions
    }

    /// What follows from the end of an attempt.
    pub(super) fn ended(&mut self, key: Key, trigger: Trigger, ending: Ending, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        // A job that was removed meanwhile asks for nothing more.
        let Some(entry) = self.jobs.get_mut(&key) else { return actions };
        let look = entry.ended(trigger, ending, now, &mut actions);
        self.due.extend(look.map(|look| Reverse((look, key))));
        actions
    }

    /// Plans anew when the clocks no longer stand to each other as they did.
    fn watch_clocks(&mut self, now: Moment) {
        let expected = self.clocks.wall_at(now.instant);
        let step = now.wall.duration_since(expected);
        if step.unsigned_abs() < CLOCK_STEP {
            return;
        }
        if step.unsigned_abs() >= CLOCK_JUMP {
            let direction = if step.is_negative() { "back" } else { "forward" };
            tracing::warn!(
                "the wall clock jumped {direction} by {}, or the machine was suspended; planning anew",
                shown(step.unsigned_abs())
            );
        }
        self.clocks = now;
        for entry in self.jobs.values_mut() {
            entry.clocks_jumped(now);
        }
        self.rebuild();
    }

    /// Fills the heap from the entries, which leaves nothing out of date in it.
    fn rebuild(&mut self) {
        let due = self.jobs.values().flat_map(|entry| {
            let instants = [entry.slot_at(), entry.look_at()].into_iter().flatten();
            instants.map(|instant| Reverse((instant, entry.key())))
        });
        self.due = due.collect();
    }
}

/// The wall clock may drift this far from the plans before they are made anew; two clocks are never read at once, and
/// a busy machine may pause between the two readings.
const CLOCK_STEP: Duration = Duration::from_millis(100);

/// From here on a step is worth a line in the log.
const CLOCK_JUMP: Duration = Duration::from_secs(1);
