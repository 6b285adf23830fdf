//! The account's balance before and after a job: credits taken for a video that never came.
//!
//! Only as true as the account is quiet: whoever else spends from it moves the balance too.

use std::time::Duration;

use super::run::GenerationProber;
use crate::base::clock::Instant;
use crate::base::duration::{HumanDuration, shown};
use crate::model::money::Amount;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::call_settings;
use crate::probe::api::caller::Manner;
use crate::probe::api::template::Values;
use crate::probe::pattern::JsonPath;

call_settings! {
    /// The account's balance, asked for before the submission and after the end. Use an account of the probe's own: whatever
    /// else spends from it is seen too.
    pub struct Credits {
        /// Where the answer holds the balance, as a number.
        pub balance: JsonPath,
        /// Whether the service gives a failed job's credit back. If it does not come back, the failure is `credits_lost`.
        #[serde(default)]
        pub refunded_on_failure: bool,
        /// How long after the failure the credit may take to come back; 1m unless given.
        pub refund_within: Option<HumanDuration>,
    }
}

impl Credits {
    /// How long the credit may take to come back.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.refund_within.map_or(PATIENCE, HumanDuration::get)
    }
}

impl GenerationProber {
    /// The balance now.
    ///
    /// # Errors
    /// A [`Failure`] that says why it cannot be told.
    pub(super) async fn balance(&self, credits: &Credits) -> Result<f64, Failure> {
        let call = credits.call().ok_or_else(|| Failure::new(Reason::Config, "`credits` lacks `url`"))?;
        let manner = Manner { inherited: Some(&self.settings.submit.headers), ..Manner::alone(LIMIT) };
        let called = self.caller.call(&call, &Values::new(), manner).await?;
        if !call.accepts(called.answer.status) {
            return Err(called.answer.refusal(&call, &self.settings.error_text));
        }
        let document = called.answer.document()?;
        let found = credits.balance.select(document).first().and_then(|value| {
            // Some APIs write numbers as texts.
            value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
        });
        found.filter(|balance| balance.is_finite()).ok_or_else(|| {
            Failure::new(Reason::Assertion, format!("expected a number at {}, there is none", credits.balance))
        })
    }

    /// Waits until the balance is what it was `before`; how much is missing if it does not come back in time, `None` if it
    /// did or nobody can tell.
    pub(super) async fn missing_credit(&self, credits: &Credits, before: f64) -> Option<f64> {
        let end = Instant::now() + credits.patience();
        let mut missing = None;
        loop {
            if let Ok(now) = self.balance(credits).await {
                let gone = before - now;
                if gone <= EPSILON {
                    return None;
                }
                missing = Some(gone);
            }
            let next = Instant::now() + ASK_AGAIN;
            if next >= end || self.desk().is_closed() {
                return missing;
            }
            tokio::time::sleep_until(next).await;
        }
    }
}

/// What a failure becomes whose credit did not come back.
#[must_use]
pub fn lost(missing: f64, patience: Duration, failure: &Failure) -> Failure {
    let patience = shown(patience);
    // Without the dust of a subtraction.
    let missing = Amount::from_units(missing).unwrap_or(Amount::MAX);
    Failure::new(
        Reason::CreditsLost,
        format!(
            "{missing} taken and not returned within {patience}, for a job that failed: {}: {}",
            failure.reason, failure.detail
        ),
    )
}

const PATIENCE: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// The longest that one question about the balance may take.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// Less than any credit costs.
const EPSILON: f64 = 1e-6;
