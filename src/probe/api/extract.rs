//! What is taken out of an answer, by JSON path or from a header.
//!
//! Values are bounded: a target's words end up in addresses and in the store.

use std::borrow::Cow;
use std::fmt;

use hyper::header::{HeaderName, LOCATION};
use regex::bytes::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::answer::Answer;
use crate::base::bounded::printable;
use crate::base::clock::Timestamp;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::pattern::{JsonPath, Pattern, Regexes};

/// Where a value stands in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Extract {
    from: Place,
    /// The first group, or the whole match, is the value.
    matches: Option<Pattern>,
}

#[derive(Debug, Clone, PartialEq)]
enum Place {
    Path(JsonPath),
    Header(HeaderName),
}

impl Extract {
    /// The value in `answer`; `None` where there is none, or null.
    ///
    /// # Errors
    /// A [`Failure`] of reason `protocol` for a value that is too long or no scalar.
    pub fn value(&self, answer: &Answer, regexes: &Regexes) -> Result<Option<String>, Failure> {
        let found = match &self.from {
            Place::Path(path) => match answer.json().and_then(|document| path.select(document).first().copied()) {
                None | Some(Value::Null) => None,
                Some(value) => Some(scalar(value).ok_or_else(|| self.unusable("a list or an object"))?),
            },
            Place::Header(name) => answer.header(name).map(str::to_owned),
        };
        let Some(found) = found else { return Ok(None) };
        let found = match self.matches.as_ref().and_then(|pattern| regexes.compiled(pattern)) {
            None => Some(found),
            Some(regex) => group(&regex, &found),
        };
        match found {
            Some(found) if found.len() > MAX_VALUE => Err(self.unusable(&format!("of {} bytes", found.len()))),
            found => Ok(found.filter(|found| !found.is_empty())),
        }
    }

    /// True for the header that says where something is, which may do so relative to where the answer came from.
    #[must_use]
    pub fn is_location(&self) -> bool {
        self.from == Place::Header(LOCATION) && self.matches.is_none()
    }

    fn unusable(&self, what: &str) -> Failure {
        Failure::new(
            Reason::Protocol,
            format!("expected a text of at most {MAX_VALUE} bytes at {self}, got {}", printable(what, 40)),
        )
    }
}

impl fmt::Display for Extract {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Place::Path(path) => write!(out, "{path}"),
            Place::Header(name) => write!(out, "{HEADER}{name}"),
        }
    }
}

/// A scalar as text: a string without its quotes. `None` for a list or an object.
#[must_use]
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Null => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// A time: RFC 3339, or Unix seconds or milliseconds.
#[must_use]
pub fn moment(value: &Value) -> Option<Timestamp> {
    if let Some(text) = value.as_str() {
        return text.trim().parse().ok();
    }
    let number = value.as_f64()?;
    // Seconds reach this far in the year 5138; milliseconds did in 1973.
    let seconds = if number.abs() >= 1e11 { number / 1000.0 } else { number };
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the check of the range")]
    let nanos = (seconds.abs() < 1e11).then_some((seconds * 1e9) as i128)?;
    Timestamp::from_nanosecond(nanos).ok()
}

fn group(regex: &Regex, text: &str) -> Option<String> {
    let captures = regex.captures(text.as_bytes())?;
    let found = captures.get(1).or_else(|| captures.get(0))?;
    Some(String::from_utf8_lossy(found.as_bytes()).into_owned())
}

/// The long form.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Long {
    /// A JSON path (`$.id`) or a header (`header:location`).
    from: Short,
    /// An expression; its first group, or else the whole match, is the value.
    matches: Option<Pattern>,
}

struct Short(Place);

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        place(&text).map(Self).map_err(de::Error::custom)
    }
}

impl JsonSchema for Short {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Place".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": r"^(\$|header:)", "examples": ["$.id", "header:location"]})
    }
}

fn place(text: &str) -> Result<Place, String> {
    if let Some(name) = text.strip_prefix(HEADER) {
        return HeaderName::from_bytes(name.trim().as_bytes())
            .map(Place::Header)
            .map_err(|_| format!("`{}` is not a header name", printable(name, 40)));
    }
    text.parse().map(Place::Path)
}

impl<'de> Deserialize<'de> for Extract {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExtractVisitor)
    }
}

struct ExtractVisitor;

impl<'de> Visitor<'de> for ExtractVisitor {
    type Value = Extract;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON path such as `$.id`, or a header such as `header:location`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Extract, E> {
        place(text).map(|from| Extract { from, matches: None }).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Extract, A::Error> {
        let Long { from: Short(from), matches } = Long::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Extract { from, matches })
    }
}

impl JsonSchema for Extract {
    fn schema_name() -> Cow<'static, str> {
        "Extract".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (short, long) = (generator.subschema_for::<Short>(), generator.subschema_for::<Long>());
        json_schema!({"description": "Where a value stands in an answer: a JSON path, or a header.", "anyOf": [short, long]})
    }
}

const HEADER: &str = "header:";
/// Identifiers and signed addresses fit; a page does not.
const MAX_VALUE: usize = 4096;
