//! What an answer must look like: the rules of `expect` and `warn`.
//!
//! Settings only; [`super::judge`] applies them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::HeaderKey;
use crate::base::bounded::printable;
use crate::base::duration::HumanDuration;
use crate::base::json::Json;
use crate::base::many::Many;
use crate::base::secret::Text;
use crate::base::size::ByteSize;
use crate::probe::pattern::{JsonPath, Pattern};

/// Rules about an answer. All that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Statuses that are fine: a code, a class such as `2xx`, or a range such as `200-204`.
    pub status: Option<Many<StatusRange>>,
    /// Rules about headers of the final answer, by name.
    pub headers: BTreeMap<HeaderKey, TextRule>,
    /// Rules about the body of the final answer, after decompression.
    pub body: Option<Box<BodyRule>>,
    /// The longest the whole attempt may take.
    pub within: Option<HumanDuration>,
    /// The longest until the first byte of the final answer, from the attempt's start.
    pub first_byte_within: Option<HumanDuration>,
    /// Rules about the certificate.
    pub certificate: Option<CertificateRule>,
    /// The oldest that the `last-modified` header may say the content is.
    pub modified_within: Option<HumanDuration>,
    /// True: the final answer must have come over TLS. False: it must not.
    pub https: Option<bool>,
    /// The HTTP versions that are fine for the final answer.
    pub http_version: Option<Many<WireVersion>>,
}

impl Rules {
    /// Rules that can never hold together, one sentence each.
    pub fn conflicts(&self) -> impl Iterator<Item = String> {
        let headers = self.headers.iter().filter(|(_, rule)| rule.absent && !rule.says_nothing_else());
        let headers = headers.map(|(name, _)| format!("header `{}` cannot be absent and hold something", name.0));
        let body = self.body.as_deref();
        let json = body.map_or(&[][..], |body| &*body.json).iter();
        let json = json.filter(|rule| rule.absent && !rule.says_nothing_else());
        let json = json.map(|rule| format!("what {} selects cannot be absent and hold something", rule.path));
        let size =
            body.and_then(|body| body.size).filter(|size| size.min.zip(size.max).is_some_and(|(min, max)| min > max));
        headers.chain(json).chain(size.map(|_| "`size` has a `min` above its `max`".to_owned()))
    }

    /// Calls `visit` with every text in the rules, any of which may hold a secret.
    pub fn each_text<'rules>(&'rules self, visit: &mut dyn FnMut(&'rules Text)) {
        for TextRule { equals, contains, not_contains, .. } in self.headers.values() {
            equals.iter().chain(contains.iter()).chain(not_contains.iter()).for_each(&mut *visit);
        }
        if let Some(BodyRule { equals, contains, not_contains, json, .. }) = self.body.as_deref() {
            equals.iter().chain(contains.iter()).chain(not_contains.iter()).for_each(&mut *visit);
            json.iter().filter_map(|rule| rule.equals.as_ref()).for_each(|wanted| wanted.each_text(visit));
        }
    }
}

/// A set of HTTP statuses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    low: u16,
    high: u16,
}

impl StatusRange {
    /// 200 to 299.
    pub const SUCCESS: Self = Self { low: 200, high: 299 };

    /// True when `status` is in the set.
    #[must_use]
    pub const fn contains(self, status: u16) -> bool {
        self.low <= status && status <= self.high
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high {
            write!(out, "{}", self.low)
        } else if self.low.is_multiple_of(100) && self.high == self.low + 99 {
            write!(out, "{}xx", self.low / 100)
        } else {
            write!(out, "{}-{}", self.low, self.high)
        }
    }
}

impl fmt::Debug for StatusRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl std::str::FromStr for StatusRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let code = |text: &str| -> Option<u16> {
            (text.len() == 3).then(|| text.parse().ok()).flatten().filter(|code| (100..=599).contains(code))
        };
        let range = if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
            let class = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class));
            class.map(|class| Self { low: class * 100, high: class * 100 + 99 })
        } else if let Some((low, high)) = text.split_once('-') {
            let both = code(low.trim()).zip(code(high.trim())).filter(|(low, high)| low <= high);
            both.map(|(low, high)| Self { low, high })
        } else {
            code(text).map(|code| Self { low: code, high: code })
        };
        range.ok_or_else(|| {
            format!("`{}` is not a set of HTTP statuses; write `404`, `2xx` or `200-204`", printable(text, 20))
        })
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for StatusRange {
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "HTTP statuses: a code (`404`), a class (`2xx`) or a range (`200-204`).",
            "pattern": "^([1-5]xx|[1-5][0-9]{2}(-[1-5][0-9]{2})?)$",
            "minimum": 100,
            "maximum": 599,
            "examples": ["2xx"],
        })
    }
}

