//! Amounts of money or credits, exact to a millionth.
//!
//! Sums of decimal fractions drift in binary floating point, and a budget must not. Does not know exchange rates: amounts
//! of different units never meet.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// An amount of some unit (a currency, credits), from 0 to a thousand million, in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

impl Amount {
    /// More than can be spent.
    pub const MAX: Self = Self(i64::MAX.unsigned_abs());
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many millionths of the unit.
    #[must_use]
    pub const fn from_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    /// The amount in millionths of the unit.
    #[must_use]
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// The nearest amount to a number of units; `None` for a number that is negative, not finite or too large.
    #[must_use]
    pub fn from_units(units: f64) -> Option<Self> {
        let millionths = (units * MILLIONTHS).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within 0 and 1e15")]
        (units.is_finite() && (0.0..=LARGEST * MILLIONTHS).contains(&millionths)).then_some(Self(millionths as u64))
    }

    /// The amount as a number of units, for metrics.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "amounts stay below 2^53 millionths")]
    pub fn units(self) -> f64 {
        self.0 as f64 / MILLIONTHS
    }

    /// The sum, as large as an amount can be.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if rest == 0 {
            return write!(out, "{whole}");
        }
        let rest = format!("{rest:06}");
        write!(out, "{whole}.{:0<2}", rest.trim_end_matches('0'))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.units())
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(AmountVisitor)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "description": "An amount of money or credits, exact to a millionth.",
            "minimum": 0,
            "maximum": LARGEST,
            "examples": [0.2],
        })
    }
}

struct AmountVisitor;

impl Visitor<'_> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an amount such as `0.20`")
    }

    fn visit_f64<E: de::Error>(self, units: f64) -> Result<Amount, E> {
        Amount::from_units(units).ok_or_else(|| E::custom("expected an amount from 0 to 1000000000"))
    }

    #[expect(clippy::cast_precision_loss, reason = "what is too large to be exact is refused")]
    fn visit_u64<E: de::Error>(self, units: u64) -> Result<Amount, E> {
        self.visit_f64(units as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "what is too large to be exact is refused")]
    fn visit_i64<E: de::Error>(self, units: i64) -> Result<Amount, E> {
        self.visit_f64(units as f64)
    }
}

const MILLIONTHS: f64 = 1e6;
const LARGEST: f64 = 1e9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_five_times_a_fifth_is_five() {
        let fifth = Amount::from_units(0.2).unwrap();
        let sum = (0..25).fold(Amount::ZERO, |sum, _| sum.plus(fifth));
        assert_eq!(sum, Amount::from_units(5.0).unwrap());
    }

    #[test]
    fn amounts_are_bounded_and_read_as_written() {
        for bad in [-0.1, f64::NAN, f64::INFINITY, 1e10] {
            assert_eq!(Amount::from_units(bad), None, "{bad}");
        }
        for (units, shown) in [(0.2, "0.20"), (5.0, "5"), (0.125, "0.125"), (0.000_001, "0.000001")] {
            assert_eq!(Amount::from_units(units).unwrap().to_string(), shown);
        }
        assert_eq!(serde_json::from_str::<Amount>("5").unwrap().millionths(), 5_000_000);
        assert!(serde_json::from_str::<Amount>("-1").is_err());
    }
}
