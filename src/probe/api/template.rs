//! Addresses and texts with places to fill in: `{status_url}`, `https://api.example/tasks/{id}`.
//!
//! What fills them comes from a service's answers, so it is hostile: a value that begins an address is taken whole and
//! must be an address; elsewhere it cannot leave its place in the path or the query.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use url::{Origin, Url};

use crate::base::bounded::printable;
use crate::base::json::Json;
use crate::base::secret::Text;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;

/// What answers gave so far, by name.
pub type Values = BTreeMap<String, String>;

/// An address with places to fill in.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    text: Text,
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Place(Box<str>),
}

impl Template {
    /// The address as it may be shown.
    #[must_use]
    pub const fn text(&self) -> &Text {
        &self.text
    }

    /// The address that is all of the value called `name`.
    #[must_use]
    pub fn whole(name: &str) -> Self {
        Self { text: Text::plain(&format!("{{{name}}}")), parts: Box::new([Part::Place(name.into())]) }
    }

    /// An address without places.
    #[must_use]
    pub fn literal(text: Text) -> Self {
        let parts = Box::new([Part::Literal(text.expose().into())]);
        Self { text, parts }
    }

    /// The names of the places.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Place(name) => Some(&**name),
        })
    }

    /// Where it leads whatever fills it; `None` when its beginning is filled in.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        self.literal_url().map(|url| url.origin())
    }

    /// The address up to the first place, which is enough to know the host.
    #[must_use]
    pub fn literal_url(&self) -> Option<Url> {
        match self.parts.first()? {
            Part::Literal(text) => Url::parse(text).ok(),
            Part::Place(_) => None,
        }
    }

    /// The address with its places filled.
    ///
    /// # Errors
    /// A [`Failure`] that says what is missing or is no address.
    pub fn fill(&self, values: &Values) -> Result<Url, Failure> {
        let mut out = String::new();
        // The query of an address that was taken whole; what follows belongs to its path, or adds to the query.
        let mut query = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => match text.strip_prefix('?') {
                    Some(more) if !query.is_empty() => query = format!("{query}&{more}"),
                    _ => out.push_str(text),
                },
                Part::Place(name) => {
                    let value = values.get(&**name).ok_or_else(|| missing(name))?;
                    if out.is_empty() {
                        let (before, after) = value.split_at(value.find('?').unwrap_or(value.len()));
                        out.push_str(before);
                        query.push_str(after);
                    } else {
                        encode(&mut out, name, value)?;
                    }
                }
            }
        }
        out.push_str(&query);
        let url = Url::parse(&out).map_err(|error| unusable(&out, &error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(unusable(&out, "only http:// and https:// addresses are followed"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(unusable(&out, "it holds credentials"));
        }
        Ok(url)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(out)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, out)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let parts = parts(text.expose()).map_err(de::Error::custom)?;
        if let Some(Part::Literal(literal)) = parts.first() {
            check_literal(literal, parts.len() == 1).map_err(de::Error::custom)?;
        }
        if parts.is_empty() {
            return Err(de::Error::custom("expected an address such as `https://api.example/jobs/{id}`, got nothing"));
        }
        Ok(Self { text, parts: parts.into() })
    }
}

impl JsonSchema for Template {
    fn schema_name() -> Cow<'static, str> {
        "UrlTemplate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An address in which `{name}` stands for what an earlier answer gave.",
            "pattern": r"^(https?://|\{|\$\{)",
            "examples": ["https://api.example/jobs/{id}", "{status_url}"],
        })
    }
}

/// A JSON document with the places in its texts filled. A name that is not known stays as it stands: prompts may hold
/// braces.
#[must_use]
pub fn fill_json(document: &Json, values: &Values) -> Value {
    fn filled(value: Value, values: &Values) -> Value {
        match value {
            Value::String(text) => Value::String(fill_text(&text, values)),
            Value::Array(items) => items.into_iter().map(|item| filled(item, values)).collect(),
            Value::Object(members) => {
                members.into_iter().map(|(name, member)| (name, filled(member, values))).collect()
            }
            other => other,
        }
    }
    filled(document.expose(), values)
}

/// A text with its places filled, as [`fill_json`].
#[must_use]
pub fn fill_text(text: &str, values: &Values) -> String {
    if !text.contains('{') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        out.push_str(before);
        let known = after.find('}').and_then(|close| Some((close, values.get(&after[1..close])?)));
        if let Some((close, value)) = known {
            out.push_str(value);
            rest = &after[close + 1..];
        } else {
            out.push('{');
            rest = &after[1..];
        }
    }
    out.push_str(rest);
    out
}

/// True for a name that a place may have.
#[must_use]
pub fn is_place_name(name: &str) -> bool {
    (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        if !before.is_empty() {
            parts.push(Part::Literal(before.into()));
        }
        let close =
            after.find('}').ok_or("a `{` in the address is never closed; write `{name}`, or `%7B` for a brace")?;
        let name = &after[1..close];
        if !is_place_name(name) {
            let shown = printable(name, 40);
            return Err(format!("`{{{shown}}}` is no place to fill in; names are made of a-z and _, such as `{{id}}`"));
        }
        parts.push(Part::Place(name.into()));
        rest = &after[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.into()));
    }
    Ok(parts)
}