/// Rules about a text. All that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextRule {
    /// It is exactly this.
    pub equals: Option<Text>,
    /// It contains each of these.
    pub contains: Many<Text>,
    /// It contains none of these.
    pub not_contains: Many<Text>,
    /// Each of these expressions matches somewhere.
    pub matches: Many<Pattern>,
    /// None of these expressions matches anywhere.
    pub not_matches: Many<Pattern>,
    /// True: it must be missing. A rule of another kind already demands that it is there.
    pub absent: bool,
}

impl TextRule {
    fn says_nothing_else(&self) -> bool {
        let Self { equals, contains, not_contains, matches, not_matches, absent: _ } = self;
        equals.is_none()
            && contains.is_empty()
            && not_contains.is_empty()
            && matches.is_empty()
            && not_matches.is_empty()
    }
}

/// Rules about a body. All that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BodyRule {
    /// It is exactly this.
    pub equals: Option<Text>,
    /// It contains each of these.
    pub contains: Many<Text>,
    /// It contains none of these.
    pub not_contains: Many<Text>,
    /// Each of these expressions matches somewhere.
    pub matches: Many<Pattern>,
    /// None of these expressions matches anywhere.
    pub not_matches: Many<Pattern>,
    /// It is JSON, and each of these holds.
    pub json: Many<JsonRule>,
    /// Bounds on its size in bytes, after decompression.
    pub size: Option<SizeRule>,
}

/// A rule about values in a JSON document: at least one value that `path` selects satisfies all that is given.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonRule {
    /// Which values.
    pub path: JsonPath,
    /// The value is exactly this; `null` counts.
    #[serde(default, deserialize_with = "given")]
    pub equals: Option<Json>,
    /// The value, as text, matches this.
    pub matches: Option<Pattern>,
    /// The value is a number of at least this.
    pub at_least: Option<f64>,
    /// The value is a number of at most this.
    pub at_most: Option<f64>,
    /// True: the path selects nothing (or only `null`).
    #[serde(default)]
    pub absent: bool,
}

impl JsonRule {
    const fn says_nothing_else(&self) -> bool {
        let Self { path: _, equals, matches, at_least, at_most, absent: _ } = self;
        equals.is_none() && matches.is_none() && at_least.is_none() && at_most.is_none()
    }
}

/// Tells `equals: null` from no `equals`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Bounds on a size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SizeRule {
    /// The least.
    pub min: Option<ByteSize>,
    /// The most.
    pub max: Option<ByteSize>,
}

/// Rules about the certificate that the server presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateRule {
    /// How long every certificate that was presented must still be valid.
    pub valid_for: HumanDuration,
}

/// An HTTP version as it was spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum WireVersion {
    /// HTTP/1.0.
    #[serde(rename = "1.0")]
    V1_0,
    /// HTTP/1.1.
    #[serde(rename = "1.1")]
    V1_1,
    /// HTTP/2.
    #[serde(rename = "2")]
    V2,
}

impl fmt::Display for WireVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::V1_0 => "HTTP/1.0",
            Self::V1_1 => "HTTP/1.1",
            Self::V2 => "HTTP/2",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_read_and_print() {
        for text in ["404", "2xx", "200-204"] {
            assert_eq!(text.parse::<StatusRange>().unwrap().to_string(), text);
        }
        assert!("2xx".parse::<StatusRange>().unwrap().contains(204));
        assert!(!"200-204".parse::<StatusRange>().unwrap().contains(205));
        for text in ["", "2x", "6xx", "0xx", "99", "600", "300-200", "abc", "+20"] {
            assert!(text.parse::<StatusRange>().is_err(), "{text}");
        }
    }
}
