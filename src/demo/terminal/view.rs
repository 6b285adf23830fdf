//! Draws a [`Live`] as lines of text for a terminal of a given size. Pure.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Beat, Live, State, Track};
use crate::base::duration::shown;

/// The terminal's size, and whether it shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether to paint.
    pub colour: bool,
}

/// The view as lines that end in `\n`, none wider than the canvas, and fewer of them than it has rows.
///
/// Where rows are short, old changes go first, then the last probes.
#[must_use]
pub fn render(live: &Live, canvas: Canvas) -> String {
    let mut lines = vec![title(live, canvas), Line::new(canvas)];
    lines.extend(links(live, canvas));
    lines.push(Line::new(canvas));
    // The last row stays free for the cursor, and so that nothing scrolls.
    let rows = canvas.height.saturating_sub(1);
    lines.extend(probes(live, canvas, rows.saturating_sub(lines.len())));
    lines.extend(changes(live, canvas, rows.saturating_sub(lines.len())));
    lines.truncate(rows);
    lines.into_iter().map(Line::finish).collect()
}

/// One line in the making: clipped at the canvas's width.
struct Line {
    canvas: Canvas,
    text: String,
    used: usize,
}

impl Line {
    const fn new(canvas: Canvas) -> Self {
        Self { canvas, text: String::new(), used: 0 }
    }

    /// Appends `text`, or as much of it as there is room for and `…`.
    fn put(mut self, style: Style, text: &str) -> Self {
        let (text, width) = clip(text, self.canvas.width.saturating_sub(self.used));
        if text.is_empty() {
            return self;
        }
        self.used += width;
        if self.canvas.colour {
            self.text.extend([style.render().to_string(), text, style.render_reset().to_string()]);
        } else {
            self.text.push_str(&text);
        }
        self
    }

    /// Appends blanks up to this column.
    fn to(self, column: usize) -> Self {
        let blanks = column.saturating_sub(self.used);
        self.put(PLAIN, &" ".repeat(blanks))
    }

    fn finish(self) -> String {
        let mut text = self.text;
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        text
    }
}

fn title(live: &Live, canvas: Canvas) -> Line {
    // All four counts must fit into 60 columns.
    let start = Line::new(canvas).put(BOLD, if canvas.width < 80 { " Forewarn" } else { " Forewarn demo" });
    live.counts().fold(start, |title, (state, text)| {
        title.put(PLAIN, "   ").put(style(state), &format!("{} {text}", glyph(state)))
    })
}

fn links(live: &Live, canvas: Canvas) -> Vec<Line> {
    let links = &live.links;
    let rows = [("App", &links.app, ""), ("Faults", &links.faults, "  switch one on"), ("Metrics", &links.metrics, "")];
    let row = |(label, address, hint): (&str, &String, &str)| {
        Line::new(canvas).put(DIM, &format!(" {label:<9}")).put(PLAIN, address).put(DIM, hint)
    };
    rows.into_iter().map(row).collect()
}

fn probes(live: &Live, canvas: Canvas, rows: usize) -> Vec<Line> {
    let longest = live.probes.iter().map(|track| track.name.as_str().len()).max().unwrap_or(0);
    let columns = Columns::new(canvas.width, longest);
    let fit = if live.probes.len() > rows { rows.saturating_sub(1) } else { live.probes.len() };
    let mut lines: Vec<Line> = live.probes[..fit].iter().map(|track| probe(track, canvas, &columns)).collect();
    if fit < live.probes.len() {
        lines.push(Line::new(canvas).put(DIM, &format!("   … and {} more", live.probes.len() - fit)));
    }
    lines
}

/// Where a probe's row has what.
struct Columns {
    name: usize,
    beats: usize,
}

impl Columns {
    /// A narrow terminal shows a shorter past, so that the reason of a failure still fits.
    fn new(width: usize, longest_name: usize) -> Self {
        let beats = match width {
            0..50 => 0,
            50..80 => 10,
            _ => 20,
        };
        Self { name: longest_name.min(width / 3), beats }
    }
}

