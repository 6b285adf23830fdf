//! Keeps to the schedule: one task and one timer for all jobs, one task for each attempt under way.
//!
//! Latency counts from the real start of an attempt and lag from its slot, so neither hides the other. Does not enforce
//! an attempt's deadline: what runs gets it in its [`Firing`], knows what it was doing when it passed, and says so in
//! its result.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Sleep, sleep_until, timeout};

use super::cadence::{Cadence, Moment};
use super::entry::{Action, Attempt, Ending, Key};
use super::gate::{Entrance, Gate, Refused};
use super::timetable::Timetable;
use crate::base::clock::{Clock, Instant, Timestamp};
use crate::model::name::Name;
use crate::model::result::{Identity, ProbeResult, Trigger};

/// Something to run on a schedule. Cheap to clone.
#[derive(Clone)]
pub struct Job {
    /// Who it is; the probe's name tells one job from another.
    pub identity: Identity,
    /// When it runs.
    pub cadence: Cadence,
    /// What the per-host cap counts it under; `None` where no host is burdened.
    pub host: Option<Arc<str>>,
    /// What it does.
    pub run: Arc<dyn Run>,
}

/// Makes attempts.
pub trait Run: Send + Sync {
    /// One attempt. The future starts at once, must end by its timeout, and is dropped when the agent stops first.
    fn run(&self, firing: Firing) -> BoxFuture<'static, ProbeResult>;
}

/// What an attempt is told about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// Why it is made.
    pub trigger: Trigger,
    /// When the schedule wanted it.
    pub scheduled_at: Timestamp,
    /// From then to now, on the monotonic clock: the scheduler's own delay and the wait for a free place.
    pub lag: Duration,
    /// How long it may take from now.
    pub timeout: Duration,
}

/// Takes what the schedule brings forth. Called from many tasks; must neither block nor panic.
pub trait Sink: Send + Sync {
    /// An attempt ended. Also called for a job that was replaced or removed while it ran.
    fn ended(&self, result: ProbeResult);
    /// This many attempts were left out.
    fn skipped(&self, identity: &Identity, why: Skipped, count: u64);
    /// A first failure was looked at again: `recovered` if a second look succeeded.
    fn confirmed(&self, identity: &Identity, recovered: bool);
}

/// Why an attempt was left out. A closed set, used as the metric label `why`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skipped {
    /// The probe's previous attempt still ran, and `overlap: skip` holds.
    Overlap,
    /// The probe's previous attempt still ran and another waited already, under `overlap: queue`.
    QueueFull,
    /// No place became free in time under the caps on concurrency.
    Concurrency,
    /// The agent itself was so late that the next slot had come.
    Late,
}

impl Skipped {
    /// All of them, in the order of their label values.
    pub const ALL: [Self; 4] = [Self::Concurrency, Self::Late, Self::Overlap, Self::QueueFull];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overlap => "overlap",
            Self::QueueFull => "queue_full",
            Self::Concurrency => "concurrency",
            Self::Late => "late",
        }
    }
}

/// How many attempts may run at once; zero counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub concurrency: usize,
    /// At one host.
    pub per_host: usize,
}

/// What became of the attempts that ran when the scheduler was stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Ended within the grace; their results reached the sink.
    pub finished: usize,
    /// Aborted after it; they have no result.
    pub aborted: usize,
}

/// A running schedule. Dropping it, and all its clones, aborts everything; [`Self::stop`] is the friendly end.
#[derive(Clone)]
pub struct Scheduler {
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    Replace(Vec<Job>),
    Hurry(Name),
    Stop { grace: Duration, done: oneshot::Sender<Stopped> },
}

impl Scheduler {
    /// Starts with no jobs, in the tokio runtime of the caller.
    #[must_use]
    pub fn start(limits: Limits, clock: Clock, sink: Arc<dyn Sink>) -> Self {
        // Unbounded, as only reloads and the one stop go through it.
        let (orders, inbox) = mpsc::unbounded_channel();
        let timetable = Timetable::new(Moment::now(&clock));
        let runner = Runner { timetable, gate: Gate::new(limits), clock, sink, attempts: JoinSet::new() };
        tokio::spawn(runner.work(inbox));
        Self { orders }
    }

    /// Makes these the jobs from now on.
    ///
    /// A job with the name of a present one takes over its next slot (unless `when` changed), its overlap state and its
    /// pending second look. A removed job starts nothing more; its running attempts end in their own time. An added job
    /// waits for its first slot, or for a first look within [`FIRST_LOOK`](super::cadence::FIRST_LOOK). Of two jobs
    /// with one name, the later counts.
    pub fn replace(&self, jobs: Vec<Job>) {
        // Fails when stopped, and then nothing is to be scheduled.
        let _ = self.orders.send(Order::Replace(jobs));
    }

    /// Makes an attempt of the job with this name now, beside its slots, unless one runs or there is no such job.
    pub fn hurry(&self, name: Name) {
        // The schedule ends only after its last handle.
        let _ = self.orders.send(Order::Hurry(name));
    }

    /// Starts nothing more, drops what waits for a place, gives running attempts up to `grace`, then aborts them.
    ///
    /// A second call changes nothing and finds nothing running.
    pub async fn stop(&self, grace: Duration) -> Stopped {
        let (done, stopped) = oneshot::channel();
        let _ = self.orders.send(Order::Stop { grace, done });
        stopped.await.unwrap_or_default()
    }
}

