//! Names that users give: probes, services, surfaces, regions.
//!
//! Checked once, when read; afterwards a name is known to be short and made of `[a-z0-9-]`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::parse::from_text;

/// A name: 1 to 100 of `a`–`z`, `0`–`9` and `-`, not starting or ending with `-`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A part of a service that users can tell apart, written `service/surface`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SurfaceRef {
    /// The service's name.
    pub service: Name,
    /// The surface's name within the service.
    pub surface: Name,
}

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A character outside the set, or a dash at an end.
    #[error("`{0}` is not a name; use 1 to 100 of a-z, 0-9 and -, starting and ending with a letter or digit")]
    Malformed(String),
    /// A surface without a service, or with more than one slash.
    #[error("`{0}` is not `service/surface`")]
    NotAPair(String),
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let fine = (1..=100).contains(&text.len())
            && text.bytes().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fine { Ok(Self(text.into())) } else { Err(NameError::Malformed(clip(text))) }
    }
}

impl FromStr for SurfaceRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (service, surface) = text.split_once('/').ok_or_else(|| NameError::NotAPair(clip(text)))?;
        Ok(Self { service: service.parse()?, surface: surface.parse()? })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, out)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SurfaceRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.service, self.surface)
    }
}

impl fmt::Debug for SurfaceRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{self}\"")
    }
}

macro_rules! as_text {
    ($type:ident, $name:literal, $expected:literal, $about:literal, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer, $expected)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "description": $about, "pattern": $pattern, "maxLength": 201})
            }
        }
    };
}

as_text!(Name, "Name", "a name", "A name: a-z, 0-9 and `-`.", "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$");
as_text!(
    SurfaceRef,
    "SurfaceRef",
    "a surface, written `service/surface`",
    "A surface of a service, as `service/surface`.",
    "^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
);

fn clip(text: &str) -> String {
    crate::base::bounded::printable(text, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_narrow() {
        for good in ["a", "pika-web", "3d", &"x".repeat(100)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "Pika", "a_b", "a/b", "ä", &"x".repeat(101)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_surface_is_a_pair() {
        let surface: SurfaceRef = "pika/web".parse().unwrap();
        assert_eq!((surface.service.as_str(), surface.surface.as_str()), ("pika", "web"));
        assert_eq!("pika".parse::<SurfaceRef>(), Err(NameError::NotAPair("pika".into())));
        assert!("pika/web/x".parse::<SurfaceRef>().is_err());
    }
}
