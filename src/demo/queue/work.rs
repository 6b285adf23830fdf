//! The work model: jobs come in, wait behind strangers' jobs, are rendered, and end as their faults have decided.
//!
//! Nothing runs in the background: each question is answered from the time at which it is asked. Our own jobs do not
//! wait for each other (a service with many users does not notice one more), so that a load test sees the same times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::credits::Credits;
use super::job::{self, Course, End, Job, Order, Stage};
use crate::base::clock::{Instant, Timestamp};
use crate::demo::fault::Fault;

/// All jobs that are remembered, by number.
#[derive(Debug)]
pub(in crate::demo) struct Work {
    jobs: BTreeMap<u64, Job>,
    last: u64,
    /// When the lanes are through with a burst of strangers' jobs.
    busy_until: Instant,
    /// The jobs in a queue that stands still.
    held: BTreeSet<u64>,
    credits: Credits,
}

/// What came of the wish to cancel a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::demo) enum Cancelled {
    /// It is cancelled.
    Requested,
    /// It had ended before.
    TooLate,
    /// There is no such job.
    Unknown,
}

/// A job that ended with a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::demo) struct Finished {
    pub(in crate::demo) id: String,
    pub(in crate::demo) title: String,
    pub(in crate::demo) created_at: Timestamp,
}

impl Work {
    pub(in crate::demo) const fn new(now: Instant) -> Self {
        Self { jobs: BTreeMap::new(), last: 0, busy_until: now, held: BTreeSet::new(), credits: Credits::new() }
    }

    /// Accepts a job that these faults have hit; gives back its id and its position.
    pub(in crate::demo) fn submit(
        &mut self,
        prompt: &str,
        struck: &[Fault],
        now: Instant,
        at: Timestamp,
    ) -> (String, u64) {
        self.forget(now);
        if struck.contains(&Fault::Burst) {
            self.busy_until = self.busy_until.max(now + job::place(BURST));
        }
        self.last += 1;
        let order = Order {
            number: self.last,
            prompt,
            course: Course::of(struck),
            delay: self.busy_until.saturating_duration_since(now),
            held: struck.contains(&Fault::Backup),
        };
        let job = Job::new(&order, now, at);
        let position = if let Stage::Queued { position } = job.stage(now) { position } else { 0 };
        let answer = (job.id.clone(), position);
        // A lost job costs nothing: nobody knows of it.
        if !struck.contains(&Fault::JobLost) {
            self.credits.take(now);
            self.keep(self.last, job, order.held);
        }
        answer
    }

    /// Where a job stands; none when no job of this id is remembered.
    pub(in crate::demo) fn stage(&mut self, id: &str, now: Instant) -> Option<Stage> {
        self.forget(now);
        let job = self.jobs.get(&job::number(id)?)?;
        (job.id == id).then(|| job.stage(now))
    }

    /// Ends a job before its time. Its credit comes back.
    pub(in crate::demo) fn cancel(&mut self, id: &str, now: Instant) -> Cancelled {
        self.forget(now);
        let Some(number) = job::number(id) else { return Cancelled::Unknown };
        let Some(job) = self.jobs.get_mut(&number).filter(|job| job.id == id) else { return Cancelled::Unknown };
        if matches!(job.stage(now), Stage::Ended { .. }) {
            return Cancelled::TooLate;
        }
        job.cancel(now);
        self.credits.give_back(job.refunded_at(), number);
        self.held.remove(&number);
        Cancelled::Requested
    }

    /// Lets the jobs go on that were held: the queue moves again.
    pub(in crate::demo) fn release(&mut self, now: Instant) {
        for number in std::mem::take(&mut self.held) {
            if let Some(job) = self.jobs.get_mut(&number) {
                job.release(now);
            }
        }
    }

    /// The account's credits.
    pub(in crate::demo) fn balance(&mut self, now: Instant) -> u32 {
        self.credits.balance(now)
    }

    /// The latest jobs that ended with a video, the newest first; at most [`SHELF`].
    pub(in crate::demo) fn finished(&mut self, now: Instant) -> Vec<Finished> {
        self.forget(now);
        let finished = self.jobs.values().rev().filter(|job| {
            let stage = job.stage(now);
            matches!(stage, Stage::Ended { end: End::Video, .. })
        });
        finished.take(SHELF).map(Finished::of).collect()
    }

