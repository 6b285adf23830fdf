//! The `generation` prober: one attempt from the first question about money to the last note in the ledger.
//!
//! The stages themselves stand in files of their own. Whatever happens, a job that may still run is cancelled, and the
//! ledger knows of it until then.

use std::sync::Arc;
use std::time::Duration;

use super::credits::lost;
use super::desk::{Desk, Seat};
use super::kind::{
    BALANCE, CREDITS_LOST, JOB, KIND, POLL_FAILURES, POLLS, POSITION, QUEUE, RENDER, SPENT, STAGES, TOTAL,
    UNKNOWN_STATES,
};
use super::marks::Spans;
use super::webhook::receive::Line;
use super::{Generation, Warn};
use crate::base::clock::Instant;
use crate::base::duration::{HumanDuration, shown};
use crate::base::secret::Scrubber;
use crate::model::job::{Leftover, Ticket};
use crate::model::measure::Kind;
use crate::model::outcome::Failure;
use crate::model::reason::{Blame, Reason};
use crate::probe::api::Call;
use crate::probe::api::answer::Answer;
use crate::probe::api::caller::{Caller, Manner};
use crate::probe::api::template::Values;
use crate::probe::attempt::{Attempted, Order, Prober, Running};
use crate::probe::net::shared::Shared;
use crate::probe::timeline::Timeline;

/// Makes the attempts of one `generation` probe.
pub struct GenerationProber {
    pub(super) settings: Arc<Generation>,
    pub(super) caller: Caller,
    pub(super) shared: Arc<Shared>,
    /// The question about a job's state.
    pub(super) poll: Call,
    /// The keys of those who sign callbacks, and since when they are known.
    pub(super) keys: tokio::sync::Mutex<Option<(Instant, Vec<Vec<u8>>)>>,
    scrubber: Scrubber,
}

/// One attempt under way.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one job, none of them a state")]
pub(super) struct Attempt<'run> {
    pub(super) prober: &'run GenerationProber,
    pub(super) order: &'run Order,
    pub(super) timeline: &'run mut Timeline,
    pub(super) seat: Seat,
    /// Where the service calls when the job has ended.
    pub(super) line: Option<Line>,
    /// When the job was submitted.
    pub(super) since: Instant,
    /// When it must be done.
    pub(super) deadline: Instant,
    /// What the answer to the submission gave.
    pub(super) values: Values,
    /// The job's entry in the ledger, and whether its charge is to be taken back.
    pub(super) ticket: Option<Ticket>,
    pub(super) refund: bool,
    pub(super) accepted: bool,
    /// Whether the service owes the job's credit: it ended the job without a video, or was told in time to give it up.
    pub(super) owed: bool,
    pub(super) counts: Counts,
    pub(super) position: Option<f64>,
    pub(super) spans: Spans,
    /// Whether the service says that the job waits, or has said nothing yet of a job that was just submitted.
    pub(super) waiting: bool,
    /// When the job was known to wait for the last time.
    pub(super) last_queued: Instant,
    /// How old the job was when this attempt took it over.
    pub(super) taken_over: Option<Duration>,
}

/// What is counted on the way.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) polls: u32,
    pub(super) poll_failures: u32,
    pub(super) unknown_states: u32,
}

/// Why a job did not come to a good end.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) failure: Failure,
    /// Whether the service has nothing more to do with the job, so that there is nothing to cancel.
    pub(super) over: bool,
}

impl Trouble {
    /// The service has done with the job.
    pub(super) const fn over(failure: Failure) -> Self {
        Self { failure, over: true }
    }

    /// The service may still work on the job.
    pub(super) const fn open(failure: Failure) -> Self {
        Self { failure, over: false }
    }
}

impl GenerationProber {
    /// A prober by these settings.
    #[must_use]
    pub fn new(settings: Arc<Generation>, shared: &Arc<Shared>) -> Self {
        let url = || super::place_of("status_url");
        let poll = settings.poll.call().unwrap_or_else(|| Call { url: url(), ..settings.submit.clone() });
        Self {
            caller: Caller::new(&settings.connection(), Some(&settings.submit), shared),
            shared: Arc::clone(shared),
            poll,
            keys: tokio::sync::Mutex::default(),
            scrubber: settings.scrubber(),
            settings,
        }
    }

    pub(super) fn desk(&self) -> &Arc<Desk> {
        &self.shared.desk
    }

