//! Draws problems for people (an excerpt with a caret, like rustc's) and for programs (JSON).
//!
//! Whatever a file holds is shown so that it cannot move the cursor or reorder the line. Does not decide what is wrong.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::problem::{Excerpt, Place, Problem, Problems, Severity};

/// Whether the text may hold ANSI escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// It may.
    Always,
    /// It may not.
    Never,
}

/// All problems as text, with a closing line that counts them. Empty when there are none.
#[must_use]
pub fn text(problems: &Problems, colour: Colour) -> String {
    let mut out = String::new();
    let sorted = problems.sorted();
    for problem in &sorted {
        draw(&mut out, problem, Palette::new(colour));
        out.push('\n');
    }
    if problems.omitted() > 0 {
        let _ = writeln!(out, "… and {} more", problems.omitted());
    }
    if !sorted.is_empty() {
        let _ = writeln!(out, "{}", count(problems));
    }
    out
}

/// One problem as text of two to six lines.
#[must_use]
pub fn one(problem: &Problem, colour: Colour) -> String {
    let mut out = String::new();
    draw(&mut out, problem, Palette::new(colour));
    out
}

/// All problems as one JSON object: `problems` is a list of `{severity, file, line, column, length, message, hint}`
/// (the place and the hint may be null), `omitted` counts those beyond the limit.
#[must_use]
pub fn json(problems: &Problems) -> Value {
    let list: Vec<_> = problems.sorted().into_iter().map(json_one).collect();
    json!({"problems": list, "omitted": problems.omitted()})
}

fn json_one(problem: &Problem) -> Value {
    json!({
        "severity": problem.severity,
        "file": &*problem.file,
        "line": problem.place.map(|place| place.line),
        "column": problem.place.map(|place| place.column),
        "length": problem.place.map(|place| place.length),
        "message": problem.message,
        "hint": problem.hint,
    })
}