fn check_literal(text: &str, is_whole: bool) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => {
            "expected an absolute address such as `https://api.example/jobs`; the `https://` is missing".to_owned()
        }
        url::ParseError::EmptyHost if !is_whole => {
            "an answer cannot choose the host; write it out, or take an address whole: `{url}`".to_owned()
        }
        error => format!("not an address: {error}"),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("expected an address that starts with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong in the address, where they would be shown; use a header".to_owned());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the address names no host".to_owned());
    }
    let has_path = text.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?']));
    if !(is_whole || has_path) {
        // It would be a part of the host, and an answer would choose where the key goes.
        return Err("a place to fill in cannot follow the host; write a `/` between them".to_owned());
    }
    Ok(())
}

/// Puts a value into the middle of an address so that it stays where it is put.
fn encode(out: &mut String, name: &str, value: &str) -> Result<(), Failure> {
    if value.split('/').any(|segment| matches!(segment, "." | "..")) {
        let shown = printable(value, 60);
        return Err(Failure::new(Reason::Protocol, format!("the service's {name} `{shown}` would leave its place")));
    }
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Ok(())
}

fn missing(name: &str) -> Failure {
    Failure::new(Reason::Protocol, format!("the service's answer gave no `{name}`, which the next request needs"))
}

fn unusable(address: &str, why: &str) -> Failure {
    // Queries carry tokens, and what stands before the host is a name and a password.
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let shown = match address.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            printable(&format!("{scheme}://{}{path}", host.rsplit('@').next().unwrap_or_default()), 100)
        }
        None => printable(address, 100),
    };
    Failure::new(Reason::Protocol, format!("the service gave an address that cannot be used, `{shown}`: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(text: &str) -> Template {
        serde_json::from_value(json!(text)).unwrap()
    }

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_value_that_begins_an_address_is_taken_whole() {
        let url = template("{status_url}/stream").fill(&values(&[("status_url", "https://q.test/r/1?x=2")]));
        assert_eq!(url.unwrap().as_str(), "https://q.test/r/1/stream?x=2");
        let more = template("{status_url}?logs=1").fill(&values(&[("status_url", "https://q.test/r/1?x=2")]));
        assert_eq!(more.unwrap().as_str(), "https://q.test/r/1?x=2&logs=1");
        let first = template("{status_url}?logs=1").fill(&values(&[("status_url", "https://q.test/r/1")]));
        assert_eq!(first.unwrap().as_str(), "https://q.test/r/1?logs=1");
        let plain = template("{status_url}").fill(&values(&[("status_url", "https://q.test/r/1?x=2")]));
        assert_eq!(plain.unwrap().as_str(), "https://q.test/r/1?x=2");
        for hostile in ["file:///etc/passwd", "ftp://x/", "/relative", "https://user:pw@q.test/", "javascript:1", ""] {
            let failure = template("{status_url}").fill(&values(&[("status_url", hostile)])).unwrap_err();
            assert_eq!(failure.reason, Reason::Protocol, "{hostile}");
            assert!(!failure.detail.contains("pw"), "{}", failure.detail);
        }
    }

    #[test]
    fn a_value_in_the_middle_stays_in_its_place() {
        let fill = |value: &str| template("https://api.test/v1/{id}?a=1").fill(&values(&[("id", value)]));
        assert_eq!(fill("models/x/operations/7").unwrap().as_str(), "https://api.test/v1/models/x/operations/7?a=1");
        assert_eq!(fill("a?b#c%2e @evil").unwrap().as_str(), "https://api.test/v1/a%3Fb%23c%252e%20%40evil?a=1");
        for hostile in ["../admin", "a/../../b", ".."] {
            assert!(fill(hostile).unwrap_err().detail.contains("would leave its place"), "{hostile}");
        }
        let nothing = template("https://api.test/{id}").fill(&Values::new()).unwrap_err();
        assert_eq!(nothing.detail, "the service's answer gave no `id`, which the next request needs");
    }

    #[test]
    fn an_answer_never_chooses_the_host_of_a_written_address() {
        for bad in
            ["https://{host}/x", "https://", "{}", "{ID}", "{a", "x.test/{id}", "ftp://x/{id}", "https://a:b@x/", ""]
        {
            assert!(serde_json::from_value::<Template>(json!(bad)).is_err(), "{bad}");
        }
        assert!(serde_json::from_value::<Template>(json!("https://api.test{id}")).is_err());
        assert_eq!(template("https://api.test/{id}").origin(), Some(Url::parse("https://api.test").unwrap().origin()));
        assert_eq!(template("{status_url}").origin(), None);
    }

    #[test]
    fn bodies_are_filled_where_the_name_is_known() {
        let document: Json =
            serde_json::from_value(json!({"op": "{id}", "prompt": "a {red} {kite", "n": [1, "{id}!"]})).unwrap();
        let filled = fill_json(&document, &values(&[("id", "x{id}")]));
        assert_eq!(filled, json!({"op": "x{id}", "prompt": "a {red} {kite", "n": [1, "x{id}!"]}));
    }
}
