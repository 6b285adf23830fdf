//! The name of the place an agent stands at.
//!
//! Not a geographic code: whatever the operator calls it, as long as it fits a label.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::bounded::printable;
use crate::base::parse::from_text;

/// A region: 1 to 63 of `a`–`z`, `0`–`9`, `-`, `_` and `.`. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Region(Arc<str>);

impl Region {
    /// The region's text, shared.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0
    }
}

impl Default for Region {
    fn default() -> Self {
        Self("local".into())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, out)
    }
}

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c);
        if (1..=63).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(format!("`{}` is not a region; use 1 to 63 of a-z, 0-9, -, _ and .", printable(text, 70)))
        }
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a region such as `eu-west-1`")
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for Region {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Region".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[a-z0-9_.-]{1,63}$", "examples": ["eu-west-1"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_fits_a_label() {
        for good in ["local", "eu-west-1", "rack_3.b"] {
            assert!(good.parse::<Region>().is_ok(), "{good}");
        }
        for bad in ["", "EU", "a b", "ü", &"x".repeat(64)] {
            assert!(bad.parse::<Region>().is_err(), "{bad}");
        }
    }
}
