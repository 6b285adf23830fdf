//! How an answer tells where a job stands, whatever the API calls it.
//!
//! Being called done is not success: guards and the file decide that later.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::base::bounded::printable;
use crate::base::many::Many;
use crate::base::parse::from_text;
use crate::probe::api::answer::Answer;
use crate::probe::api::extract::scalar;
use crate::probe::http::rules::StatusRange;
use crate::probe::pattern::JsonPath;

/// How an answer tells where the job stands. Values are compared as texts, ignoring case.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Where the state stands: a JSON path, or `http_status`.
    pub from: Origin,
    /// Values that mean that the job waits.
    #[serde(default)]
    pub queued: Many<Word>,
    /// Values that mean that the job is being worked on.
    #[serde(default)]
    pub running: Many<Word>,
    /// Values that mean that the service calls the job done.
    pub succeeded: Many<Word>,
    /// Values that mean that the job failed.
    #[serde(default)]
    pub failed: Many<Word>,
    /// Values that mean that the job was cancelled.
    #[serde(default)]
    pub cancelled: Many<Word>,
    /// What a value means that is in none of the sets. State lists grow, so `pending` (wait on, and count a warning) is
    /// usually right.
    #[serde(default)]
    pub unknown: Unknown,
    /// What a missing value means. Without it, a missing value is an unknown one.
    pub absent: Option<Known>,
}

/// What an unknown state means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// The job goes on; the state is noted and counted.
    #[default]
    Pending,
    /// The job failed.
    Failed,
}

/// What a state means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// It waits.
    Queued,
    /// It is being worked on.
    Running,
    /// The service calls it done.
    Succeeded,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// What an answer says of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The settings know the state.
    Known(Known),
    /// The settings do not know it; this is it, printable.
    Unknown(String),
}

impl State {
    /// Where the job stands by `answer`.
    #[must_use]
    pub fn read(&self, answer: &Answer) -> Reading {
        let found = match &self.from {
            Origin::HttpStatus => Some(answer.status.to_string()),
            Origin::Path(path) => {
                let found = answer.json().and_then(|json| path.select(json).first().copied());
                found.filter(|value| !value.is_null()).map(|value| scalar(value).unwrap_or_else(|| kind(value)))
            }
        };
        match found {
            None => self.absent.map_or_else(|| Reading::Unknown("missing".to_owned()), Reading::Known),
            Some(found) => self.meaning(&found),
        }
    }

    /// As [`Self::read`] of the answer to the submission, which is about a state only if it says so in its body.
    #[must_use]
    pub fn read_submission(&self, answer: &Answer) -> Option<Known> {
        match self.from {
            Origin::HttpStatus => None,
            Origin::Path(_) => match self.read(answer) {
                Reading::Known(known) => Some(known),
                Reading::Unknown(_) => None,
            },
        }
    }

    /// True when the status itself is a state that the settings know.
    #[must_use]
    pub fn is_told_by(&self, status: u16) -> bool {
        self.from == Origin::HttpStatus && matches!(self.meaning(&status.to_string()), Reading::Known(_))
    }

    fn meaning(&self, found: &str) -> Reading {
        let holds = |words: &[Word]| words.iter().any(|word| self.from.equal(word, found));
        let known = self.sets().into_iter().find(|(_, words)| holds(words)).map(|(known, _)| known);
        known.map_or_else(|| Reading::Unknown(printable(found, 60)), Reading::Known)
    }

    fn sets(&self) -> [(Known, &[Word]); 5] {
        [
            (Known::Queued, &self.queued),
            (Known::Running, &self.running),
            (Known::Succeeded, &self.succeeded),
            (Known::Failed, &self.failed),
            (Known::Cancelled, &self.cancelled),
        ]
    }

