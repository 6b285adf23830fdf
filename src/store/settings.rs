//! What the YAML says about the store: where it is.
//!
//! Opens nothing and looks at no file.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::parse::from_text;

/// What must survive a restart: what was spent today, and jobs that have not ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Where it is kept: the path of a file, relative to the folder in which Forewarn is started, or `:memory:` to
    /// forget it at the end. The file is made when it is first needed.
    pub url: StoreUrl,
}

/// Where the store is kept: a `SQLite` file, or nowhere.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// In this file. A relative path counts from the working directory.
    File(PathBuf),
    /// In the memory of this process, and forgotten with it.
    Memory,
}

impl Default for StoreUrl {
    fn default() -> Self {
        Self::File(PathBuf::from("forewarn.db"))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => fmt::Display::fmt(&path.display(), out),
            Self::Memory => out.write_str(MEMORY),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    /// Says nothing of the text itself: a database's address may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        if ["postgres:", "postgresql:"].iter().any(|scheme| starts_with_ignoring_case(text, scheme)) {
            return Err(format!("PostgreSQL comes later; {A_PATH}"));
        }
        let path = match text.strip_prefix("sqlite:") {
            Some(path) if path.contains('?') => return Err(format!("options after `?` are not supported; {A_PATH}")),
            Some(path) => path.strip_prefix("//").unwrap_or(path),
            None if text != MEMORY && has_scheme(text) => {
                return Err(format!(
                    "this kind of address is not supported; {A_PATH}, or `./` and a name with a colon"
                ));
            }
            None => text,
        };
        if path == MEMORY {
            return Ok(Self::Memory);
        }
        if path.trim().is_empty() {
            return Err(format!("there is no path; {A_PATH}"));
        }
        if path.len() > LONGEST_PATH || path.chars().any(char::is_control) {
            return Err(format!("the path is longer than {LONGEST_PATH} bytes or has control characters; {A_PATH}"));
        }
        if path.ends_with('/') {
            return Err(format!("this is the path of a folder; {A_PATH}"));
        }
        Ok(Self::File(Path::new(path).to_owned()))
    }
}

impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a file path such as `forewarn.db`")
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for StoreUrl {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StoreUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "examples": ["forewarn.db", "/var/lib/forewarn/forewarn.db"]})
    }
}

fn starts_with_ignoring_case(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// True for `word:…`, where the word could be the scheme of a URL.
fn has_scheme(text: &str) -> bool {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(allowed)
}

const MEMORY: &str = ":memory:";
const A_PATH: &str = "give a file path such as `forewarn.db`";
/// Room for the names of the files beside it below the 4096 that Linux allows.
const LONGEST_PATH: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is() {
        for (text, path) in [
            ("forewarn.db", "forewarn.db"),
            ("/var/lib/forewarn.db", "/var/lib/forewarn.db"),
            ("sqlite:a.db", "a.db"),
            ("sqlite://a.db", "a.db"),
            ("sqlite:///var/a.db", "/var/a.db"),
            ("./a:b.db", "./a:b.db"),
            ("what?.db", "what?.db"),
        ] {
            assert_eq!(text.parse(), Ok(StoreUrl::File(path.into())), "{text}");
        }
        for memory in [":memory:", "sqlite::memory:"] {
            assert_eq!(memory.parse(), Ok(StoreUrl::Memory));
        }
        assert_eq!(StoreSettings::default().url.to_string(), "forewarn.db");
    }

    #[test]
    fn anything_else_is_refused_without_showing_it() {
        for (text, why) in [
            ("postgres://me:hunter2@host/db", "PostgreSQL comes later; give a file path such as `forewarn.db`"),
            ("PostgreSQL://me:hunter2@host/db", "PostgreSQL comes later; give a file path such as `forewarn.db`"),
            ("mysql://me:hunter2@host", "this kind of address is not supported"),
            ("file:hunter2", "this kind of address is not supported"),
            ("sqlite:hunter2?mode=ro", "options after `?` are not supported"),
            ("", "there is no path"),
            ("  ", "there is no path"),
            ("sqlite:", "there is no path"),
            ("hunter2/", "the path of a folder"),
            ("hunter2\0", "control characters"),
        ] {
            let error = text.parse::<StoreUrl>().unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{text}: {error}");
        }
        assert!("x".repeat(4001).parse::<StoreUrl>().is_err());
    }
}