fn probe(track: &Track, canvas: Canvas, columns: &Columns) -> Line {
    let state = track.state();
    let (name, _) = clip(track.name.as_str(), columns.name);
    let took = track.beats.back().map_or_else(|| "–".to_owned(), |beat| shown(beat.took));
    let mut line = Line::new(canvas)
        .put(style(state), &format!(" {} ", glyph(state)))
        .put(PLAIN, &name)
        .to(3 + columns.name)
        .put(DIM, &format!("  {took:>7}  "));
    for index in 0..columns.beats {
        // The newest stands at the right end; an empty place waits for its result.
        let beat = (track.beats.len() + index).checked_sub(columns.beats).and_then(|index| track.beats.get(index));
        line = match beat {
            Some(beat) => line.put(style(Some(beat.state)), bar(beat)),
            None => line.put(DIM, "·"),
        };
    }
    if let Some(progress) = &track.progress {
        line = line.put(PROGRESS, &format!("  {progress}"));
    }
    match &track.trouble {
        Some(trouble) => line
            .put(style(Some(trouble.state)), &format!("  {}", trouble.reason))
            .put(DIM, &format!("  {}", trouble.detail)),
        None => line,
    }
}

fn changes(live: &Live, canvas: Canvas, rows: usize) -> Vec<Line> {
    // A blank line, a heading and one change: with less room, the rows above say enough.
    if rows < 3 {
        return Vec::new();
    }
    let mut lines =
        vec![Line::new(canvas), Line::new(canvas).put(BOLD, " Changes").put(DIM, "   Ctrl-C stops the demo")];
    if live.changes.is_empty() {
        lines.push(Line::new(canvas).put(DIM, " none yet: no probe has failed"));
    }
    lines.extend(live.changes.iter().take((rows - 2).min(MOST_CHANGES)).map(|change| {
        let row = Line::new(canvas).put(DIM, &format!(" {}  ", change.time));
        row.put(style(Some(change.state)), change.probe.as_str()).put(PLAIN, &format!(" {}", change.text))
    }));
    lines
}

/// A failed result is a cross, told apart without colour too; the others are bars.
fn bar(beat: &Beat) -> &'static str {
    if beat.state == State::Failed {
        return "✕";
    }
    let span = |time: Duration| (time.as_secs_f64() / SHORTEST.as_secs_f64()).max(1.0).ln();
    let share = span(beat.took) / span(beat.timeout).max(1.0);
    BARS.iter().rfind(|(least, _)| share >= *least).map_or("▁", |(_, bar)| bar)
}

/// At most `width` columns of `text`, with `…` where it was cut; and the columns used.
fn clip(text: &str, width: usize) -> (String, usize) {
    let whole = text.width();
    if whole <= width {
        return (text.to_owned(), whole);
    }
    if width == 0 {
        return (String::new(), 0);
    }
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used < width
    };
    let kept: String = text.chars().take_while(fits).collect();
    // Where half of a wide character would fit, its place stays empty; nothing more is put there.
    (kept + "…", width)
}

const fn glyph(state: Option<State>) -> &'static str {
    match state {
        Some(State::Ok) => "●",
        Some(State::Degraded) => "◐",
        Some(State::Failed) => "✕",
        None => "○",
    }
}

const fn style(state: Option<State>) -> Style {
    match state {
        Some(State::Ok) => AnsiColor::Green.on_default(),
        Some(State::Degraded) => AnsiColor::Yellow.on_default(),
        Some(State::Failed) => AnsiColor::Red.on_default().bold(),
        None => DIM,
    }
}

const PLAIN: Style = Style::new();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const PROGRESS: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));
/// Each bar with the least share of its scale, which goes from [`SHORTEST`] to the timeout in decades.
const BARS: [(f64, &str); 7] = [(0.0, "▁"), (0.15, "▂"), (0.3, "▃"), (0.45, "▄"), (0.6, "▅"), (0.75, "▆"), (0.9, "▇")];
/// Anything as quick as this is the lowest bar.
const SHORTEST: Duration = Duration::from_millis(1);
const MOST_CHANGES: usize = 12;

#[cfg(test)]
mod tests {
    use super::super::tests::{failed, live, result};
    use super::*;
    use crate::model::outcome::{Failure, Outcome};
    use crate::model::reason::Reason;

    /// Four probes: well, slow, failed, waiting.
    fn scene() -> Live {
        let mut live = live(&["reverie-home", "reverie-library", "reverie-sign-in", "reverie-health"]);
        for second in 0..30 {
            live.update(&result("reverie-home", second, 2, Outcome::Ok));
        }
        live.update(&result("reverie-sign-in", 0, 9, Outcome::Ok));
        live.update(&result(
            "reverie-sign-in",
            2,
            8,
            failed(Reason::Auth, "expected status 2xx, got 401 Unauthorized"),
        ));
        live.update(&result("reverie-library", 0, 40, Outcome::Ok));
        let slow = Outcome::Degraded(Failure::new(Reason::Slow, "expected the answer within 1s, took 3.01s"));
        live.update(&result("reverie-library", 2, 3010, slow));
        live
    }

