//! Durations as people write them: `250ms`, `30s`, `5m`, `1h30m`, `14d`.
//!
//! Not for calendar arithmetic: a day is exactly 24 hours here.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::parse::from_text;

/// A span of time written with units, at most 100 years.
///
/// Parsed from text such as `250ms` or `1h30m`; a bare number is refused, because its unit would be a guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// The span as the standard library's type.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

/// Why a text is not a duration; the message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A number stands without a unit.
    #[error("expected a duration with a unit, got `{0}`; write for example `{0}s` or `{0}ms`")]
    NoUnit(String),
    /// The unit is none of those known.
    #[error("unknown unit `{0}` in a duration; use ms, s, m, h or d")]
    Unit(String),
    /// Not a number where one was expected.
    #[error("expected a duration such as `250ms`, `30s`, `5m`, `1h` or `14d`, got `{0}`")]
    Malformed(String),
    /// A fraction of a unit.
    #[error("`{0}` has a fraction; write whole numbers, such as `1s500ms` for one and a half seconds")]
    Fraction(String),
    /// Longer than a hundred years.
    #[error("`{0}` is longer than 100 years")]
    TooLong(String),
}

impl FromStr for HumanDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || DurationError::Malformed(clip(text));
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(malformed());
        }
        let mut total = Duration::ZERO;
        let mut last_unit = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            if tail.is_empty() {
                return Err(if number == rest && total.is_zero() {
                    DurationError::NoUnit(clip(number))
                } else {
                    malformed()
                });
            }
            let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let number: u64 = number.parse().map_err(|_| malformed())?;
            if unit == "." {
                return Err(DurationError::Fraction(clip(text)));
            }
            let unit = unit_millis(unit).ok_or_else(|| DurationError::Unit(clip(unit)))?;
            // Units must shrink, so that `5m1h` and `1s1s` are typing mistakes rather than sums.
            if unit >= last_unit {
                return Err(malformed());
            }
            last_unit = unit;
            let part = number.checked_mul(unit).ok_or_else(|| DurationError::TooLong(clip(text)))?;
            total = total.saturating_add(Duration::from_millis(part));
            rest = tail;
        }
        if total > LONGEST {
            return Err(DurationError::TooLong(clip(text)));
        }
        Ok(Self(total))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = self.0.as_millis();
        if millis == 0 {
            return out.write_str("0s");
        }
        for (unit, size) in UNITS {
            let count = millis / u128::from(size);
            millis %= u128::from(size);
            if count > 0 {
                write!(out, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for HumanDuration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a duration such as `30s`")
    }
}

impl serde::Serialize for HumanDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration: `250ms`, `30s`, `5m`, `1h30m`, `14d`.",
            "pattern": r"^\s*([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?\s*$",
            "examples": ["30s"],
        })
    }
}

/// Formats a measured span for a person, to three significant digits: `340µs`, `12.3ms`, `1.24s`, `3m05s`.
#[must_use]
pub fn shown(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 0.000_999_5 {
        format!("{:.0}µs", seconds * 1e6)
    } else if seconds < 0.009_995 {
        format!("{:.2}ms", seconds * 1e3)
    } else if seconds < 0.099_95 {
        format!("{:.1}ms", seconds * 1e3)
    } else if seconds < 0.999_5 {
        format!("{:.0}ms", seconds * 1e3)
    } else if seconds < 9.995 {
        format!("{seconds:.2}s")
    } else if seconds < 59.95 {
        format!("{seconds:.1}s")
    } else {
        let whole = span.as_secs();
        if whole < 3600 {
            format!("{}m{:02}s", whole / 60, whole % 60)
        } else {
            format!("{}h{:02}m", whole / 3600, whole % 3600 / 60)
        }
    }
}

fn unit_millis(unit: &str) -> Option<u64> {
    UNITS.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size)
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Result<u128, DurationError> {
        text.parse::<HumanDuration>().map(|d| d.0.as_millis())
    }

    #[test]
    fn reads_what_the_contract_lists() {
        assert_eq!(millis("250ms"), Ok(250));
        assert_eq!(millis("30s"), Ok(30_000));
        assert_eq!(millis("5m"), Ok(300_000));
        assert_eq!(millis("1h"), Ok(3_600_000));
        assert_eq!(millis("14d"), Ok(1_209_600_000));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
    }

    #[test]
    fn refuses_guesses_and_says_what_to_write() {
        assert_eq!(millis("30"), Err(DurationError::NoUnit("30".into())));
        assert_eq!(millis("30 secs"), Err(DurationError::Unit(" secs".into())));
        assert_eq!(millis("1.5s"), Err(DurationError::Fraction("1.5s".into())));
        for text in ["", "s", "-5s", "1.5s", "5m1h", "1s1s", "1h30", "99999999999999999999s"] {
            assert!(millis(text).is_err(), "{text}");
        }
        assert!(matches!(millis("40000d"), Err(DurationError::TooLong(_))));
    }

    #[test]
    fn prints_what_it_reads() {
        for text in ["250ms", "30s", "5m", "1h30m", "14d", "1m30s500ms"] {
            assert_eq!(text.parse::<HumanDuration>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn shows_three_digits() {
        let shown = |nanos| shown(Duration::from_nanos(nanos));
        assert_eq!(shown(340_000), "340µs");
        assert_eq!(shown(1_234_000), "1.23ms");
        assert_eq!(shown(12_340_000), "12.3ms");
        assert_eq!(shown(340_000_000), "340ms");
        assert_eq!(shown(1_240_000_000), "1.24s");
        assert_eq!(shown(185_000_000_000), "3m05s");
        assert_eq!(shown(7_260_000_000_000), "2h01m");
    }
}
