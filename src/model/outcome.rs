//! How one attempt ended.
//!
//! A probe that fails is a value, never an `Err`: `Err` means that our own machinery is broken.

use serde::Serialize;

use super::reason::{Blame, Reason};

/// The end of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything expected held.
    Ok,
    /// It works, and a `warn` rule did not hold.
    Degraded(Failure),
    /// It does not work.
    Failed(Failure),
}

impl Outcome {
    /// The label values of an outcome, in order.
    pub const LABELS: [&'static str; 3] = ["ok", "degraded", "failed"];

    /// The label value.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        Self::LABELS[self.index()]
    }

    /// The place in [`Self::LABELS`].
    #[must_use]
    pub const fn index(&self) -> usize {
        match self {
            Self::Ok => 0,
            Self::Degraded(_) => 1,
            Self::Failed(_) => 2,
        }
    }

    /// Why it is not plain ok.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Ok => None,
            Self::Degraded(failure) | Self::Failed(failure) => Some(failure),
        }
    }

    /// True unless the attempt failed: a degraded service still works.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// What went wrong, whose it is, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The class, used as a metric label.
    pub reason: Reason,
    /// Whom it says something about.
    pub blame: Blame,
    /// One lower-case sentence: what was expected, what came. Printable, at most a few hundred characters.
    pub detail: String,
}

impl Failure {
    /// A failure with the reason's usual blame.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, blame: reason.usual_blame(), detail: detail.into() }
    }

    /// The same failure, blamed on `blame`.
    #[must_use]
    pub fn blaming(mut self, blame: Blame) -> Self {
        self.blame = blame;
        self
    }
}
