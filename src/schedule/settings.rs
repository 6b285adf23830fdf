//! What users may say about when and how often a probe runs.
//!
//! Plain values with their checks; [`super`] decides what they mean.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use croner::Cron;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::base::duration::HumanDuration;
use crate::base::parse::from_text;

/// What happens when an attempt is due while the previous one still runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// The due attempt is left out, and counted.
    #[default]
    Skip,
    /// The due attempt starts when the running one ends; one may wait, further ones are left out and counted.
    Queue,
    /// Both run.
    Allow,
}

/// A quick second look after a first failure. The first failure counts all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// How long after the failure ended the second look starts.
    #[serde(default = "Confirm::default_after")]
    pub after: HumanDuration,
    /// How many looks, at most, until one succeeds. 1 to 10.
    #[serde(default = "Confirm::default_times")]
    #[schemars(range(min = 1, max = 10))]
    pub times: u32,
}

impl Confirm {
    const fn default_after() -> HumanDuration {
        HumanDuration(std::time::Duration::from_secs(2))
    }

    const fn default_times() -> u32 {
        1
    }
}

/// A cron expression: five fields (minute, hour, day of month, month, day of week), or six with seconds first.
///
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct CronExpression {
    text: Arc<str>,
    // Some 400 bytes and seven allocations: shared, so that a probe with a plain interval does not pay for it.
    cron: Arc<Cron>,
}

impl CronExpression {
    /// The parsed expression.
    #[must_use]
    pub fn cron(&self) -> &Cron {
        &self.cron
    }
}

impl fmt::Debug for CronExpression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, out)
    }
}

impl FromStr for CronExpression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = crate::base::bounded::printable(text, 60);
        let fields = text.split_whitespace().count();
        if !(text.trim_start().starts_with('@') || matches!(fields, 5 | 6)) {
            return Err(format!(
                "expected a cron expression of five fields (minute hour day month weekday) or six with seconds first, \
                 got {fields} in `{shown}`"
            ));
        }
        let cron = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Optional)
            .build()
            .parse(text)
            .map_err(|error| format!("`{shown}` is not a cron expression: {error}"))?;
        Ok(Self { text: text.into(), cron: Arc::new(cron) })
    }
}

impl<'de> Deserialize<'de> for CronExpression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a cron expression such as `*/5 * * * *`")
    }
}

impl JsonSchema for CronExpression {
    fn schema_name() -> Cow<'static, str> {
        "Cron".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A cron expression: minute, hour, day of month, month, day of week; a sixth field in front gives seconds.",
            "examples": ["*/5 * * * *"],
        })
    }
}

/// An IANA time zone such as `Europe/Berlin`, or `UTC`.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(pub TimeZone);

impl fmt::Debug for Zone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.iana_name().unwrap_or("unknown"))
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        TimeZone::get(name).map(Self).map_err(|_| {
            let shown = crate::base::bounded::printable(name, 60);
            format!("unknown time zone `{shown}`; use an IANA name such as `Europe/Berlin`, or `UTC`")
        })
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a time zone such as `Europe/Berlin`")
    }
}

impl JsonSchema for Zone {
    fn schema_name() -> Cow<'static, str> {
        "Timezone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An IANA time zone, for `cron`.",
            "examples": ["Europe/Berlin"],
        })
    }
}