    /// How a request of this probe is made, within `limit`.
    pub(super) fn manner(&self, limit: Duration) -> Manner<'_> {
        Manner { inherited: Some(&self.settings.submit.headers), ..Manner::alone(limit) }
    }

    /// What rules or its status make of an answer that was not expected.
    pub(super) fn refusal(&self, call: &Call, answer: &Answer) -> Failure {
        self.classified(answer).unwrap_or_else(|| answer.refusal(call, &self.settings.error_text))
    }

    /// What rules make of the answer to a submission that was accepted. What it lacks may come yet.
    pub(super) fn classified_at_once(&self, answer: &Answer) -> Option<Failure> {
        let Generation { classify, error_text, .. } = &*self.settings;
        let rules: Vec<_> = classify.iter().filter(|rule| !rule.absent).cloned().collect();
        crate::probe::api::classify::classified(&rules, answer, error_text, &self.shared.regexes)
    }

    /// What rules make of an answer.
    pub(super) fn classified(&self, answer: &Answer) -> Option<Failure> {
        let Generation { classify, error_text, .. } = &*self.settings;
        crate::probe::api::classify::classified(classify, answer, error_text, &self.shared.regexes)
    }

    async fn run(&self, order: &Order, timeline: &mut Timeline) -> Attempted {
        let desk = self.desk();
        desk.recovered().await.map_err(|error| unkept(&error))?;
        let leftover = self.leftover(order, timeline).await;
        let before = match &self.settings.credits {
            Some(credits) if leftover.is_none() => Some(self.balance(credits).await),
            _ => None,
        };
        if let Some(Ok(balance)) = before {
            timeline.measure(BALANCE, balance);
        }
        let mut attempt = self.begin(order, timeline, leftover)?;
        let ended = attempt.work().await;
        let ended = attempt.conclude(ended).await;
        let unknown = before.as_ref().and_then(|before| before.as_ref().err()).map(|failure| Failure {
            detail: format!("the account's balance cannot be told: {}", failure.detail),
            ..failure.clone()
        });
        let owed = attempt.owed;
        // The job is over, and is not seen any more while its credit is waited for.
        drop(attempt);
        match ended {
            Ok(warning) => Ok(warning.or(unknown)),
            Err(failure) => Err(self.account_for(failure, owed, before, timeline).await),
        }
    }

    /// A job that an earlier attempt or agent left, and that can be followed.
    async fn leftover(&self, order: &Order, timeline: &mut Timeline) -> Option<Leftover> {
        let probe = &order.identity.probe;
        loop {
            let leftover = self.desk().leftover(probe)?;
            if leftover.values.is_some() {
                return Some(leftover);
            }
            let at = leftover.opened_at;
            tracing::warn!(%probe, submitted_at = %at, "the agent ended while a job was being submitted: whether the service took it cannot be told; what it costs stays counted");
            timeline.note("ledger", format!("a job submitted at {at} was lost sight of; what it costs stays counted"));
            if let Err(error) = self.desk().ledger().close(leftover.ticket, false).await {
                tracing::warn!(%probe, %error, "the ledger cannot be written");
            }
        }
    }

    /// Takes a seat for a job that begins, or that is taken over.
    fn begin<'run>(
        &'run self,
        order: &'run Order,
        timeline: &'run mut Timeline,
        leftover: Option<Leftover>,
    ) -> Result<Attempt<'run>, Failure> {
        let start = timeline.started();
        let age = leftover.as_ref().map(|leftover| {
            let age = self.shared.clock.now().duration_since(leftover.opened_at);
            Duration::try_from(age).unwrap_or(Duration::ZERO)
        });
        let since = age.and_then(|age| start.checked_sub(age)).unwrap_or(start);
        let seat = self.desk().sit(&order.identity, since).ok_or_else(|| stopping("no job is begun"))?;
        let mut attempt = Attempt {
            prober: self,
            order,
            timeline,
            seat,
            line: None,
            since,
            // A job that was taken over is asked about at least once, however late it is.
            deadline: (since + order.timeout).max(start + LAST_LOOK.min(order.timeout)),
            values: Values::new(),
            ticket: None,
            refund: false,
            accepted: false,
            owed: false,
            counts: Counts::default(),
            position: None,
            spans: Spans::default(),
            waiting: age.is_none(),
            last_queued: start,
            taken_over: age,
        };
        if let Some(leftover) = leftover {
            attempt.take_over(leftover);
        }
        Ok(attempt)
    }

    /// Looks whether a failed job's credit came back.
    async fn account_for(
        &self,
        failure: Failure,
        owed: bool,
        before: Option<Result<f64, Failure>>,
        timeline: &mut Timeline,
    ) -> Failure {
        let (Some(credits), Some(Ok(before))) = (&self.settings.credits, before) else { return failure };
        // What the service refused for its content, it may keep.
        if !credits.refunded_on_failure || !owed || failure.blame == Blame::Agent {
            return failure;
        }
        match self.missing_credit(credits, before).await {
            None => failure,
            Some(missing) => {
                timeline.measure(CREDITS_LOST, missing);
                lost(missing, credits.patience(), &failure)
            }
        }
    }
}