    fn keep(&mut self, number: u64, job: Job, held: bool) {
        let now = job.submitted_at;
        if let Some(at) = job.refunded_at() {
            self.credits.give_back_at(at, number);
        }
        if held {
            self.held.insert(number);
        }
        self.jobs.insert(number, job);
        self.forget(now);
    }

    /// Forgets what is too old, and the oldest of too many. What had not ended is paid back.
    fn forget(&mut self, now: Instant) {
        loop {
            let too_many = self.jobs.len() > MOST_JOBS;
            let Some(oldest) = self.jobs.first_entry() else { return };
            if !too_many && now < oldest.get().submitted_at + LIFE {
                return;
            }
            let (number, job) = oldest.remove_entry();
            if !matches!(job.stage(now), Stage::Ended { .. }) {
                self.credits.give_back(job.refunded_at(), number);
                self.held.remove(&number);
            }
        }
    }
}

impl Finished {
    fn of(job: &Job) -> Self {
        Self { id: job.id.clone(), title: job.title.clone(), created_at: job.created_at }
    }
}

/// Strangers' jobs in a burst: 15 s.
const BURST: u64 = 300;
/// How long a job is remembered, from its submission.
pub(in crate::demo) const LIFE: Duration = Duration::from_secs(15 * 60);
/// Jobs remembered at once; one more makes the oldest forgotten.
pub(in crate::demo) const MOST_JOBS: usize = 20_000;
/// Jobs that the library lists.
const SHELF: usize = 100;

#[cfg(test)]
mod tests {
    use super::super::credits::START;
    use super::*;
    use tokio::time::advance;

    /// A work model whose time is tokio's, paused.
    struct Bench(Work);

    impl Bench {
        fn new() -> Self {
            Self(Work::new(Instant::now()))
        }

        fn submit(&mut self, struck: &[Fault]) -> String {
            self.0.submit("a red kite", struck, Instant::now(), Timestamp::UNIX_EPOCH).0
        }

        fn stage(&mut self, id: &str) -> Option<Stage> {
            self.0.stage(id, Instant::now())
        }

        fn position(&mut self, id: &str) -> Option<u64> {
            match self.stage(id) {
                Some(Stage::Queued { position }) => Some(position),
                _ => None,
            }
        }

        fn end(&mut self, id: &str) -> Option<End> {
            match self.stage(id) {
                Some(Stage::Ended { end, .. }) => Some(end),
                _ => None,
            }
        }

        fn balance(&mut self) -> u32 {
            self.0.balance(Instant::now())
        }
    }

