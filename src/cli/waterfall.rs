//! One attempt, drawn for a person: what happened, in order, each phase as a bar on one time axis.
//!
//! Pure: from a result to text. Does not run anything and does not print.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::base::bounded::printable;
use crate::base::clock::Timestamp;
use crate::base::duration::shown;
use crate::model::measure::Unit;
use crate::model::outcome::Outcome;
use crate::model::result::{ProbeResult, Step};
use crate::probe::http::kind;
use crate::probe::net;

/// Draws `result` for a terminal of `width` columns, with ANSI styles (the printer strips them where they do not belong).
#[must_use]
pub(super) fn render(result: &ProbeResult, width: usize) -> String {
    let mut out = String::new();
    let width = width.clamp(40, 160);
    header(&mut out, result, width);
    let layout = Layout::new(result, width);
    for step in &result.findings.steps {
        layout.step(&mut out, step, result);
    }
    learned(&mut out, result, width);
    out
}

fn header(out: &mut String, result: &ProbeResult, width: usize) {
    let identity = &result.identity;
    let (glyph, style) = match result.outcome {
        Outcome::Ok => ("✓", OK),
        Outcome::Degraded(_) => ("!", WARN),
        Outcome::Failed(_) => ("✗", BAD),
    };
    let name = identity.probe.as_str();
    line(
        out,
        &format!("{BOLD}{name}{BOLD:#} {DIM}{} {} from {}{DIM:#}", result.kind.name, identity.surface, identity.region),
    );
    let took = shown(result.took);
    line(out, &format!("{style}{glyph} {}{style:#} in {BOLD}{took}{BOLD:#}", result.outcome.as_str()));
    if let Some(failure) = result.outcome.failure() {
        let (reason, blame) = (failure.reason, failure.blame);
        let plain = format!("{reason} ({blame}) ");
        for part in wrapped(&format!("{plain}{}", failure.detail), width - 2) {
            match part.strip_prefix(&plain) {
                Some(rest) => line(out, &format!("  {style}{reason}{style:#} {DIM}({blame}){DIM:#} {rest}")),
                None => line(out, &format!("  {part}")),
            }
        }
    }
    out.push('\n');
}

/// The columns of the chart.
struct Layout {
    name: usize,
    bar: usize,
    detail: usize,
}

impl Layout {
    fn new(result: &ProbeResult, width: usize) -> Self {
        let name = result.findings.steps.iter().map(|step| step.name.len()).max().unwrap_or(0).max(10);
        // Two spaces, name, a space, eight for the time, two spaces, bar, two spaces, detail.
        let rest = width.saturating_sub(name + 15);
        let bar = (rest / 2).clamp(8, 48);
        Self { name, bar, detail: rest.saturating_sub(bar).max(12) }
    }

    fn step(&self, out: &mut String, step: &Step, result: &ProbeResult) {
        if is_note(step) {
            // What failed the attempt stands above; what else was wrong stands here.
            if !result.outcome.failure().is_some_and(|failure| failure.detail.starts_with(&step.detail)) {
                self.note(out, step);
            }
        } else {
            self.phase(out, step, result.took);
        }
    }

    fn note(&self, out: &mut String, step: &Step) {
        let style = match step.name {
            "expect" => BAD,
            "warn" => WARN,
            _ => DIM,
        };
        let width = self.name;
        let mut name = step.name;
        for part in wrapped(&step.detail, self.bar + self.detail + 12) {
            line(out, &format!("  {style}{name:<width$}{style:#} {part}"));
            name = "";
        }
    }

    fn phase(&self, out: &mut String, step: &Step, whole: Duration) {
        let Self { name: name_width, bar: bar_width, detail: detail_width } = *self;
        let detail = printable(&step.detail, detail_width.saturating_sub(1));
        let (before, filled) = place(step, whole, bar_width);
        let bar = format!("{}{BAR}{}{BAR:#}", " ".repeat(before), "█".repeat(filled));
        let padding = " ".repeat(bar_width.saturating_sub(before + filled));
        line(
            out,
            &format!("  {:<name_width$} {:>8}  {bar}{padding}  {DIM}{detail}{DIM:#}", step.name, shown(step.took)),
        );
    }
}

/// A step that took no time is a remark, not a phase.
fn is_note(step: &Step) -> bool {
    step.took.is_zero() && !step.detail.is_empty()
}

/// Where a step's bar starts and how long it is, in columns; every phase gets at least one.
fn place(step: &Step, whole: Duration, columns: usize) -> (usize, usize) {
    let scale = |span: Duration| {
        #[expect(clippy::cast_precision_loss, reason = "a terminal's width is small")]
        let exact = span.as_secs_f64() / whole.as_secs_f64().max(1e-9) * columns as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the width")]
        let rounded = exact.round() as usize;
        rounded.min(columns)
    };
    let before = scale(step.at).min(columns - 1);
    let end = scale(step.at + step.took).max(before + 1);
    (before, end - before)
}

/// The numbers and texts of the result, one a line.
fn learned(out: &mut String, result: &ProbeResult, width: usize) {
    let findings = &result.findings;
    // Of a phase the chart tells already.
    let told = |key: &str| FOR_PROGRAMS.contains(&key) || result.kind.phases.contains(&key);
    let measures = findings.measures.iter().filter(|(key, _)| !told(key));
    let unit = |key: &str| {
        let known = result.kind.measures.iter().find(|measure| measure.key == key);
        known.map_or(Unit::Number, |measure| measure.unit)
    };
    let measures = measures.map(|(key, value)| (*key, in_words(*value, unit(key))));
    let rows: Vec<_> = measures.chain(findings.facts.iter().cloned()).collect();
    let Some(column) = rows.iter().map(|(key, _)| key.len()).max() else { return };
    let room = width.saturating_sub(column + 4);
    out.push('\n');
    for (key, text) in rows {
        line(out, &format!("  {DIM}{key:<column$}{DIM:#} {}", printable(&text, room)));
    }
}