impl Attempt<'_> {
    /// From the submission to the checked video.
    async fn work(&mut self) -> Result<Option<Failure>, Trouble> {
        let submitted = match self.taken_over {
            Some(_) => None,
            None => Some(Box::pin(self.submit()).await?),
        };
        let followed = self.follow(submitted).await;
        self.owed = followed.as_ref().is_err_and(|trouble| trouble.over);
        // Boxed, like the submission: most of the time a job waits, and what it does before and after takes no room then.
        Box::pin(self.finish(followed?)).await
    }

    fn take_over(&mut self, leftover: Leftover) {
        let at = leftover.opened_at;
        self.timeline.note("taken over", format!("a job that was submitted at {at}, by an agent that ended since"));
        self.values = leftover.values.into_iter().flatten().collect();
        self.ticket = Some(leftover.ticket);
        self.accepted = true;
        self.remember(leftover.opened_at);
        self.seat.report(QUEUE, None);
        self.timeline.enter(QUEUE);
    }

    /// Lets the desk know what it takes to follow the job, should this attempt go away.
    pub(super) fn remember(&mut self, opened_at: crate::base::clock::Timestamp) {
        let Some(ticket) = self.ticket else { return };
        let values = self.kept();
        let job = self.values.get("id").or_else(|| values.first().map(|(_, value)| value)).cloned().unwrap_or_default();
        // It may be an address, whose query carries a token.
        let job = job.split('?').next().unwrap_or_default().to_owned();
        self.timeline.fact(JOB, &job);
        let probe = self.order.identity.probe.clone();
        self.seat.remember(&job, Leftover { ticket, probe, opened_at, values: Some(values) });
    }

    /// What it takes to follow the job, by name. Where the service calls is of no use to another agent.
    pub(super) fn kept(&self) -> Vec<(String, String)> {
        let values = self.values.iter().filter(|(name, _)| *name != super::WEBHOOK_URL);
        values.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Cancels what may still run, forgets the job, and puts down what was learned.
    async fn conclude(&mut self, ended: Result<Option<Failure>, Trouble>) -> Attempted {
        self.timeline.leave("");
        self.record();
        let is_open = ended.as_ref().is_err_and(|trouble| !trouble.over);
        let mut forget = true;
        if self.accepted && is_open {
            forget = self.cancel().await;
        } else if self.accepted {
            self.clean_up().await;
        }
        if forget {
            let ticket = self.seat.settle().or(self.ticket);
            if let Some(ticket) = ticket {
                self.close(ticket).await;
            }
        }
        match ended {
            Ok(warning) => Ok(warning.or_else(|| self.slow(&self.prober.settings.warn))),
            Err(trouble) => Err(trouble.failure),
        }
    }

    async fn close(&mut self, ticket: Ticket) {
        if let Err(error) = self.prober.desk().ledger().close(ticket, self.refund).await {
            let probe = &self.order.identity.probe;
            tracing::warn!(%probe, %error, "the ledger cannot be written; the job will be looked at again after a restart");
        }
    }

    /// Asks the service to give the job up. False when nobody can tell whether it did, so that it stays remembered.
    async fn cancel(&mut self) -> bool {
        let Some(cancel) = &self.prober.settings.cancel else { return true };
        let end = Instant::now() + CANCEL_LIMIT;
        loop {
            let manner = self.prober.manner(end - Instant::now());
            let called = self.prober.caller.call(cancel, &self.values, manner).await;
            // What the service gave makes no request, and will not later.
            let is_hopeless = called.as_ref().is_err_and(|unanswered| !unanswered.made);
            let (status, words) = match called {
                Ok(called) if cancel.accepts(called.answer.status) => {
                    let status = called.answer.status;
                    (Some(status), format!("the service answered {status}"))
                }
                Ok(called) => (Some(called.answer.status), called.answer.refusal(cancel, &[]).detail),
                Err(unanswered) => (None, unanswered.failure.detail),
            };
            self.owed = status.is_some_and(|status| cancel.accepts(status));
            // What is not there or has ended needs no cancelling.
            let done = self.owed || matches!(status, Some(404 | 409 | 410));
            if done || is_hopeless || Instant::now() + CANCEL_AGAIN >= end {
                self.timeline.note("cancel", words);
                return done || self.gives_up_cancelling();
            }
            tokio::time::sleep(CANCEL_AGAIN).await;
        }
    }

    /// What becomes of a job that could not be cancelled: one past its time is not worth another attempt; one that was
    /// recalled stays remembered.
    fn gives_up_cancelling(&self) -> bool {
        let (probe, job) = (&self.order.identity.probe, self.timeline.findings().fact(JOB));
        tracing::warn!(%probe, job, "the job could not be cancelled; it may go on at the service and cost");
        !self.seat.is_recalled()
    }

    async fn clean_up(&mut self) {
        let Some(cleanup) = &self.prober.settings.cleanup else { return };
        let called = self.prober.caller.call(cleanup, &self.values, self.prober.manner(CANCEL_LIMIT)).await;
        let words = match called {
            Ok(called) => format!("the service answered {}", called.answer.status),
            Err(unanswered) => unanswered.failure.detail,
        };
        self.timeline.note("cleanup", words);
    }

    /// Puts down how long the stages took, and what was counted.
    fn record(&mut self) {
        let phases: Vec<_> = self.timeline.findings().phases.clone();
        for (stage, took) in phases {
            // Of a job that was taken over, only the service's own marks tell how long it waited.
            let observed = (self.taken_over.is_none() || !matches!(stage, QUEUE | RENDER)).then_some(took);
            let marked = match stage {
                QUEUE => self.spans.queue,
                RENDER => self.spans.render,
                _ => None,
            };
            if let Some(took) = marked.or(observed).filter(|_| STAGES.contains(&stage)) {
                self.timeline.measure(stage, took.as_secs_f64());
            }
        }
        if self.taken_over.is_none() {
            self.timeline.measure(TOTAL, self.since.elapsed().as_secs_f64());
        }
        if let Some(position) = self.position {
            self.timeline.measure(POSITION, position);
        }
        let Counts { polls, poll_failures, unknown_states } = self.counts;
        self.timeline.measure(POLLS, f64::from(polls));
        self.timeline.measure(POLL_FAILURES, f64::from(poll_failures));
        self.timeline.measure(UNKNOWN_STATES, f64::from(unknown_states));
        if let Some(budget) = &self.prober.settings.budget
            && self.ticket.is_some()
            && self.taken_over.is_none()
            && !self.refund
        {
            self.timeline.measure(SPENT, budget.per_run.units());
        }
    }

    /// The first stage that took longer than it should.
    fn slow(&self, warn: &Warn) -> Option<Failure> {
        let limits = [warn.submit, warn.queue, warn.render, warn.result, warn.download, warn.total];
        let stages = STAGES.into_iter().chain([TOTAL]).zip(limits);
        stages.filter_map(|(stage, limit)| Some((stage, limit?))).find_map(|(stage, limit): (_, HumanDuration)| {
            let took = Duration::try_from_secs_f64(self.timeline.findings().measure(stage)?).ok()?;
            let what = if stage == TOTAL { "the job" } else { stage };
            (took > limit.get())
                .then(|| Failure::new(Reason::Slow, format!("{what} took {}, expected {limit} at most", shown(took))))
        })
    }
}

