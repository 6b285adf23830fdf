//! What a download must look like: the rules of `expect` and `warn`, and how they are applied.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::Mode;
use super::transfer::Fetched;
use crate::base::bounded::printable;
use crate::base::duration::{HumanDuration, shown};
use crate::base::many::Many;
use crate::base::parse::from_text;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::http::judge::status_reason;
use crate::probe::http::rules::{SizeRule, StatusRange};

/// Rules about a download. All that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Statuses that are fine; 200 (or 206 by ranges) unless given. Of an answer with another status that is listed, nothing
    /// but the status is judged.
    pub status: Option<Many<StatusRange>>,
    /// What the server may call the file: `video/mp4`, or `video/*`.
    pub content_type: Many<MediaType>,
    /// Bounds on the file's size in bytes.
    pub size: Option<SizeRule>,
    /// The SHA-256 of the whole file, in hexadecimal.
    pub sha256: Option<Digest>,
    /// The longest until the first byte, from the start of the transfer.
    pub first_byte_within: Option<HumanDuration>,
    /// The least throughput, as bytes per second: `500KB`.
    pub min_throughput: Option<ByteSize>,
    /// The longest that nothing may come. In `expect`, 10s unless given, and the transfer is then given up.
    pub stall: Option<HumanDuration>,
    /// The longest that the whole attempt may take.
    pub within: Option<HumanDuration>,
}

impl Rules {
    /// A rule that can never hold, as one sentence.
    #[must_use]
    pub fn conflict(&self, mode: Mode) -> Option<&'static str> {
        if self.size.is_some_and(|size| size.min.zip(size.max).is_some_and(|(min, max)| min > max)) {
            return Some("`size` has a `min` above its `max`");
        }
        let whole = self.sha256.is_some() || self.min_throughput.is_some();
        (whole && mode == Mode::Ranges).then_some("`sha256` and `min_throughput` need the whole file; set `mode: full`")
    }

    /// What is wrong with the status, if anything.
    #[must_use]
    pub fn status_breach(&self, fetched: &Fetched) -> Option<Failure> {
        let status = fetched.status;
        let wanted = self.status.as_deref().filter(|wanted| !wanted.iter().any(|range| range.contains(status)))?;
        let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        Some(Failure::new(status_reason(status), format!("expected status {}, got {status}", wanted.join(" or "))))
    }

    /// The first rule beside the status that does not hold. `gap` is the longest that nothing came, `took` the attempt so far.
    #[must_use]
    pub fn breach(&self, fetched: &Fetched, gap: Option<Duration>, took: Duration) -> Option<Failure> {
        self.content(fetched).or_else(|| self.pace(fetched, gap, took))
    }

    fn content(&self, fetched: &Fetched) -> Option<Failure> {
        let wrong = |detail: String| Some(Failure::new(Reason::Assertion, detail));
        if !self.content_type.is_empty() {
            let wanted = || self.content_type.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
            match &fetched.content_type {
                None => return wrong(format!("expected content type {}, there is none", wanted())),
                Some(got) if !self.content_type.iter().any(|wanted| wanted.admits(got)) => {
                    return wrong(format!("expected content type {}, got {}", wanted(), printable(got, 60)));
                }
                Some(_) => {}
            }
        }
        if let Some(rule) = self.size {
            let Some(size) = fetched.total else {
                return wrong("`size` cannot be judged: the server does not say how long the file is".to_owned());
            };
            if let Some(min) = rule.min.filter(|min| size < min.0) {
                return wrong(format!("expected a file of at least {min}, got {}", ByteSize(size)));
            }
            if let Some(max) = rule.max.filter(|max| size > max.0) {
                return wrong(format!("expected a file of at most {max}, got {}", ByteSize(size)));
            }
        }
        match (&self.sha256, &fetched.sha256) {
            (Some(wanted), Some(got)) if *wanted.0 != **got => {
                wrong(format!("expected SHA-256 {}, got {got}: it is another file", wanted.0))
            }
            _ => None,
        }
    }

    fn pace(&self, fetched: &Fetched, gap: Option<Duration>, took: Duration) -> Option<Failure> {
        let slow = |detail: String| Some(Failure::new(Reason::Slow, detail));
        if let Some(limit) = self.first_byte_within.filter(|limit| fetched.first_byte > limit.get()) {
            return slow(format!("the first byte took {}, expected {limit} at most", shown(fetched.first_byte)));
        }
        if let (Some(least), Some(got)) = (self.min_throughput, fetched.throughput) {
            #[expect(clippy::cast_precision_loss, reason = "a throughput needs no 15 digits")]
            if got < least.0 as f64 {
                return slow(format!("expected {least} a second at least, got {got:.0} bytes a second"));
            }
        }
        if let (Some(limit), Some(gap)) = (self.stall, gap)
            && gap > limit.get()
        {
            let detail = format!("nothing came for {}, expected {limit} at most", shown(gap));
            return Some(Failure::new(Reason::Stalled, detail));
        }
        let limit = self.within.filter(|limit| took > limit.get())?;
        slow(format!("it took {}, expected {limit} at most", shown(took)))
    }
}

/// A media type, or all of a kind.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaType(Box<str>);

impl MediaType {
    fn admits(&self, got: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(kind) => got.starts_with(kind),
            None => got == &*self.0,
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl FromStr for MediaType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let token = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        match lower.split_once('/') {
            Some((kind, rest)) if token(kind) && token(rest) => Ok(Self(lower.into())),
            _ => Err(format!("`{}` is no media type; write `video/mp4` or `video/*`", printable(text, 40))),
        }
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a media type such as `video/mp4`")
    }
}

impl JsonSchema for MediaType {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "MediaType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[^/]+/[^/]+$", "examples": ["video/mp4", "video/*"]})
    }
}

/// A SHA-256 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(Box<str>);

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        if lower.len() == 64 && lower.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(lower.into()));
        }
        Err(format!("`{}` is no SHA-256; make it with `sha256sum FILE`", printable(text, 70)))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a SHA-256 in hexadecimal")
    }
}

impl JsonSchema for Digest {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Sha256".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"})
    }
}
