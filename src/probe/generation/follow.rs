//! From the submission to the end of the job: asking where it stands, politely, until it ends or its time is over.
//!
//! One bad answer says nothing about a job. A state that nobody knows is a state of waiting.

use std::time::Duration;

use super::called::called;
use super::kind::{QUEUE, RENDER};
use super::pace::FLOOR;
use super::run::{Attempt, Trouble, stopping};
use super::state::{Known, Reading, Unknown};
use super::submit::{Submitted, told};
use crate::base::clock::Instant;
use crate::base::duration::{HumanDuration, shown};
use crate::model::outcome::Failure;
use crate::model::reason::{Blame, Reason};
use crate::probe::api::answer::Answer;
use crate::probe::api::caller::Manner;

/// Bad answers in a row.
#[derive(Default)]
pub(super) struct Streak {
    count: u32,
    /// How many of them said for sure that asking is no use.
    definite: u32,
    last: Option<Failure>,
    /// The last unknown state, told once.
    unknown: Option<String>,
    hint: Option<Duration>,
    /// When it was asked for the last time.
    asked: Option<Instant>,
}

impl Attempt<'_> {
    /// Follows the job to its good end; gives back the answer that says so.
    pub(super) async fn follow(&mut self, submitted: Option<Submitted>) -> Result<Answer, Trouble> {
        if let Some(Submitted { answer, state }) = submitted {
            self.note_position(&answer);
            if let Some(state) = state
                && let Some(answer) = self.enter(state, answer)?
            {
                return Ok(answer);
            }
            self.report();
        }
        let mut streak = Streak::default();
        if let Some(answer) = self.follow_stream(&mut streak).await? {
            return Ok(answer);
        }
        let job = self.values.values().next().cloned().unwrap_or_default();
        for number in 0.. {
            let usual = self.prober.settings.poll.wait(&job, number, streak.hint.take());
            // Of a job that was taken over nothing is known, and there may be little time left for it.
            let pause = if number == 0 && self.taken_over.is_some() { Duration::ZERO } else { usual };
            let told = self.pause(pause, &mut streak).await?;
            let answer = match told {
                Some(answer) => Some(answer),
                None => self.ask(&mut streak).await?,
            };
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
        // A counter of 32 bits at four questions a second lasts for 34 years.
        Err(Trouble::open(Failure::new(Reason::Agent, "asked too often")))
    }

    /// Waits for the next question, unless the time is over before or the job is to be given up. A callback ends the wait:
    /// with the answer, if that says that the job came to a good end.
    async fn pause(&mut self, pause: Duration, streak: &mut Streak) -> Result<Option<Answer>, Trouble> {
        let next = Instant::now() + pause;
        let end = self.end();
        let callback = tokio::select! {
            biased;
            () = self.seat.recalled() => return Err(Trouble::open(stopping("the job is given up"))),
            callback = called(&mut self.line) => Some(callback),
            () = tokio::time::sleep_until(next.min(end)) => None,
        };
        let now = Instant::now();
        if now >= end {
            return Err(Trouble::open(self.expired(streak)));
        }
        if let Some(callback) = callback {
            let taken = tokio::time::timeout_at(end, self.take_callback(callback, streak)).await;
            let answer = taken.unwrap_or(Ok(None))?;
            if answer.is_none() {
                // Whoever calls in vain does not make the agent impolite.
                let polite = streak.asked.map_or(now, |asked| asked + FLOOR);
                tokio::time::sleep_until(polite.min(end)).await;
            }
            return Ok(answer);
        }
        self.prober.desk().asked_late_by(now.saturating_duration_since(next));
        Ok(None)
    }

    /// Asks once; the answer, if it says that the job came to a good end.
    async fn ask(&mut self, streak: &mut Streak) -> Result<Option<Answer>, Trouble> {
        self.counts.polls += 1;
        streak.asked = Some(Instant::now());
        let prober = self.prober;
        let limit = (self.end() - Instant::now()).min(prober.poll.limit(ASK_LIMIT)).max(Duration::from_millis(1));
        let max_body = if prober.settings.answers_with_media() { MEDIA_ANSWER } else { crate::probe::api::MAX_ANSWER };
        let manner = Manner { reuse: true, max_body, ..prober.manner(limit) };
        let called = tokio::select! {
            biased;
            () = self.seat.recalled() => return Err(Trouble::open(stopping("the job is given up"))),
            called = prober.caller.call(&prober.poll, &self.values, manner) => called,
        };
        let answer = match called {
            Ok(called) => called.answer,
            // What the submission's answer gave will not get better.
            Err(unanswered) if !unanswered.made => return Err(Trouble::open(told("poll", unanswered.failure))),
            Err(unanswered) => {
                self.bad(streak, told("poll", unanswered.failure), None)?;
                return Ok(None);
            }
        };
        streak.hint = answer.retry_after(prober.shared.clock.now());
        if !prober.poll.accepts(answer.status) && !prober.settings.state.is_told_by(answer.status) {
            let failure = told("poll", prober.refusal(&prober.poll, &answer));
            if failure.reason == Reason::ContentRefused {
                return Err(Trouble::over(failure));
            }
            self.bad(streak, failure, Some(answer.status))?;
            return Ok(None);
        }
        self.heard(answer, streak)
    }

    /// Takes in an answer about the job.
    pub(super) fn heard(&mut self, answer: Answer, streak: &mut Streak) -> Result<Option<Answer>, Trouble> {
        (streak.count, streak.definite, streak.last) = (0, 0, None);
        self.note_position(&answer);
        match self.prober.settings.state.read(&answer) {
            Reading::Known(known) => {
                self.waiting = known == Known::Queued;
                let answer = self.enter(known, answer)?;
                if answer.is_none() {
                    self.report();
                }
                Ok(answer)
            }
            Reading::Unknown(state) => {
                self.waiting = false;
                self.counts.unknown_states += 1;
                if self.prober.settings.state.unknown == Unknown::Failed {
                    let detail = format!("the state `{state}` is not known, which `unknown: failed` makes a failure");
                    return Err(Trouble::open(Failure::new(Reason::JobFailed, detail)));
                }
                if streak.unknown.as_deref() != Some(&*state) {
                    self.timeline.note("unknown state", format!("`{state}`: taken for one of waiting"));
                    streak.unknown = Some(state);
                }
                self.report();
                Ok(None)
            }
        }
    }

    /// The job is in a state that is known; the answer again, if that is its good end.
    fn enter(&mut self, known: Known, answer: Answer) -> Result<Option<Answer>, Trouble> {
        let now = Instant::now();
        match known {
            Known::Queued => {
                self.last_queued = now;
                if self.stage() == RENDER {
                    self.timeline.enter_since(QUEUE, now, "sent back to the queue");
                }
            }
            Known::Running if self.stage() == QUEUE => self.timeline.enter_since(RENDER, now, self.queue_words()),
            Known::Running => {}
            Known::Succeeded => {
                self.done();
                self.spans = self.prober.settings.marks.spans(&answer);
                return Ok(Some(answer));
            }
            Known::Failed | Known::Cancelled => {
                self.done();
                self.spans = self.prober.settings.marks.spans(&answer);
                return Err(Trouble::over(self.failed(known, &answer)));
            }
        }
        Ok(None)
    }

    /// A job that was never seen being worked on waited until it was last seen waiting.
    fn done(&mut self) {
        if self.stage() == QUEUE {
            let words = self.queue_words();
            self.timeline.enter_since(RENDER, self.last_queued, words);
        }
        let words = match self.counts.polls {
            0 => "done in the first answer".to_owned(),
            1 => "asked once".to_owned(),
            polls => format!("asked {polls} times"),
        };
        self.timeline.leave(words);
    }

    fn failed(&self, known: Known, answer: &Answer) -> Failure {
        if let Some(failure) = self.prober.classified(answer) {
            return failure;
        }
        let words = answer.words(&self.prober.settings.error_text);
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        let what = if known == Known::Cancelled { "the service cancelled the job" } else { "the job failed" };
        Failure::new(Reason::JobFailed, format!("{what}{words}"))
    }

    /// Counts a bad answer; the job is given up when a service says three times in a row that asking is no use.
    pub(super) fn bad(&mut self, streak: &mut Streak, failure: Failure, status: Option<u16>) -> Result<(), Trouble> {
        self.counts.poll_failures += 1;
        streak.count += 1;
        let is_refusal = status.is_some_and(|status| (400..500).contains(&status) && !PASSING.contains(&status));
        let is_definite = is_refusal || failure.blame == Blame::Agent;
        streak.definite = if is_definite { streak.definite + 1 } else { 0 };
        if streak.count == 1 {
            self.timeline.note("poll", failure.detail.clone());
        }
        if streak.definite >= SURE {
            let is_lost = matches!(status, Some(404 | 410));
            let failure = if is_lost {
                Trouble::over(Failure::new(
                    Reason::JobLost,
                    format!("the service no longer knows the job: {}", failure.detail),
                ))
            } else {
                Trouble::open(failure)
            };
            return Err(failure);
        }
        streak.last = Some(failure);
        Ok(())
    }

    /// When the job's time is over, in the stage that it is in.
    pub(super) fn end(&self) -> Instant {
        // A state that nobody knows is no proof of waiting.
        let queue = self.queue_deadline().filter(|_| self.waiting && self.stage() == QUEUE);
        queue.map_or(self.deadline, |queue| queue.min(self.deadline))
    }

    fn queue_deadline(&self) -> Option<Instant> {
        let limit = self.prober.settings.queue_deadline?.get();
        if self.taken_over.is_some() {
            // It is asked about once, however late it is.
            return Some((self.since + limit).max(self.timeline.started() + ASK_LIMIT.min(limit)));
        }
        // A job that was sent back to the queue has what is left.
        let waited = self.timeline.findings().phase(QUEUE).unwrap_or_default();
        let (_, here) = self.timeline.current().filter(|(stage, _)| *stage == QUEUE)?;
        Some(Instant::now() + limit.saturating_sub(waited).saturating_sub(here))
    }

    pub(super) fn stage(&self) -> &'static str {
        self.timeline.current().map_or(QUEUE, |(stage, _)| stage)
    }

    /// What it means that the time is over.
    pub(super) fn expired(&self, streak: &Streak) -> Failure {
        if streak.count >= SURE
            && let Some(last) = &streak.last
        {
            let detail = format!(
                "{}; the last {} questions went like this, and the job's time is over",
                last.detail, streak.count
            );
            return Failure { detail, ..last.clone() };
        }
        let (stage, since) = self.timeline.current().unwrap_or((QUEUE, Duration::ZERO));
        let place = self.position.filter(|_| stage == QUEUE);
        let place = place.map(|position| format!(", at position {position}")).unwrap_or_default();
        let is_queue = stage == QUEUE && self.waiting && Instant::now() < self.deadline;
        if let Some(limit) = self.prober.settings.queue_deadline.filter(|_| is_queue) {
            return Failure::new(Reason::QueueStuck, format!("still queued after {limit}{place}"));
        }
        let timeout = HumanDuration(self.order.timeout);
        let doing = match &streak.unknown {
            Some(strange) if !self.waiting && stage == QUEUE => format!("in the unknown state `{strange}`"),
            _ if stage == QUEUE => "queued".to_owned(),
            _ => "being worked on".to_owned(),
        };
        let since = shown(since);
        Failure::new(Reason::JobExpired, format!("not done within {timeout}: {doing} for {since}{place}"))
    }

    fn note_position(&mut self, answer: &Answer) {
        let Some(path) = &self.prober.settings.position else { return };
        let found = answer.json().and_then(|json| path.select(json).first().copied());
        let found = found.and_then(|value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()));
        if let Some(position) = found.filter(|position| position.is_finite()) {
            self.position = Some(position);
        }
    }

    /// Lets the desk know where the job stands. What is being worked on has no place in the queue.
    fn report(&self) {
        let stage = self.stage();
        self.seat.report(stage, self.position.filter(|_| stage == QUEUE));
    }

    fn queue_words(&self) -> String {
        self.position.map(|position| format!("last at position {position}")).unwrap_or_default()
    }
}

/// The longest that one question may take, unless it says otherwise.
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// Room for a video in the answer that says that it is done.
const MEDIA_ANSWER: crate::base::size::ByteSize = crate::base::size::ByteSize(64 << 20);
/// Statuses between 400 and 499 that pass: timeout, too early, too many requests.
const PASSING: [u16; 3] = [408, 425, 429];
/// How many times in a row a service must say the same to be believed.
const SURE: u32 = 3;
