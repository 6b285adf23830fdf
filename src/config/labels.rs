//! Labels that users add to their probes' metrics.
//!
//! Bounded, because every label multiplies the series; and never one that the metrics use themselves.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::bounded::printable;
use crate::base::parse::from_text;

/// Label names with their values, at most [`MAX_LABELS`]. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Labels(Arc<BTreeMap<LabelName, Arc<str>>>);

impl Labels {
    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), &**value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These labels, with `nearer` added; where both have a name, the nearer value counts.
    #[must_use]
    pub fn with(&self, nearer: &Self) -> Self {
        if nearer.is_empty() {
            return self.clone();
        }
        if self.is_empty() {
            return nearer.clone();
        }
        let mut all = BTreeMap::clone(&self.0);
        all.extend(nearer.0.iter().map(|(name, value)| (name.clone(), Arc::clone(value))));
        Self(Arc::new(all))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = BTreeMap::<LabelName, LabelValue>::deserialize(deserializer)?;
        if labels.len() > MAX_LABELS {
            return Err(de::Error::custom(format!("{} labels are too many; the most is {MAX_LABELS}", labels.len())));
        }
        Ok(Self(Arc::new(labels.into_iter().map(|(name, LabelValue(value))| (name, value)).collect())))
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl JsonSchema for Labels {
    fn schema_name() -> Cow<'static, str> {
        "Labels".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Label names with their values, for metrics.",
            "additionalProperties": {"type": ["string", "number", "boolean"], "maxLength": MAX_VALUE},
            "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$", "not": {"enum": RESERVED}},
            "maxProperties": MAX_LABELS,
            "examples": [{"env": "prod"}],
        })
    }
}

/// A label name by Prometheus' rules that the metrics do not use themselves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct LabelName(Arc<str>);

impl LabelName {
    fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown = || printable(text, 60);
        let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        if !(1..=100).contains(&text.len())
            || !text.bytes().all(allowed)
            || text.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(format!(
                "`{}` is not a label name; use letters, digits and _, not starting with a digit",
                shown()
            ));
        }
        if text.starts_with("__") {
            return Err(format!(
                "the label name `{}` is kept for Prometheus itself, as all that start with `__`",
                shown()
            ));
        }
        if RESERVED.contains(&text) {
            return Err(format!("the label name `{text}` is used by Forewarn's own metrics; choose another"));
        }
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for LabelName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a label name")
    }
}

struct LabelValue(Arc<str>);

impl FromStr for LabelValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.chars().count() > MAX_VALUE {
            return Err(format!("a label's value may have at most {MAX_VALUE} characters"));
        }
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for LabelValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a label's value")
    }
}

/// The most labels that a probe may end up with.
pub const MAX_LABELS: usize = 20;
const MAX_VALUE: usize = 200;

/// Every label that a metric of the contract has of its own.
const RESERVED: [&str; 23] = [
    "blame",
    "category",
    "le",
    "outcome",
    "phase",
    "probe",
    "quantile",
    "reason",
    "region",
    "serialnumber",
    "service",
    "source",
    "stage",
    "state",
    "status",
    "surface",
    "type",
    "unit",
    "version",
    "why",
    "fingerprint_sha256",
    "issuer",
    "subject",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_prometheus_names_and_not_ours() {
        for good in ["env", "_x", "Team", "job"] {
            assert!(good.parse::<LabelName>().is_ok(), "{good}");
        }
        for bad in ["", "1st", "a-b", "ü", "__name__", "probe", "le", &"x".repeat(101)] {
            assert!(bad.parse::<LabelName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nearer_labels_win() {
        let labels = |json: &str| serde_json::from_str::<Labels>(json).unwrap();
        let all = labels(r#"{"env": "prod", "team": "a"}"#).with(&labels(r#"{"team": "b", "x": "y"}"#));
        assert_eq!(all.iter().collect::<Vec<_>>(), [("env", "prod"), ("team", "b"), ("x", "y")]);
    }
}
