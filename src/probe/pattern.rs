//! Patterns that users write: regular expressions and JSON paths, checked when they are read.
//!
//! Both are bounded: a regular expression by its compiled size (and linear in time by construction), a JSON path by
//! its length. Compiling for use is [`Regexes`]'s work, so that ten thousand probes with one pattern share it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use regex::bytes::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::base::bounded::printable;

/// A regular expression in the syntax of Rust's `regex` crate (RE2-like: no look-around, no back-references).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// The expression's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "/{}/", self.0)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match compile(&text) {
            Ok(_) => Ok(Self(text.into())),
            Err(error) => {
                // The crate prints the expression and a caret over several lines; its last line says what is wrong.
                let message = error.to_string();
                let last = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
                Err(de::Error::custom(format!("not a regular expression: {last}")))
            }
        }
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Regex".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "regex",
            "description": "A regular expression (RE2-like: no look-around). Unanchored; `(?i)` ignores case, `(?s)` lets `.` match line ends.",
        })
    }
}

/// Compiled expressions, which match bytes since what a target sends need not be UTF-8, each kept once however many probes use it.
#[derive(Debug, Default)]
pub struct Regexes(Mutex<HashMap<Pattern, Arc<Regex>>>);

impl Regexes {
    /// The compiled form of `pattern`. `None` cannot happen for a pattern that was read, since reading compiles it.
    pub fn compiled(&self, pattern: &Pattern) -> Option<Arc<Regex>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = known.get(pattern) {
            return Some(Arc::clone(regex));
        }
        let regex = Arc::new(compile(pattern.as_str()).ok()?);
        known.insert(pattern.clone(), Arc::clone(&regex));
        Some(regex)
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build()
}

/// A JSON path by RFC 9535, such as `$.queue.depth` or `$.jobs[?@.state == 'failed']`.
#[derive(Clone, PartialEq)]
pub struct JsonPath(serde_json_path::JsonPath);

impl JsonPath {
    /// The values that the path selects, in document order.
    #[must_use]
    pub fn select<'value>(&self, value: &'value Value) -> Vec<&'value Value> {
        self.0.query(value).all()
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl FromStr for JsonPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PATH {
            return Err(format!("a JSON path may have at most {MAX_PATH} bytes"));
        }
        serde_json_path::JsonPath::parse(text).map(Self).map_err(|error| {
            let shown = printable(text, 60);
            let hint = if text.starts_with('$') { "" } else { "; a path starts with `$`" };
            format!("`{shown}` is not a JSON path (RFC 9535): {}{hint}", error.message())
        })
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for JsonPath {
    fn schema_name() -> Cow<'static, str> {
        "JsonPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A JSON path by RFC 9535.",
            "pattern": r"^\$",
            "examples": ["$.status"],
        })
    }
}

const MAX_COMPILED: usize = 1 << 20;
const MAX_PATH: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_expression_says_why_in_one_line() {
        let error = serde_json::from_str::<Pattern>("\"a(b\"").unwrap_err().to_string();
        assert!(error.starts_with("not a regular expression: unclosed group"), "{error}");
    }

    #[test]
    fn an_expression_that_would_fill_memory_is_refused() {
        assert!(serde_json::from_str::<Pattern>(r#""(\\w{1000}){1000}""#).is_err());
    }

    #[test]
    fn what_is_not_supported_says_so() {
        for (text, part) in [("\"(?=a)\"", "look-around"), (r#""(a)\\1""#, "backreferences are not supported")] {
            let error = serde_json::from_str::<Pattern>(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert_eq!(error.lines().count(), 1);
        }
    }

    #[test]
    fn bytes_are_matched_utf8_or_not() {
        let regexes = Regexes::default();
        let holds = |text: &str, bytes: &[u8]| regexes.compiled(&Pattern(text.into())).unwrap().is_match(bytes);
        assert!(holds("Über(?i)RASCHUNG", "Überraschung".as_bytes()));
        assert!(holds("^.ber", "Über".as_bytes()), "a dot is a character, not a byte");
        assert!(holds("b$", b"\xff\xfeb"));
        assert!(!holds("^.b", b"\xffb"), "what is no character is matched by nothing");
    }

    #[test]
    fn a_path_that_is_none_says_what_is_wrong() {
        let long = format!("\"$.{}\"", "a".repeat(MAX_PATH));
        for (text, part) in [
            ("\"a.b\"", "`a.b` is not a JSON path (RFC 9535)"),
            ("\"$[\"", "`$[` is not a JSON path"),
            ("\"$[?@.a ==]\"", "is not a JSON path"),
            (&long, "a JSON path may have at most 1000 bytes"),
        ] {
            let error = serde_json::from_str::<JsonPath>(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_path_may_filter_and_prints_as_it_was_written() {
        let path: JsonPath = serde_json::from_str("\"$.jobs[?@.state == 'failed'].id\"").unwrap();
        let value = serde_json::json!({"jobs": [{"id": 1, "state": "done"}, {"id": 2, "state": "failed"}]});
        assert_eq!(path.select(&value), [&serde_json::json!(2)]);
        assert!(path.to_string().starts_with('$'), "{path}");
        assert_eq!(path.select(&serde_json::json!([])), Vec::<&Value>::new());
    }

    #[test]
    fn one_expression_is_compiled_once() {
        let regexes = Regexes::default();
        let first = regexes.compiled(&Pattern("a+".into())).unwrap();
        let second = regexes.compiled(&Pattern("a+".into())).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn a_path_selects() {
        let path: JsonPath = serde_json::from_str("\"$.a[*].b\"").unwrap();
        let value = serde_json::json!({"a": [{"b": 1}, {"b": 2}]});
        assert_eq!(path.select(&value), [&serde_json::json!(1), &serde_json::json!(2)]);
        assert!(serde_json::from_str::<JsonPath>("\"a.b\"").unwrap_err().to_string().contains("starts with `$`"));
    }
}