impl Prober for GenerationProber {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn attempt<'prober>(&'prober self, order: &'prober Order, timeline: &'prober mut Timeline) -> Running<'prober> {
        Box::pin(self.run(order, timeline))
    }

    fn aftercare(&self) -> Duration {
        let credits = self.settings.credits.as_ref().filter(|credits| credits.refunded_on_failure);
        let refund = credits.map_or(Duration::ZERO, |credits| credits.patience() + CANCEL_LIMIT);
        CANCEL_LIMIT * 2 + refund
    }

    fn scrubber(&self) -> &Scrubber {
        &self.scrubber
    }
}

/// What it means that the ledger cannot be kept: no money is spent that cannot be counted.
pub(super) fn unkept(error: &str) -> Failure {
    Failure::new(Reason::Agent, format!("nothing is submitted, since money and jobs cannot be written down: {error}"))
}

/// What it means that the agent stops, or that the probe is gone.
pub(super) fn stopping(what: &str) -> Failure {
    Failure::new(Reason::Skipped, format!("the agent is stopping or the probe was removed: {what}"))
}

/// The longest that giving a job up may take.
pub(super) const CANCEL_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait before asking again to give a job up.
const CANCEL_AGAIN: Duration = Duration::from_secs(1);
/// How long a job that was taken over is looked at, at least.
const LAST_LOOK: Duration = Duration::from_secs(15);