    fn plain(width: usize, height: usize) -> Canvas {
        Canvas { width, height, colour: false }
    }

    #[test]
    fn wide() {
        let expected = "
 Forewarn demo   ● 1 ok   ◐ 1 degraded   ✕ 1 failed   ○ 1 waiting

 App      http://127.0.0.1:9790/
 Faults   http://127.0.0.1:9790/faults  switch one on
 Metrics  http://127.0.0.1:9780/metrics

 ● reverie-home      2.00ms  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
 ◐ reverie-library    3.01s  ··················▃▇  slow  expected the answer within 1s, took 3.01s
 ✕ reverie-sign-in   8.00ms  ··················▂✕  auth  expected status 2xx, got 401 Unauthorized
 ○ reverie-health         –  ····················

 Changes   Ctrl-C stops the demo
 14:00:05  reverie-library degraded: slow — expected the answer within 1s, took 3.01s
 14:00:02  reverie-sign-in failed: auth — expected status 2xx, got 401 Unauthorized
";
        assert_eq!(format!("\n{}", render(&scene(), plain(110, 30))), expected);
    }

    #[test]
    fn narrow() {
        let expected = "
 Forewarn   ● 1 ok   ◐ 1 degraded   ✕ 1 failed   ○ 1 waiting

 App      http://127.0.0.1:9790/
 Faults   http://127.0.0.1:9790/faults  switch one on
 Metrics  http://127.0.0.1:9780/metrics

 ● reverie-home      2.00ms  ▁▁▁▁▁▁▁▁▁▁
 ◐ reverie-library    3.01s  ········▃▇  slow  expected the…
 ✕ reverie-sign-in   8.00ms  ········▂✕  auth  expected sta…
 ○ reverie-health         –  ··········

 Changes   Ctrl-C stops the demo
 14:00:05  reverie-library degraded: slow — expected the an…
 14:00:02  reverie-sign-in failed: auth — expected status 2…
";
        assert_eq!(format!("\n{}", render(&scene(), plain(60, 24))), expected);
    }

    #[test]
    fn no_line_is_wider_and_no_screen_is_higher_than_the_terminal() {
        let mut live = scene();
        live.update(&result("wide", 3, 5, failed(Reason::Assertion, &"動画生成サービス".repeat(30))));
        for (width, height) in (0..140).zip((0..40).cycle()) {
            let drawn = render(&live, plain(width, height));
            assert!(drawn.lines().all(|line| line.width() <= width), "{width} columns:\n{drawn}");
            assert!(drawn.lines().count() <= height.saturating_sub(1), "{height} rows:\n{drawn}");
        }
    }

    #[test]
    fn a_low_terminal_drops_changes_first_and_then_says_what_is_missing() {
        let drawn = render(&scene(), plain(100, 12));
        assert!(drawn.contains("reverie-health") && !drawn.contains("Changes"), "{drawn}");
        let drawn = render(&scene(), plain(100, 10));
        assert!(drawn.ends_with("   … and 2 more\n"), "{drawn}");
    }

    #[test]
    fn colour_only_adds_escapes() {
        let canvas = Canvas { colour: true, ..plain(100, 30) };
        let painted = render(&scene(), canvas);
        assert!(painted.contains("\u{1b}[31m") && painted.contains("\u{1b}[32m") && painted.contains("\u{1b}[33m"));
        assert_eq!(
            anstream::adapter::strip_str(&painted).to_string().replace(" \n", "\n"),
            render(&scene(), plain(100, 30))
        );
    }

    #[test]
    fn bars_rise_with_time_up_to_the_timeout() {
        let bar = |millis| {
            bar(&Beat { state: State::Ok, took: Duration::from_millis(millis), timeout: Duration::from_secs(5) })
        };
        assert_eq!([0, 1, 5, 20, 100, 400, 1000, 5000, 9000].map(bar), ["▁", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "▇"]);
        let instant = Beat { state: State::Ok, took: Duration::ZERO, timeout: Duration::ZERO };
        assert_eq!(super::bar(&instant), "▁");
    }
}
