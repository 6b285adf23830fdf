//! Makes one attempt: gives the prober its deadline, survives its panics, and turns what it learned into a result.
//!
//! Every way out of here is a [`ProbeResult`]; there is no error to return.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;

use super::net::RESOLVE;
use super::timeline::Timeline;
use crate::base::bounded::{printable, tidy};
use crate::base::clock::{Clock, Timestamp};
use crate::base::duration::shown;
use crate::base::secret::Scrubber;
use crate::model::measure::Kind;
use crate::model::outcome::{Failure, Outcome};
use crate::model::reason::{Blame, Reason};
use crate::model::result::{Findings, Identity, ProbeResult, Trigger};

/// How an attempt ended, before it became an [`Outcome`]: fine, fine with a warning, or (as `Err`, so that `?` leaves the
/// attempt) failed.
pub type Attempted = Result<Option<Failure>, Failure>;

/// A future that is boxed because probers of all types run through one door.
pub type Running<'prober> = Pin<Box<dyn Future<Output = Attempted> + Send + 'prober>>;

/// Something that can make an attempt.
pub trait Prober: Send + Sync {
    /// The tables of what it learns.
    fn kind(&self) -> &'static Kind;

    /// Makes one attempt on the terms of `order`. Dropping the future must end it: nothing may go on in the background.
    fn attempt<'prober>(&'prober self, order: &'prober Order, timeline: &'prober mut Timeline) -> Running<'prober>;

    /// How long an attempt may go on after its deadline to leave nothing behind, such as a paid job that must be
    /// cancelled. A prober that asks for this keeps to the deadline by itself.
    fn aftercare(&self) -> Duration {
        Duration::ZERO
    }

    /// Knows the secrets that a target might echo.
    fn scrubber(&self) -> &Scrubber;
}

/// The terms of one attempt.
#[derive(Debug, Clone)]
pub struct Order {
    /// For whom.
    pub identity: Identity,
    /// Why.
    pub trigger: Trigger,
    /// When it was due.
    pub scheduled_at: Timestamp,
    /// How late it starts.
    pub lag: Duration,
    /// The deadline, from the start.
    pub timeout: Duration,
}

/// Makes one attempt with `prober` on the terms of `order`.
pub async fn make(prober: &dyn Prober, order: Order, clock: &Clock) -> ProbeResult {
    let started_at = clock.now();
    let mut timeline = Timeline::start();
    let most = order.timeout.saturating_add(prober.aftercare());
    let attempt = AssertUnwindSafe(prober.attempt(&order, &mut timeline)).catch_unwind();
    let ended = tokio::time::timeout(most, attempt).await;
    let outcome = match ended {
        Ok(Ok(Ok(None))) => Outcome::Ok,
        Ok(Ok(Ok(Some(warning)))) => Outcome::Degraded(warning),
        Ok(Ok(Err(failure))) => Outcome::Failed(failure),
        Ok(Err(panic)) => Outcome::Failed(panicked(&order.identity, &*panic)),
        Err(_) => Outcome::Failed(timed_out(&timeline, most)),
    };
    let (took, findings) = timeline.finish();
    let outcome = if stood_still(took, most) { excused(outcome, took.saturating_sub(most)) } else { outcome };
    let Order { identity, trigger, scheduled_at, lag, timeout } = order;
    let mut result = ProbeResult {
        identity,
        kind: prober.kind(),
        trigger,
        scheduled_at,
        started_at,
        lag,
        took,
        timeout,
        outcome,
        findings,
    };
    clean(&mut result, prober.scrubber());
    result
}

/// No attempt outlives its deadline by so much unless the whole process was stopped: a paused container, a machine
/// that swaps.
fn stood_still(took: Duration, timeout: Duration) -> bool {
    took > timeout + STANDSTILL
}

/// Takes the blame from the target when it was the agent that stood still.
fn excused(outcome: Outcome, still: Duration) -> Outcome {
    match outcome {
        Outcome::Ok => Outcome::Ok,
        Outcome::Degraded(failure) | Outcome::Failed(failure) => Outcome::Failed(Failure::new(
            Reason::Agent,
            format!("the agent stood still for about {}: {}", shown(still), failure.detail),
        )),
    }
}

/// What a deadline of `timeout` says that hit where the timeline stands.
pub(super) fn timed_out(timeline: &Timeline, timeout: Duration) -> Failure {
    let timeout = shown(timeout);
    let Some((phase, since)) = timeline.current() else {
        return Failure::new(Reason::Timeout, format!("not done within {timeout}"));
    };
    let since = shown(since);
    let failure = Failure::new(
        Reason::Timeout,
        format!("not done within {timeout}: stopped in phase {phase}, which had taken {since}"),
    );
    // Before there is an address, the target was not asked anything yet.
    if phase == RESOLVE { failure.blaming(Blame::Path) } else { failure }
}

