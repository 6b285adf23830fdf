//! Why a value could not be read, on its way from where it happened to where its place is known.
//!
//! Not shown to anybody: [`collect`](super::collect) turns it into a problem.

use std::fmt::{self, Display};

use serde::de;

use crate::base::bounded::printable;
use crate::config::suggest;

/// Why a value could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// A problem was made of it, or it follows from one.
    Recorded,
    /// The value cannot be made, because of a part that a problem was made of.
    Unusable,
    /// A key is missing.
    Missing(String),
    /// Something else was expected: a noun phrase.
    Expected(String),
    /// The value is not accepted; what is wrong, and what to do.
    Refused(String, Option<String>),
}

impl Failure {
    /// A refusal without a hint.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::Refused(message.into(), None)
    }

    /// An unknown key where one of `known` is expected.
    pub(super) fn unknown_key(key: &str, known: &[&str]) -> Self {
        Self::Refused(format!("unknown key `{}`", printable(key, 60)), suggest::hint(key, known))
    }

    /// An unknown value where one of `known` is expected.
    pub(super) fn unknown_value(value: &str, known: &[&str]) -> Self {
        let expected = format!("expected {}", suggest::one_of(known));
        let hint = match suggest::nearest(value, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? {expected}"),
            None => expected,
        };
        Self::Refused(format!("unknown value `{}`", printable(value, 60)), Some(hint))
    }
}

impl Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recorded | Self::Unusable => out.write_str("already reported"),
            Self::Missing(key) => write!(out, "missing key `{key}`"),
            Self::Expected(what) => write!(out, "expected {what}"),
            Self::Refused(message, _) => out.write_str(message),
        }
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: Display>(message: T) -> Self {
        Self::refused(message.to_string())
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Expected(plainly(&expected.to_string()))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Expected(plainly(&expected.to_string()))
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::unknown_value(variant, known)
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::unknown_key(field, known)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field.to_owned())
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::refused(format!("the key `{field}` is given twice"))
    }
}

/// serde's words for what it expects, in YAML's words.
pub(super) fn plainly(expected: &str) -> String {
    match expected {
        "a string" | "string" | "a borrowed string" => "a text",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "unit" => "nothing",
        "any valid JSON value" => "a value",
        _ if expected.starts_with("struct ") => "a mapping",
        _ if expected.starts_with("enum ") => "one of the known values",
        _ => expected,
    }
    .to_owned()
}
