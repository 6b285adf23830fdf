//! What a job costs and how much may be spent: settings, and the charge that they make.
//!
//! Counting is the ledger's work.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::desk::Desk;
use crate::model::job::{Account, Charge};
use crate::model::money::Amount;
use crate::model::name::Name;

/// What a job costs and how much may be spent. Counted before the request leaves; a submission for which no money is left is
/// not made, and the result has the reason `budget`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// What one job costs at most.
    pub per_run: Amount,
    /// In which unit: a currency, or credits. Shown as the label `unit`.
    #[serde(default = "Budget::default_unit", deserialize_with = "unit")]
    #[schemars(length(min = 1, max = 20))]
    pub unit: String,
    /// The most that may be spent in one day (UTC).
    pub per_day: Option<Amount>,
    /// Under which name it is counted; the probe's unless given. Probes that name the same account share what is spent, and
    /// each keeps to its own `per_day`.
    pub account: Option<Name>,
}

impl Budget {
    fn default_unit() -> String {
        "USD".to_owned()
    }

    /// What is wrong with settings that are each fine alone.
    #[must_use]
    pub fn conflict(&self) -> Option<&'static str> {
        if self.per_run == Amount::ZERO {
            return Some(
                "`per_run` must be more than nothing, or nothing is ever counted; leave `budget` out for free jobs",
            );
        }
        let too_dear = self.per_day.is_some_and(|per_day| per_day < self.per_run);
        too_dear.then_some("`per_run` is more than `per_day`; nothing would ever run")
    }

    /// What one job of `probe` is charged.
    #[must_use]
    pub fn charge(&self, probe: &Name, desk: &Desk) -> Charge {
        let name = self.account.as_ref().unwrap_or(probe);
        let own = Account { name: format!("probe/{name}"), per_day: self.per_day.unwrap_or(Amount::MAX) };
        let accounts = vec![own, desk.common_account(&self.unit)];
        Charge { amount: self.per_run, unit: self.unit.clone(), accounts }
    }
}

/// A unit's name, which becomes a label's value.
fn unit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let fine = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fine {
        Ok(text)
    } else {
        Err(de::Error::custom("expected a unit such as `USD` or `credits`: up to 20 letters, digits and _"))
    }
}