    async fn millis(number: u64) {
        advance(Duration::from_millis(number)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_waits_half_a_second_renders_two_and_is_done() {
        let mut bench = Bench::new();
        for _ in 0..20 {
            let id = bench.submit(&[]);
            let mut positions = Vec::new();
            while let Some(position) = bench.position(&id) {
                positions.push(position);
                millis(50).await;
            }
            assert!((8..=12).contains(&positions[0]), "{positions:?}");
            assert!(positions.is_sorted_by(|a, b| a == &(b + 1)), "{positions:?}");
            assert_eq!(bench.stage(&id), Some(Stage::Rendering));
            millis(1700).await;
            assert_eq!(bench.stage(&id), Some(Stage::Rendering));
            millis(600).await;
            assert_eq!(bench.end(&id), Some(End::Video));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_a_wait_of_fifteen_seconds_that_shrinks_for_all() {
        let mut bench = Bench::new();
        let first = bench.submit(&[Fault::Burst]);
        assert!(bench.position(&first) >= Some(300));
        millis(10_000).await;
        assert!((100..=115).contains(&bench.position(&first).unwrap()));
        let behind = bench.submit(&[]);
        assert!((100..=115).contains(&bench.position(&behind).unwrap()), "who comes later waits for the rest");
        millis(5_700).await;
        for id in [first, behind] {
            assert_eq!(bench.stage(&id), Some(Stage::Rendering));
        }
        let after = bench.submit(&[]);
        assert!(bench.position(&after) <= Some(12), "the burst is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_does_not_pile_up() {
        let mut bench = Bench::new();
        for _ in 0..10 {
            let id = bench.submit(&[Fault::Burst]);
            assert!(bench.position(&id) <= Some(312));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_stands_still_moves_again_when_it_is_released() {
        let mut bench = Bench::new();
        let id = bench.submit(&[Fault::Backup]);
        millis(600_000).await;
        assert_eq!(bench.position(&id), Some(40));
        bench.0.release(Instant::now());
        assert_eq!(bench.position(&id), Some(40));
        millis(1_000).await;
        assert_eq!(bench.position(&id), Some(20));
        millis(3_500).await;
        assert_eq!(bench.end(&id), Some(End::Video));
    }

    #[tokio::test(start_paused = true)]
    async fn each_fault_has_its_end_or_none() {
        let mut bench = Bench::new();
        for (fault, stage, credits) in [
            (Fault::CrashedRunner, Some(End::Crashed), 0),
            (Fault::Refusal, Some(End::Refused), 0),
            (Fault::NoVideo, Some(End::NoVideo), 0),
            (Fault::CreditTaken, Some(End::Failed), 1),
        ] {
            let before = bench.balance();
            let id = bench.submit(&[fault]);
            assert_eq!((bench.end(&id), bench.balance()), (None, before - 1), "{fault:?}");
            millis(3_000).await;
            assert_eq!((bench.end(&id), bench.balance()), (stage, before - credits), "{fault:?}");
        }
        for (fault, stage) in [(Fault::StuckWorker, Stage::Rendering), (Fault::UnknownState, Stage::Unknown)] {
            let id = bench.submit(&[fault]);
            assert!(bench.position(&id).is_some(), "{fault:?} comes after the queue");
            millis(1_000).await;
            assert_eq!(bench.stage(&id), Some(stage));
            millis(800_000).await;
            assert_eq!(bench.stage(&id), Some(stage), "for ever");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_job_costs_nothing() {
        let mut bench = Bench::new();
        let id = bench.submit(&[Fault::JobLost]);
        assert_eq!((bench.stage(&id), bench.balance()), (None, START));
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_ends_a_job_and_gives_its_credit_back_once() {
        let mut bench = Bench::new();
        for fault in
            [None, Some(Fault::Backup), Some(Fault::StuckWorker), Some(Fault::Refusal), Some(Fault::CreditTaken)]
        {
            let id = bench.submit(fault.as_slice());
            assert_eq!(bench.balance(), START - 1);
            millis(1_000).await;
            assert_eq!(bench.0.cancel(&id, Instant::now()), Cancelled::Requested, "{fault:?}");
            assert_eq!((bench.end(&id), bench.balance()), (Some(End::Cancelled), START));
            assert_eq!(bench.0.cancel(&id, Instant::now()), Cancelled::TooLate);
            millis(60_000).await;
            bench.0.release(Instant::now());
            assert_eq!((bench.end(&id), bench.balance()), (Some(End::Cancelled), START));
        }
        assert_eq!(bench.0.cancel("nobody", Instant::now()), Cancelled::Unknown);
        assert_eq!(bench.0.finished(Instant::now()), []);
    }

    #[tokio::test(start_paused = true)]
    async fn ids_are_told_apart() {
        let mut bench = Bench::new();
        let id = bench.submit(&[]);
        assert_eq!(id.len(), 36);
        for stranger in ["", "1", "-1", "00000000-0000-4000-8000-000000000001", &id.to_uppercase(), "é-ü", &id[1..]] {
            assert_eq!(bench.stage(stranger), None, "{stranger}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_library_gets_what_is_done_the_newest_first() {
        let mut bench = Bench::new();
        let ids: Vec<_> = (0..150).map(|_| bench.submit(&[])).collect();
        bench.submit(&[Fault::Refusal]);
        assert_eq!(bench.0.finished(Instant::now()), []);
        millis(3_000).await;
        let finished = bench.0.finished(Instant::now());
        assert_eq!((finished.len(), &finished[0].id, &finished[99].id), (SHELF, &ids[149], &ids[50]));
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_are_forgotten_by_age_and_by_number() {
        let mut bench = Bench::new();
        let old = bench.submit(&[Fault::StuckWorker]);
        millis(LIFE.as_millis().try_into().unwrap()).await;
        assert_eq!((bench.stage(&old), bench.balance()), (None, START), "what never ended is paid back");
        let first = bench.submit(&[Fault::Refusal]);
        for _ in 1..MOST_JOBS {
            bench.submit(&[Fault::Refusal]);
        }
        assert!(bench.stage(&first).is_some());
        bench.submit(&[Fault::Backup]);
        assert_eq!(bench.stage(&first), None);
        for _ in 0..MOST_JOBS {
            bench.submit(&[Fault::CreditTaken]);
        }
        assert_eq!(bench.0.jobs.len(), MOST_JOBS);
        assert_eq!((bench.0.held.len(), bench.0.credits.awaited()), (0, 0));
    }
}
