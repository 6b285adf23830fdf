//! One job's state: its next slot, its attempts under way, what queues behind them, and the second look at a failure.
//! A plain state machine that answers with [`Action`]s.
//!
//! Does not wait, spawn or count, and knows no other job.

use std::sync::Arc;
use std::time::Duration;

use super::cadence::{Moment, When};
use super::runner::{Job, Skipped};
use super::settings::Overlap;
use crate::base::clock::Instant;
use crate::model::name::Name;
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::result::Trigger;

/// One job and where it stands.
pub(super) struct Entry {
    key: Key,
    job: Arc<Job>,
    phase: Duration,
    /// The slot waited for; `None` if none will come.
    next: Option<Moment>,
    /// The last slot that came.
    last: Option<Instant>,
    /// When the job was added, and with that when its first look is.
    first_look: Option<Instant>,
    /// Attempts started and not ended, those that wait for a free place included.
    active: usize,
    /// The attempt that waits for the active one to end, under [`Overlap::Queue`].
    queued: Option<(Moment, Trigger)>,
    /// Whether the last attempt that says anything failed.
    failing: bool,
    /// The second look under way.
    confirmation: Option<Confirmation>,
}

/// The second look at a failure, which may take several attempts.
struct Confirmation {
    /// The current attempt, from 1.
    number: u32,
    /// When it is due; `None` while it runs.
    at: Option<Instant>,
    /// Whether an attempt before it failed.
    failed: bool,
}

/// One job's place in the table: never used twice, so an attempt of a removed job cannot be taken for another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(pub(super) u64);

/// What the runner is asked to do.
pub(super) enum Action {
    /// Make this attempt, and tell [`Entry::ended`] about its end.
    Start(Attempt),
    /// Count this many attempts that were left out.
    Skip(Arc<Job>, Skipped, u64),
    /// Say how the second look at a failure came out.
    Confirm(Arc<Job>, bool),
}

/// One attempt to make.
pub(super) struct Attempt {
    pub(super) key: Key,
    pub(super) job: Arc<Job>,
    pub(super) trigger: Trigger,
    /// When it was wanted.
    pub(super) wanted: Moment,
    /// When waiting for a free place ends.
    pub(super) give_up: Instant,
}

/// How an attempt ended, as far as the schedule cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The target worked.
    Worked,
    /// It did not, or the agent could not tell.
    Failed,
    /// The attempt was made, and says nothing about whether another would succeed.
    Silent,
    /// It never started.
    NotMade,
}

impl Ending {
    /// What an outcome means here.
    ///
    /// A failure of the agent's own (no file descriptors, no resolver) gets its second look as well: such things pass.
    /// Spent money, a wrong definition and an attempt that was not made do not change within seconds.
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ok | Outcome::Degraded(_) => Self::Worked,
            Outcome::Failed(failure) => match failure.reason {
                Reason::Skipped | Reason::Config | Reason::Budget | Reason::Quota => Self::Silent,
                _ => Self::Failed,
            },
        }
    }
}

impl Entry {
    /// A job that is new here.
    pub(super) fn new(key: Key, job: Job, now: Moment) -> Self {
        let mut entry = Self {
            key,
            phase: Duration::ZERO,
            next: None,
            last: None,
            first_look: job.cadence.when.first_look(&job.identity, now.instant).filter(|_| job.cadence.first_look),
            active: 0,
            queued: None,
            failing: false,
            confirmation: None,
            job: Arc::new(job),
        };
        entry.plan(now);
        entry
    }

    pub(super) const fn key(&self) -> Key {
        self.key
    }

    pub(super) fn name(&self) -> &Name {
        &self.job.identity.probe
    }

    /// When the next slot is, if one will come.
    pub(super) fn slot_at(&self) -> Option<Instant> {
        self.next.map(|next| next.instant)
    }

