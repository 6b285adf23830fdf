//! What a scalar without quotes is, by YAML 1.2's core schema (<https://yaml.org/spec/1.2.2/#103-core-schema>).
//!
//! So `yes`, `no` and `on` are texts, `0o17` and `0x1f` are numbers, and `1_000` and `12:30` are texts.

use crate::base::bounded::printable;

use super::Scalar;

/// A scalar by the core schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Core {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text,
}

impl Scalar<'_> {
    /// What the scalar is. With quotes, it is a text, unless it came from outside: in brackets, a reference cannot do
    /// without quotes. What came from outside is never null.
    pub(super) fn core(&self) -> Core {
        match core(self.value) {
            Core::Null if self.secret => Core::Text,
            known if self.plain || self.secret => known,
            _ => Core::Text,
        }
    }

    /// True for a null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.core() == Core::Null
    }

    pub(super) fn describe(&self) -> String {
        if self.secret {
            format!("the value of `{}`", printable(self.shown, LONGEST_SHOWN))
        } else if self.is_null() {
            "nothing".to_owned()
        } else if self.plain {
            format!("`{}`", printable(self.shown, LONGEST_SHOWN))
        } else {
            format!("the text \"{}\"", printable(self.shown, LONGEST_SHOWN))
        }
    }
}

/// Reads a plain scalar.
pub(super) fn core(text: &str) -> Core {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Core::Null,
        "true" | "True" | "TRUE" => Core::Bool(true),
        "false" | "False" | "FALSE" => Core::Bool(false),
        _ => number(text).unwrap_or(Core::Text),
    }
}

fn number(text: &str) -> Option<Core> {
    let digits = |text: &str, radix| (!text.is_empty() && text.chars().all(|c| c.is_digit(radix))).then_some(radix);
    // Saturated: a number beyond i128 is out of every range all the same.
    let parsed = |text: &str, radix| i128::from_str_radix(text, radix).unwrap_or(i128::MAX);
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8).map(|radix| Core::Integer(parsed(octal, radix)));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16).map(|radix| Core::Integer(parsed(hex, radix)));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    if digits(unsigned, 10).is_some() {
        return Some(Core::Integer(sign * parsed(unsigned, 10)));
    }
    match unsigned {
        ".inf" | ".Inf" | ".INF" => Some(Core::Float(if sign < 0 { f64::NEG_INFINITY } else { f64::INFINITY })),
        ".nan" | ".NaN" | ".NAN" if unsigned == text => Some(Core::Float(f64::NAN)),
        _ if is_decimal(unsigned) => text.parse().ok().map(Core::Float),
        _ => None,
    }
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_decimal(text: &str) -> bool {
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let some_digit = !whole.is_empty() || !fraction.is_empty();
    some_digit
        && all_digits(whole)
        && all_digits(fraction)
        && exponent.is_none_or(|exponent| !exponent.is_empty() && all_digits(exponent))
}

const LONGEST_SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_schema_and_nothing_older() {
        for (text, expected) in [
            ("", Core::Null),
            ("~", Core::Null),
            ("True", Core::Bool(true)),
            ("yes", Core::Text),
            ("no", Core::Text),
            ("on", Core::Text),
            ("0o17", Core::Integer(15)),
            ("0x1F", Core::Integer(31)),
            ("0755", Core::Integer(755)),
            ("-5", Core::Integer(-5)),
            ("+5", Core::Integer(5)),
            ("1_000", Core::Text),
            ("12:30", Core::Text),
            ("1.5", Core::Float(1.5)),
            (".5", Core::Float(0.5)),
            ("1e3", Core::Float(1000.0)),
            ("-.inf", Core::Float(f64::NEG_INFINITY)),
            ("infinity", Core::Text),
            ("nan", Core::Text),
            (".", Core::Text),
            ("1e", Core::Text),
            ("-", Core::Text),
            ("0x", Core::Text),
            ("1.2.3", Core::Text),
            ("30s", Core::Text),
        ] {
            assert_eq!(core(text), expected, "{text:?}");
        }
        assert!(matches!(core("99999999999999999999999999999999999999999"), Core::Integer(i128::MAX)));
    }

    #[test]
    fn quotes_make_a_text_and_references_are_never_shown() {
        let quoted = Scalar { shown: "5", value: "5", plain: false, secret: false };
        assert_eq!((quoted.core(), quoted.describe().as_str()), (Core::Text, "the text \"5\""));
        let secret = Scalar { shown: "${env:X}", value: "", plain: true, secret: true };
        assert_eq!((secret.core(), secret.describe().as_str()), (Core::Text, "the value of `${env:X}`"));
    }
}