/// A number as people read it.
fn in_words(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Number => {
            let text = format!("{value:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Unit::Seconds => match Duration::try_from_secs_f64(value.abs()) {
            Ok(span) if value < 0.0 => format!("-{}", shown(span)),
            Ok(span) => shown(span),
            Err(_) => value.to_string(),
        },
        Unit::Bytes => bytes_in_words(value),
        Unit::BytesPerSecond => format!("{}/s", bytes_in_words(value)),
        #[expect(clippy::cast_possible_truncation, reason = "moments far from ours are shown as numbers")]
        Unit::Moment => Timestamp::from_second(value as i64).map_or_else(|_| value.to_string(), |at| at.to_string()),
    }
}

fn bytes_in_words(value: f64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    match units.into_iter().find(|(_, size)| value >= 10.0 * size) {
        Some((unit, size)) => format!("{:.1} {unit}", value / size),
        None => format!("{value:.0} B"),
    }
}

/// `text` in lines of at most `width` columns, broken between words where that is possible.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let columns = word.trim_end().width();
        if used > 0 && used + columns > width {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let columns = c.width().unwrap_or(0);
            if used + columns > width && c != ' ' {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
            used += columns;
        }
    }
    lines
}

fn line(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", text.trim_end());
}

/// Measures that say in numbers, for metrics, what a fact, the outcome or the chart says already.
const FOR_PROGRAMS: [&str; 7] = [
    net::IP_PROTOCOL,
    net::IP_HASH,
    net::CERTIFICATE_EXPIRY,
    kind::CONTENT_LENGTH,
    kind::HTTPS,
    kind::HTTP_VERSION,
    kind::FAILED_DUE_TO_REGEX,
];

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const OK: Style = AnsiColor::Green.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const BAR: Style = AnsiColor::Cyan.on_default();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Failure;
    use crate::model::reason::Reason;
    use crate::model::result::{Findings, sample};

    fn step(name: &'static str, at: u64, took: u64, detail: &str) -> Step {
        Step { name, at: Duration::from_millis(at), took: Duration::from_millis(took), detail: detail.to_owned() }
    }

    fn result() -> ProbeResult {
        let failure = Failure::new(Reason::Unavailable, "expected status 2xx, got 503 (and 1 more)");
        ProbeResult {
            findings: Findings {
                phases: Vec::new(),
                measures: vec![("status", 503.0), ("https", 0.0)],
                facts: vec![("remote", "127.0.0.1:80".to_owned())],
                steps: vec![
                    step("connect", 0, 100, "127.0.0.1:80"),
                    step("processing", 100, 299, "HTTP/1.1 503 Service Unavailable"),
                    step("transfer", 399, 1, "12B"),
                    step("expect", 400, 0, "expected status 2xx, got 503"),
                    step(
                        "expect",
                        400,
                        0,
                        "expected the body to contain `Create`; it starts with `<html><h1>503 Service Unavailable</h1>`",
                    ),
                ],
            },
            ..sample::result(Outcome::Failed(failure), 400)
        }
    }

    #[test]
    fn a_failed_attempt_reads_top_down() {
        let plain = anstream::adapter::strip_str(&render(&result(), 80)).to_string();
        let expected = "\
pika-web http pika/web from eu
✗ failed in 400ms
  unavailable (target) expected status 2xx, got 503 (and 1 more)

  connect       100ms  ███████                      127.0.0.1:80
  processing    299ms         ████████████████████  HTTP/1.1 503 Service Unavai…
  transfer     1.00ms                            █  12B
  expect     expected the body to contain `Create`; it starts with
             `<html><h1>503 Service Unavailable</h1>`

  status 503
  remote 127.0.0.1:80
";
        assert_eq!(plain, expected, "\n{plain}");
    }

    #[test]
    fn numbers_read_as_what_they_count() {
        for (value, unit, expected) in [
            (503.0, Unit::Number, "503"),
            (0.25, Unit::Number, "0.25"),
            (0.000_815, Unit::Seconds, "815µs"),
            (-61.0, Unit::Seconds, "-1m01s"),
            (28_970.0, Unit::Bytes, "29.0 kB"),
            (4256.0, Unit::Bytes, "4256 B"),
            (12_500_000.0, Unit::BytesPerSecond, "12.5 MB/s"),
            (1_767_225_600.0, Unit::Moment, "2026-01-01T00:00:00Z"),
            (f64::NAN, Unit::Seconds, "NaN"),
        ] {
            assert_eq!(in_words(value, unit), expected);
        }
    }

    #[test]
    fn no_width_panics_and_no_line_is_wider() {
        let mut result = result();
        let long = format!("expected 漢字 and {}, got none of it", "x".repeat(300));
        result.outcome = Outcome::Failed(Failure::new(Reason::Assertion, long.clone()));
        result.findings.steps.push(step("expect", 400, 0, &format!("also {long}")));
        for width in 0..200 {
            let plain = anstream::adapter::strip_str(&render(&result, width)).to_string();
            assert!(plain.lines().all(|line| line.width() <= width.clamp(50, 160)), "{width}\n{plain}");
            let words = plain.split_whitespace().collect::<String>();
            assert!(words.contains(&long.replace(' ', "")), "all of the failure is told\n{plain}");
        }
    }
}
