//! Reads a value that is written as one text: a duration, a size, a name.
//!
//! Exists so that a list or a mapping in such a place is refused with what was expected. Does not know any format.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};

/// Deserializes a `T` from a text by [`FromStr`]. `expected` completes "expected …" when there is no text at all.
///
/// # Errors
/// The deserializer's, when there is no text; else what [`FromStr`] says.
pub fn from_text<'de, D, T>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_str(FromText { expected, result: PhantomData })
}

struct FromText<T> {
    expected: &'static str,
    result: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for FromText<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use crate::base::duration::HumanDuration;

    #[test]
    fn says_what_was_expected() {
        let error = serde_json::from_str::<HumanDuration>("[1]").unwrap_err().to_string();
        assert!(error.contains("expected a duration such as `30s`"), "{error}");
        let error = serde_json::from_str::<HumanDuration>("\"30\"").unwrap_err().to_string();
        assert!(error.contains("write for example `30s`"), "{error}");
    }
}