/// The scheduler's task.
struct Runner {
    timetable: Timetable,
    gate: Gate,
    clock: Clock,
    sink: Arc<dyn Sink>,
    attempts: JoinSet<Ended>,
}

/// What an attempt's task leaves behind.
struct Ended {
    key: Key,
    trigger: Trigger,
    ending: Ending,
}

impl Runner {
    async fn work(mut self, mut inbox: mpsc::UnboundedReceiver<Order>) {
        let mut timer = std::pin::pin!(sleep_until(Instant::now()));
        loop {
            self.turn(timer.as_mut());
            tokio::select! {
                // Orders first: what was removed by now does not fire now.
                biased;
                order = inbox.recv() => match order {
                    Some(Order::Replace(jobs)) => {
                        self.timetable.replace(jobs, Moment::now(&self.clock));
                        self.gate.tidy();
                    }
                    Some(Order::Hurry(name)) => {
                        let actions = self.timetable.hurry(&name, Moment::now(&self.clock));
                        self.carry_out(actions);
                    }
                    Some(Order::Stop { grace, done }) => {
                        // Nobody may be waiting for the answer any more.
                        let _ = done.send(self.stop(grace).await);
                        return;
                    }
                    // The handle was dropped, and with this return every attempt is.
                    None => return,
                },
                Some(joined) = self.attempts.join_next() => self.joined(joined),
                () = timer.as_mut() => {}
            }
        }
    }

    /// Everything there is to do now; sets the timer for the next time.
    fn turn(&mut self, timer: Pin<&mut Sleep>) {
        // Ends come first: a job whose attempt has just ended is free for its slot.
        while let Some(joined) = self.attempts.try_join_next() {
            self.joined(joined);
        }
        let now = Moment::now(&self.clock);
        let actions = self.timetable.due(now);
        self.carry_out(actions);
        let look = now.instant + CLOCK_CHECK;
        let next = self.timetable.next_due().map_or(look, |next| next.min(look));
        // Setting a timer wakes the driver; most turns are about an attempt that ended, and change no time.
        if timer.is_elapsed() || timer.deadline() != next {
            timer.reset(next);
        }
    }

    fn joined(&mut self, joined: Result<Ended, JoinError>) {
        match joined {
            Ok(Ended { key, trigger, ending }) => {
                let actions = self.timetable.ended(key, trigger, ending, Moment::now(&self.clock));
                self.carry_out(actions);
            }
            // Panics are caught inside and nothing is aborted before the end.
            Err(error) => tracing::error!(%error, "an attempt's task was lost"),
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start(attempt) => {
                    let entrance = self.gate.entrance(attempt.job.host.as_ref());
                    self.attempts.spawn(make(attempt, entrance, Arc::clone(&self.sink)));
                }
                Action::Skip(job, why, count) => self.sink.skipped(&job.identity, why, count),
                Action::Confirm(job, recovered) => self.sink.confirmed(&job.identity, recovered),
            }
        }
    }

    async fn stop(&mut self, grace: Duration) -> Stopped {
        self.gate.close();
        let mut stopped = Stopped::default();
        let _ = timeout(grace, self.drain(&mut stopped)).await;
        self.attempts.abort_all();
        // An attempt that blocks its thread cannot be aborted, and is not waited for.
        let _ = timeout(ABORT_PATIENCE, self.drain(&mut stopped)).await;
        stopped.aborted += self.attempts.len();
        stopped
    }

    async fn drain(&mut self, stopped: &mut Stopped) {
        while let Some(joined) = self.attempts.join_next().await {
            match joined {
                Ok(ended) => stopped.finished += usize::from(ended.ending != Ending::NotMade),
                Err(_) => stopped.aborted += 1,
            }
        }
    }
}

/// One attempt, from the wait for a place to the hand-over of its result.
async fn make(attempt: Attempt, entrance: Entrance, sink: Arc<dyn Sink>) -> Ended {
    let Attempt { key, job, trigger, wanted, give_up } = attempt;
    let ended = |ending| Ended { key, trigger, ending };
    let place = match entrance.enter(give_up).await {
        Ok(place) => place,
        Err(refused) => {
            if refused == Refused::Full {
                sink.skipped(&job.identity, Skipped::Concurrency, 1);
            }
            return ended(Ending::NotMade);
        }
    };
    let firing = Firing {
        trigger,
        scheduled_at: wanted.wall,
        lag: Instant::now().saturating_duration_since(wanted.instant),
        timeout: job.cadence.timeout,
    };
    let attempt = AssertUnwindSafe(async {
        let result = job.run.run(firing).await;
        drop(place);
        let ending = Ending::of(&result.outcome);
        sink.ended(result);
        ending
    });
    // Whatever runs catches its own panics and tells of them; this keeps the schedule alive if it does not.
    let ending = attempt.catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(probe = %job.identity.probe, "an attempt panicked; it has no result");
        Ending::Silent
    });
    ended(ending)
}

/// How often the wall clock is compared with the monotonic one when nothing else is to be done.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// How long aborted attempts may take to let go.
const ABORT_PATIENCE: Duration = Duration::from_secs(1);