    /// When the second look at a failure is due, if one is.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.confirmation.as_ref().and_then(|confirmation| confirmation.at)
    }

    /// Takes over a new definition under the same name.
    pub(super) fn redefine(&mut self, job: Job, now: Moment) {
        let same_slots = job.cadence.when == self.job.cadence.when && job.identity.region == self.job.identity.region;
        self.job = Arc::new(job);
        if !same_slots {
            self.plan(now);
        }
        if self.job.cadence.confirm.is_none() {
            self.confirmation = None;
        }
    }

    /// Plans from now on, by times that are new.
    fn plan(&mut self, now: Moment) {
        let when = &self.job.cadence.when;
        self.phase = when.phase(&self.job.identity);
        self.next = when.first(self.phase, self.last, now);
        let soon = self.first_look.filter(|_| self.last.is_none() && matches!(when, When::Every(_)));
        if let (Some(slot), Some(soon)) = (self.next, soon)
            && soon < slot.instant
        {
            let instant = soon.max(now.instant);
            self.next = Some(Moment { wall: now.wall_at(instant), instant });
        }
    }

    /// Plans anew after the wall clock jumped.
    pub(super) fn clocks_jumped(&mut self, now: Moment) {
        self.next = self.job.cadence.when.replanned(self.phase, self.next, self.last, now);
    }

    /// Makes the attempt whose slot has come, or says why not, and plans the next slot.
    pub(super) fn slot_came(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let Some(slot) = self.next else { return };
        let job = Arc::clone(&self.job);
        let when = &job.cadence.when;
        let (slot, missed) = when.overdue(slot, now.instant);
        if missed > 0 {
            actions.push(Action::Skip(Arc::clone(&job), Skipped::Late, missed));
        }
        self.last = Some(slot.instant);
        self.next = when.next(self.phase, slot.instant, now);
        if let Some(skipped) = self.admit(slot, Trigger::Schedule, now, actions) {
            actions.push(Action::Skip(job, skipped, 1));
        }
    }

    /// Makes an attempt now beside the slots, unless one runs.
    pub(super) fn hurry(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if self.active == 0 {
            self.start(now, Trigger::Schedule, now, actions);
        }
    }

    /// Starts, queues or refuses an attempt.
    fn admit(&mut self, wanted: Moment, trigger: Trigger, now: Moment, actions: &mut Vec<Action>) -> Option<Skipped> {
        match self.job.cadence.overlap {
            _ if self.active == 0 => self.start(wanted, trigger, now, actions),
            Overlap::Allow => self.start(wanted, trigger, now, actions),
            Overlap::Skip => return Some(Skipped::Overlap),
            Overlap::Queue if self.queued.is_some() => return Some(Skipped::QueueFull),
            Overlap::Queue => self.queued = Some((wanted, trigger)),
        }
        None
    }

    fn start(&mut self, wanted: Moment, trigger: Trigger, now: Moment, actions: &mut Vec<Action>) {
        let patience = now.instant + self.job.cadence.timeout.min(LONGEST_PATIENCE);
        // Its place must be free again when the next slot comes.
        let before_next = self.next.and_then(|next| next.instant.checked_sub(TICK));
        self.active += 1;
        actions.push(Action::Start(Attempt {
            key: self.key,
            job: Arc::clone(&self.job),
            trigger,
            wanted,
            give_up: before_next.map_or(patience, |before_next| patience.min(before_next)),
        }));
    }

    /// Takes note of the end of an attempt; answers when a second look is due, if one now is.
    pub(super) fn ended(
        &mut self,
        trigger: Trigger,
        ending: Ending,
        now: Moment,
        actions: &mut Vec<Action>,
    ) -> Option<Instant> {
        self.active = self.active.saturating_sub(1);
        let was_failing = self.failing;
        match ending {
            Ending::Worked => self.failing = false,
            Ending::Failed => self.failing = true,
            Ending::Silent | Ending::NotMade => {}
        }
        let look = match trigger {
            Trigger::Confirmation(number) => self.look_ended(number, ending, now, actions),
            _ if ending == Ending::Failed && !was_failing && self.confirmation.is_none() => {
                self.look_again(1, false, now)
            }
            _ => None,
        };
        if self.active == 0
            && let Some((wanted, trigger)) = self.queued.take()
        {
            self.start(wanted, trigger, now, actions);
        }
        look
    }

    /// Takes the second look that is due; answers when the next one is due if this one is left out.
    pub(super) fn look_came(&mut self, now: Moment, actions: &mut Vec<Action>) -> Option<Instant> {
        let confirmation = self.confirmation.as_mut()?;
        let at = confirmation.at.take()?;
        let number = confirmation.number;
        let wanted = Moment { wall: now.wall_at(at), instant: at };
        let skipped = self.admit(wanted, Trigger::Confirmation(number), now, actions)?;
        actions.push(Action::Skip(Arc::clone(&self.job), skipped, 1));
        self.look_ended(number, Ending::NotMade, now, actions)
    }

    /// Goes on to the next look, or says how the looks came out. One that gave no answer is spent all the same; if none
    /// gave an answer, nothing is confirmed.
    fn look_ended(&mut self, number: u32, ending: Ending, now: Moment, actions: &mut Vec<Action>) -> Option<Instant> {
        // Gone when a reload took `confirm` away meanwhile.
        let confirmation = self.confirmation.take()?;
        let failed = confirmation.failed || ending == Ending::Failed;
        let times = self.job.cadence.confirm.map_or(0, |confirm| confirm.times);
        if ending == Ending::Worked {
            actions.push(Action::Confirm(Arc::clone(&self.job), true));
            None
        } else if number < times {
            self.look_again(number + 1, failed, now)
        } else {
            actions.extend(failed.then(|| Action::Confirm(Arc::clone(&self.job), false)));
            None
        }
    }

    fn look_again(&mut self, number: u32, failed: bool, now: Moment) -> Option<Instant> {
        let confirm = self.job.cadence.confirm?;
        let at = now.instant + confirm.after.get();
        self.confirmation = Some(Confirmation { number, at: Some(at), failed });
        Some(at)
    }
}

/// The resolution of tokio's timer.
const TICK: Duration = Duration::from_millis(1);

/// Nothing waits longer for a place, whatever its timeout.
const LONGEST_PATIENCE: Duration = Duration::from_secs(86_400);