fn panicked(identity: &Identity, panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = printable(text.unwrap_or("no message"), 200);
    tracing::error!(probe = %identity.probe, panic = %text, "a prober panicked; this is a bug in forewarn, please report it");
    Failure::new(Reason::Agent, format!("the prober panicked, which is a bug in forewarn: {text}"))
}

/// Makes every text in a result printable and free of secrets, whatever the prober put there.
fn clean(result: &mut ProbeResult, scrubber: &Scrubber) {
    if let Outcome::Degraded(failure) | Outcome::Failed(failure) = &mut result.outcome {
        failure.detail = tidy(scrubber.scrub(std::mem::take(&mut failure.detail)), MAX_DETAIL);
    }
    let Findings { facts, steps, .. } = &mut result.findings;
    let texts = facts.iter_mut().map(|(_, text)| text).chain(steps.iter_mut().map(|step| &mut step.detail));
    for text in texts {
        *text = scrubber.scrub(std::mem::take(text));
    }
}

const MAX_DETAIL: usize = 400;
const STANDSTILL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    struct Scripted(fn(&mut Timeline) -> Running<'_>, Scrubber);

    const KIND: Kind =
        Kind { name: "scripted", about: "", phases: &[], measures: &[], facts: &[], series: &[], infos: &[] };

    impl Prober for Scripted {
        fn kind(&self) -> &'static Kind {
            &KIND
        }

        fn attempt<'prober>(&'prober self, _: &'prober Order, timeline: &'prober mut Timeline) -> Running<'prober> {
            (self.0)(timeline)
        }

        fn scrubber(&self) -> &Scrubber {
            &self.1
        }
    }

    async fn outcome(script: fn(&mut Timeline) -> Running<'_>) -> ProbeResult {
        let mut scrubber = Scrubber::default();
        scrubber.hide("hunter2");
        let clock = Clock::simulated("2026-01-01T00:00:00Z".parse().unwrap());
        let order = Order {
            identity: Identity {
                probe: "p".parse().unwrap(),
                surface: "s/web".parse().unwrap(),
                region: "here".into(),
            },
            trigger: Trigger::Schedule,
            scheduled_at: clock.now(),
            lag: Duration::ZERO,
            timeout: Duration::from_secs(10),
        };
        make(&Scripted(script, scrubber), order, &clock).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_names_the_phase_it_hit_and_keeps_what_was_learned() {
        let result = outcome(|timeline| {
            Box::pin(async move {
                timeline.measure("bytes", 7.0);
                timeline.enter("processing");
                std::future::pending().await
            })
        })
        .await;
        let failure = result.outcome.failure().unwrap();
        assert_eq!(failure.reason, Reason::Timeout);
        assert_eq!(failure.detail, "not done within 10.0s: stopped in phase processing, which had taken 10.0s");
        assert_eq!(result.took, Duration::from_secs(10));
        assert_eq!(result.findings.measure("bytes"), Some(7.0));
        assert_eq!(result.findings.phase("processing"), Some(Duration::from_secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_stood_still_does_not_blame_the_target() {
        // The attempt ends by itself, long after its deadline, in one poll: nothing else could run meanwhile.
        let result = outcome(|_| {
            Box::pin(async move {
                tokio::time::advance(Duration::from_secs(30)).await;
                Err(Failure::new(Reason::Slow, "the answer took 30s"))
            })
        })
        .await;
        let failure = result.outcome.failure().unwrap();
        assert_eq!((failure.reason, failure.blame.as_str()), (Reason::Agent, "agent"));
        assert!(failure.detail.starts_with("the agent stood still for about 20.0s: "), "{}", failure.detail);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_result_that_blames_the_agent() {
        let result = outcome(|_| Box::pin(async { panic!("at the {}", "disco") })).await;
        let failure = result.outcome.failure().unwrap();
        assert_eq!((failure.reason, failure.blame.as_str()), (Reason::Agent, "agent"));
        assert!(failure.detail.ends_with("at the disco"), "{}", failure.detail);
    }

    #[tokio::test(start_paused = true)]
    async fn an_echoed_secret_does_not_leave() {
        let result = outcome(|timeline| {
            Box::pin(async move {
                timeline.fact("remote", "hunter2");
                timeline.note("rule", "got hunter2");
                Err(Failure::new(Reason::Assertion, "the body says hunter2\u{1b}[31m"))
            })
        })
        .await;
        let json = serde_json::to_string(&result).unwrap();
        assert!(!json.contains("hunter2"), "{json}");
        assert!(!result.outcome.failure().unwrap().detail.contains('\u{1b}'));
    }
}
