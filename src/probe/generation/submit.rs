//! The submission: money first, then the request, once, then what the answer gives.
//!
//! Never sends anything twice. What is charged is taken back only when the service cannot have taken the job.

use std::time::Duration;

use url::Url;

use super::kind::{QUEUE, SUBMIT};
use super::run::{Attempt, Trouble, stopping, unkept};
use super::state::Known;
use crate::base::bounded::printable;
use crate::base::clock::Instant;
use crate::model::job::{Opened, Opening};
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::answer::Answer;
use crate::probe::api::caller::Unanswered;

/// What the answer to a submission says.
pub(super) struct Submitted {
    /// The answer.
    pub(super) answer: Answer,
    /// Where the job stands, if the answer says so.
    pub(super) state: Option<Known>,
}

impl Attempt<'_> {
    /// Submits the job.
    pub(super) async fn submit(&mut self) -> Result<Submitted, Trouble> {
        let at = self.prober.shared.clock.now();
        self.charge(at).await.map_err(Trouble::over)?;
        if self.seat.is_recalled() {
            self.refund = true;
            return Err(Trouble::over(stopping("no job is submitted")));
        }
        self.open_line().await.map_err(|failure| {
            self.refund = true;
            Trouble::over(failure)
        })?;
        self.seat.report(SUBMIT, None);
        self.since = Instant::now();
        self.timeline.enter(SUBMIT);
        let call = &self.prober.settings.submit;
        let limit = call.limit(SUBMIT_LIMIT).min(self.deadline - Instant::now());
        let called = self.prober.caller.call(call, &self.values, self.prober.manner(limit)).await;
        let called = match called {
            Ok(called) => called,
            Err(Unanswered { failure, sent, .. }) => {
                self.refund = !sent;
                let detail = if sent { "; whether a job was started cannot be told" } else { "" };
                return Err(Trouble::over(Failure {
                    detail: format!("submit: {}{detail}", failure.detail),
                    ..failure
                }));
            }
        };
        let answer = called.answer;
        if !call.accepts(answer.status) {
            // Behind a redirect the status is another request's, and the job may have been taken.
            self.refund = !called.redirected && REFUSED_WITHOUT_COST.contains(&answer.status);
            return Err(Trouble::over(told("submit", self.prober.refusal(call, &answer))));
        }
        self.timeline.leave(format!("{} ({})", answer.status, called.phases));
        self.take(&answer, &called.url)?;
        self.accepted = true;
        self.remember(at);
        self.write_down().await;
        self.last_queued = Instant::now();
        self.seat.report(QUEUE, None);
        self.timeline.enter(QUEUE);
        if let Some(failure) = self.prober.classified_at_once(&answer) {
            return Err(Trouble::open(told("submit", failure)));
        }
        let state = self.prober.settings.state.read_submission(&answer);
        Ok(Submitted { answer, state })
    }

    /// Counts what the job costs, and remembers that it is about to be submitted.
    async fn charge(&mut self, at: crate::base::clock::Timestamp) -> Result<(), Failure> {
        let probe = &self.order.identity.probe;
        let desk = self.prober.desk();
        let charge = self.prober.settings.budget.as_ref().map(|budget| budget.charge(probe, desk));
        let unit = charge.as_ref().map(|charge| charge.unit.clone()).unwrap_or_default();
        let opening = Opening { probe: probe.clone(), at, charge };
        match desk.ledger().open(opening).await.map_err(|error| unkept(&error))? {
            Opened::Ticket(ticket) => {
                self.ticket = Some(ticket);
                Ok(())
            }
            Opened::Exhausted { account, spent } => {
                let limit = account.per_day;
                let name = account.name;
                let detail = format!(
                    "{spent} of {limit} {unit} a day are spent ({name}); nothing was submitted, and nothing will be until \
                     the next day begins (UTC)"
                );
                Err(Failure::new(Reason::Budget, detail))
            }
        }
    }

    /// Takes out of the answer what later requests need.
    fn take(&mut self, answer: &Answer, from: &Url) -> Result<(), Trouble> {
        let mut unusable = None;
        for (name, extract) in &self.prober.settings.job {
            match extract.value(answer, &self.prober.shared.regexes) {
                Ok(None) => {}
                Ok(Some(value)) => {
                    // A location may be relative (RFC 9110 §10.2.2).
                    let absolute = extract.is_location().then(|| from.join(&value).ok()).flatten();
                    self.values.insert(name.clone(), absolute.map_or(value, String::from));
                }
                // The job is paid for: it is followed with what there is, unless just this is needed.
                Err(failure) => {
                    self.timeline.note("job", failure.detail.clone());
                    unusable.get_or_insert(failure);
                }
            }
        }
        if self.kept().is_empty() && !self.prober.settings.job.is_empty() {
            let names: Vec<_> = self.prober.settings.job.keys().map(String::as_str).collect();
            let got = answer.words(&[]).or_else(|| answer.json().map(|json| printable(&json.to_string(), 80)));
            let got = got.map(|got| format!(": {got}")).unwrap_or_default();
            let detail = format!("the answer gives none of {}{got}", names.join(", "));
            let unusable = unusable.unwrap_or_else(|| Failure::new(Reason::Protocol, detail));
            let failure = self.prober.classified(answer).unwrap_or(unusable);
            return Err(Trouble::over(told("submit", failure)));
        }
        Ok(())
    }

    /// Writes down what it takes to follow the job after a restart. A job that cannot be written down is followed all the
    /// same; it is only lost if the agent ends before it does.
    async fn write_down(&mut self) {
        let Some(ticket) = self.ticket else { return };
        if let Err(error) = self.prober.desk().ledger().accepted(ticket, self.kept()).await {
            let probe = &self.order.identity.probe;
            tracing::warn!(%probe, %error, "the job cannot be written down; it would be lost in a restart");
        }
    }
}

/// A failure that says at which step it came.
pub(super) fn told(step: &str, mut failure: Failure) -> Failure {
    failure.detail = format!("{step}: {}", failure.detail);
    failure
}

/// The longest that a submission may take, unless it says otherwise.
const SUBMIT_LIMIT: Duration = Duration::from_secs(30);
/// Statuses with which a service says that it took no job. Others may cost: fal charges for some 422.
const REFUSED_WITHOUT_COST: [u16; 8] = [401, 402, 403, 404, 405, 413, 415, 429];