fn count(problems: &Problems) -> String {
    let warnings = problems.sorted().iter().filter(|problem| problem.severity == Severity::Warning).count();
    let many = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    match (problems.errors(), warnings) {
        (errors, 0) => many(errors, "error"),
        (0, warnings) => many(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", many(errors, "error"), many(warnings, "warning")),
    }
}

fn draw(out: &mut String, problem: &Problem, palette: Palette) {
    let (label, style) = match problem.severity {
        Severity::Error => ("error", palette.error),
        Severity::Warning => ("warning", palette.warning),
    };
    let Palette { strong, frame, .. } = palette;
    let _ = writeln!(out, "{style}{label}{style:#}{strong}: {}{strong:#}", problem.message);
    let gutter = problem.place.map_or(1, |place| place.line.to_string().len());
    if !problem.file.is_empty() {
        let _ = write!(out, "{:gutter$}{frame}-->{frame:#} {}", "", safe(&problem.file));
        if let Some(Place { line, column, .. }) = problem.place {
            let _ = write!(out, ":{line}:{column}");
        }
        out.push('\n');
    }
    if let (Some(place), Some(excerpt)) = (problem.place, &problem.excerpt) {
        let window = Window::new(place, excerpt);
        let _ = writeln!(out, "{:gutter$} {frame}|{frame:#}", "");
        let _ = writeln!(out, "{frame}{} |{frame:#} {}", place.line, window.text);
        let (before, carets) = (window.before, "^".repeat(window.carets));
        let _ = writeln!(out, "{:gutter$} {frame}|{frame:#} {:before$}{style}{carets}{style:#}", "", "");
    }
    if let Some(hint) = &problem.hint {
        let _ = writeln!(out, "{:gutter$} {frame}={frame:#} {strong}help{strong:#}: {hint}", "");
    }
}

/// An excerpt as it is drawn, and where its carets go, in terminal columns.
struct Window {
    text: String,
    before: usize,
    carets: usize,
}

impl Window {
    fn new(place: Place, excerpt: &Excerpt) -> Self {
        let start = (place.column.saturating_sub(1)).saturating_sub(excerpt.skipped) as usize;
        let end = start + place.length as usize;
        let mut window = Self { text: String::new(), before: 0, carets: 0 };
        if excerpt.skipped > 0 {
            window.text.push('…');
            window.before = 1;
        }
        for (index, c) in excerpt.text.chars().enumerate() {
            let drawn = safe_char(c);
            window.text.push(drawn);
            if index < start {
                window.before += columns(drawn);
            } else if index < end {
                window.carets += columns(drawn);
            }
        }
        if excerpt.cut {
            window.text.push('…');
        }
        window.carets = window.carets.max(1);
        window
    }
}

impl Excerpt {
    /// The part of `line` around `place` that fits a terminal. `is_ascii` says that a character is a byte, which makes
    /// ten thousand problems in one endless line affordable.
    #[must_use]
    pub fn around(line: &str, place: Place, is_ascii: bool) -> Self {
        let column = place.column.saturating_sub(1) as usize;
        // A long line is shown from a little before the place.
        let skipped = if column + (place.length as usize).min(MAX_COLUMNS / 2) > MAX_COLUMNS {
            column.saturating_sub(MAX_COLUMNS / 4)
        } else {
            0
        };
        let byte = if is_ascii { Some(skipped) } else { line.char_indices().nth(skipped).map(|(byte, _)| byte) };
        let mut rest = byte.and_then(|byte| line.get(byte..)).unwrap_or_default().chars();
        let text: String = rest.by_ref().take(MAX_COLUMNS).collect();
        let cut = rest.next().is_some();
        let text = if cut { text } else { text.trim_end().to_owned() };
        Self { text, skipped: u32::try_from(skipped).unwrap_or(u32::MAX), cut }
    }
}

/// A character that takes the place of `c` without any effect on the terminal, one for one so that carets stay aligned.
fn safe_char(c: char) -> char {
    match c {
        '\t' => '→',
        '\u{7f}' => '␡',
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('�'),
        '\u{80}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => '�',
        _ => c,
    }
}

fn safe(text: &str) -> String {
    text.chars().map(safe_char).collect()
}

/// How many terminal columns a character takes: the wide blocks of Unicode's East Asian Width, and combining marks.
///
/// An approximation by block; a wrong guess moves a caret by a column.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x1ab0..=0x1aff | 0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[derive(Clone, Copy)]
struct Palette {
    error: Style,
    warning: Style,
    strong: Style,
    frame: Style,
}

impl Palette {
    fn new(colour: Colour) -> Self {
        match colour {
            Colour::Never => {
                Self { error: Style::new(), warning: Style::new(), strong: Style::new(), frame: Style::new() }
            }
            Colour::Always => Self {
                error: AnsiColor::BrightRed.on_default().bold(),
                warning: AnsiColor::Yellow.on_default().bold(),
                strong: Style::new().bold(),
                frame: AnsiColor::BrightBlue.on_default().bold(),
            },
        }
    }
}

const MAX_COLUMNS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: &str, column: u32, length: u32) -> Problem {
        let place = Place { line: 7, column, length };
        Problem {
            place: Some(place),
            excerpt: Some(Excerpt::around(line, place, line.is_ascii())),
            ..Problem::in_file(&"probes/web.yml".into(), "unknown key `tiemout`").hint("did you mean `timeout`?")
        }
    }

    #[test]
    fn draws_like_rustc() {
        let drawn = one(&problem("    tiemout: 5s", 5, 7), Colour::Never);
        let expected = [
            "error: unknown key `tiemout`",
            " --> probes/web.yml:7:5",
            "  |",
            "7 |     tiemout: 5s",
            "  |     ^^^^^^^",
            "  = help: did you mean `timeout`?",
            "",
        ];
        assert_eq!(drawn, expected.join("\n"));
    }

    #[test]
    fn colour_adds_escapes_and_nothing_else() {
        let problem = problem("    tiemout: 5s", 5, 7);
        let coloured = one(&problem, Colour::Always);
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), one(&problem, Colour::Never));
    }

    #[test]
    fn a_hostile_line_is_drawn_without_effect_and_aligned() {
        let drawn = one(&problem("a\tb\u{1b}[2J\u{202e}漢 here", 10, 4), Colour::Never);
        let lines: Vec<_> = drawn.lines().collect();
        assert_eq!(lines[3], "7 | a→b␛[2J�漢 here");
        // Nine characters stand before the place, of which one is two columns wide.
        assert_eq!(lines[4], format!("  | {}^^^^", " ".repeat(10)));
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let line = format!("{}here{}", "x".repeat(5_000), "y".repeat(5_000));
        let drawn = one(&problem(&line, 5_001, 4), Colour::Never);
        let lines: Vec<_> = drawn.lines().collect();
        assert!(lines[3].chars().count() < 110 && lines[3].starts_with("7 | …x") && lines[3].ends_with("y…"));
        let caret = lines[4].find('^').unwrap();
        assert_eq!(lines[3].chars().skip(caret).take(4).collect::<String>(), "here");
    }

    #[test]
    fn json_has_the_place_and_the_hint() {
        let mut problems = Problems::default();
        problems.add(problem("tiemout: 5s", 1, 7));
        let value = json(&problems);
        assert_eq!(
            value,
            json!({"problems": [{
                "severity": "error", "file": "probes/web.yml", "line": 7, "column": 1, "length": 7,
                "message": "unknown key `tiemout`", "hint": "did you mean `timeout`?",
            }], "omitted": 0})
        );
    }

    #[test]
    fn the_closing_line_counts() {
        let mut problems = Problems::default();
        problems.extend([problem("a", 1, 1), problem("b", 1, 2).warning()]);
        assert!(text(&problems, Colour::Never).ends_with("\n1 error, 1 warning\n"));
    }
}