    /// What is wrong with settings that are each fine alone.
    #[must_use]
    pub fn conflict(&self) -> Option<String> {
        if self.succeeded.is_empty() {
            return Some("`succeeded` needs at least one value, or no job could ever succeed".to_owned());
        }
        if self.absent.is_some() && self.from == Origin::HttpStatus {
            return Some("`absent` means nothing with `from: http_status`: an answer always has a status".to_owned());
        }
        let mut seen: Vec<&Word> = Vec::new();
        for word in self.sets().into_iter().flat_map(|(_, words)| words) {
            if seen.contains(&word) {
                return Some(format!("`{word}` stands in two sets; a state means one thing"));
            }
            if self.from == Origin::HttpStatus && word.0.parse::<StatusRange>().is_err() {
                return Some(format!("`{word}` is no HTTP status, which is what `from: http_status` compares with"));
            }
            seen.push(word);
        }
        None
    }
}

fn kind(value: &Value) -> String {
    if value.is_array() { "a list".to_owned() } else { "an object".to_owned() }
}

/// Where a state stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// In the answer's HTTP status.
    HttpStatus,
    /// In its JSON.
    Path(JsonPath),
}

impl Origin {
    fn equal(&self, word: &Word, found: &str) -> bool {
        match self {
            Self::Path(_) => word.0.eq_ignore_ascii_case(found),
            Self::HttpStatus => {
                let range = word.0.parse::<StatusRange>().ok();
                range.zip(found.parse().ok()).is_some_and(|(range, status)| range.contains(status))
            }
        }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == HTTP_STATUS { Ok(Self::HttpStatus) } else { text.parse().map(Self::Path) }
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a JSON path such as `$.status`, or `http_status`")
    }
}

impl JsonSchema for Origin {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StateOrigin".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": r"^(\$|http_status$)", "examples": ["$.status", "http_status"]})
    }
}

/// A state's value: any scalar, as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Word(Box<str>);

impl fmt::Display for Word {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&printable(&self.0, 60))
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer).map(|text| Self(text.to_ascii_lowercase().into()))
    }
}

impl JsonSchema for Word {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StateValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number", "boolean"]})
    }
}

const HTTP_STATUS: &str = "http_status";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &Value) -> Answer {
        let (head, ()) = hyper::Response::builder().status(status).body(()).unwrap().into_parts();
        Answer::new(head, body.to_string().into(), 1 << 20)
    }

    /// As the configuration reader does, every set a list.
    fn state(settings: Value) -> State {
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn states_are_compared_as_texts_without_case() {
        let state = state(json!({"from": "$.s", "running": "processing", "succeeded": "true", "failed": "FAILED"}));
        for (value, expected) in [
            (json!("PROCESSING"), Reading::Known(Known::Running)),
            (json!(true), Reading::Known(Known::Succeeded)),
            (json!("failed"), Reading::Known(Known::Failed)),
            (json!("warming up"), Reading::Unknown("warming up".to_owned())),
            (json!(0.5), Reading::Unknown("0.5".to_owned())),
            (json!([1]), Reading::Unknown("a list".to_owned())),
            (json!(null), Reading::Unknown("missing".to_owned())),
        ] {
            assert_eq!(state.read(&answer(200, &json!({"s": value}))), expected, "{value}");
        }
    }

    #[test]
    fn a_missing_state_means_what_the_settings_say() {
        let state = state(json!({"from": "$.done", "absent": "running", "succeeded": "true"}));
        assert_eq!(state.read(&answer(200, &json!({"name": "x"}))), Reading::Known(Known::Running));
        assert_eq!(state.read(&answer(200, &json!({"done": true}))), Reading::Known(Known::Succeeded));
    }

    #[test]
    fn the_status_may_be_the_state_but_not_of_the_submission() {
        let state = state(json!({"from": "http_status", "running": "202", "succeeded": "200", "failed": "4xx"}));
        let read = |status| state.read(&answer(status, &json!({})));
        assert_eq!(read(202), Reading::Known(Known::Running));
        assert_eq!(read(200), Reading::Known(Known::Succeeded));
        assert_eq!(read(404), Reading::Known(Known::Failed));
        assert_eq!(state.read_submission(&answer(200, &json!({}))), None);
    }

    #[test]
    fn sets_do_not_overlap() {
        assert!(state(json!({"from": "$.s", "running": "a", "succeeded": "A"})).conflict().is_some());
        assert!(state(json!({"from": "http_status", "succeeded": "done"})).conflict().is_some());
        assert!(state(json!({"from": "$.s", "running": "a", "succeeded": "b"})).conflict().is_none());
    }
}
