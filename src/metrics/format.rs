//! The text formats that scrapers read: their headers, escapes and numbers.
//!
//! Byte-level rules only; it decides neither which samples exist nor which format a scraper gets.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>.

/// A format of the exposition. Sample lines are the same in both; headers and the end differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus text 0.0.4, which every scraper reads.
    Text,
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
}

/// The type of a family, as `# TYPE` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl Format {
    /// The `Content-Type` to answer with.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The lines that stand before a family's samples.
    pub(super) fn header(self, name: &str, kind: Type, help: &str) -> String {
        let name = self.family_name(name, kind);
        let help = self.help(help);
        let unit = match (self, unit(name)) {
            (Self::OpenMetrics, Some(unit)) => format!("# UNIT {name} {unit}\n"),
            (Self::OpenMetrics, None) | (Self::Text, _) => String::new(),
        };
        format!("# HELP {name} {help}\n# TYPE {name} {}\n{unit}", kind.as_str())
    }

    /// The line that stands after the last family.
    pub(super) const fn end(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::OpenMetrics => "# EOF\n",
        }
    }

    /// In `OpenMetrics` `_total` belongs to a counter's sample and not to its family.
    fn family_name(self, name: &str, kind: Type) -> &str {
        match (self, kind) {
            (Self::OpenMetrics, Type::Counter) => name.strip_suffix("_total").unwrap_or(name),
            (Self::Text, _) | (Self::OpenMetrics, Type::Gauge | Type::Histogram) => name,
        }
    }

    /// `OpenMetrics` escapes quotes in help texts; in the older format that would show as `\"`.
    fn help(self, text: &str) -> String {
        let text = text.replace('\\', "\\\\").replace('\n', "\\n");
        match self {
            Self::Text => text,
            Self::OpenMetrics => text.replace('"', "\\\""),
        }
    }
}

impl Type {
    /// The word in `# TYPE`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Writes one sample: everything up to the labels, the labels, everything up to the value, the value.
pub(super) fn sample(out: &mut Vec<u8>, open: &str, labels: &str, tail: &str, value: f64) {
    out.extend_from_slice(open.as_bytes());
    out.extend_from_slice(labels.as_bytes());
    out.extend_from_slice(tail.as_bytes());
    number(out, value);
    out.push(b'\n');
}

/// Appends `name="value"` to a label set; the caller separates labels with commas.
pub(super) fn label(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// The value of a bucket's `le`, with a decimal point always.
///
/// The older format would allow `1`; writing `1.0` in both keeps a series the same series when a scraper changes format.
pub(super) fn bound(value: f64) -> String {
    zmij::Buffer::new().format_finite(value).to_owned()
}

/// Writes a value so that it reads back as the same number; whole numbers without a decimal point.
pub(super) fn number(out: &mut Vec<u8>, value: f64) {
    if let Some(whole) = whole(value) {
        digits(out, whole);
    } else if value.is_finite() {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
    } else {
        let text = match value {
            f64::INFINITY => "+Inf",
            f64::NEG_INFINITY => "-Inf",
            _ => "NaN",
        };
        out.extend_from_slice(text.as_bytes());
    }
}

/// The value as an integer, if it is one that a double holds exactly. Most values are, and print in half the time so.
fn whole(value: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with the original below")]
    let whole = value as u64;
    #[expect(clippy::cast_precision_loss, reason = "the comparison is to show just that")]
    let same = (whole as f64).to_bits() == value.to_bits();
    (same && whole <= LARGEST_EXACT).then_some(whole)
}

fn digits(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; LARGEST_EXACT_DIGITS];
    let mut start = digits.len();
    loop {
        start -= 1;
        // A remainder of ten fits.
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// The unit that a family's name ends with, as `OpenMetrics` wants it said again.
fn unit(family: &str) -> Option<&'static str> {
    UNITS.into_iter().find(|unit| family.strip_suffix(unit).is_some_and(|stem| stem.ends_with('_')))
}

const LARGEST_EXACT: u64 = 1 << 53;
const LARGEST_EXACT_DIGITS: usize = 16;

const UNITS: [&str; 2] = ["seconds", "bytes"];

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: f64) -> String {
        let mut out = Vec::new();
        number(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_short_and_read_back_exactly() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (10.0, "10"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (1.0, "1"),
            (-1.0, "-1"),
            (0.25, "0.25"),
            (1e-7, "1e-7"),
            (200.0, "200"),
            (1_760_000_000.123, "1760000000.123"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(value), text);
        }
        for value in [0.1 + 0.2, 1e17, 1e21, 1e300, f64::MAX, f64::MIN_POSITIVE, -123_456_789.0, 1_798_761_600.0] {
            assert_eq!(written(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }

    #[test]
    fn bounds_keep_their_decimal_point() {
        assert_eq!([bound(0.005), bound(1.0), bound(600.0)], ["0.005", "1.0", "600.0"]);
    }

    #[test]
    fn label_values_cannot_leave_their_quotes() {
        let mut labels = String::new();
        label(&mut labels, "a", "x\\y\"z\n} 1");
        labels.push(',');
        label(&mut labels, "b", "ü");
        assert_eq!(labels, r#"a="x\\y\"z\n} 1",b="ü""#);
    }

    #[test]
    fn headers_follow_each_format() {
        let header = |format: Format| format.header("a_seconds_total", Type::Counter, "Says \"\\\" and\na line.");
        assert_eq!(
            header(Format::Text),
            "# HELP a_seconds_total Says \"\\\\\" and\\na line.\n# TYPE a_seconds_total counter\n"
        );
        assert_eq!(
            header(Format::OpenMetrics),
            "# HELP a_seconds Says \\\"\\\\\\\" and\\na line.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n"
        );
        assert_eq!(Format::OpenMetrics.header("ab", Type::Gauge, "X."), "# HELP ab X.\n# TYPE ab gauge\n");
    }
}
