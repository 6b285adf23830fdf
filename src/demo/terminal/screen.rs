//! Brings a [`Live`] to the terminal: redrawn in place, or line by line where the output is no terminal.
//!
//! Works on a thread of its own, so that a terminal that stands still (Ctrl-S, a slow line) holds up no probe.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Live;
use super::view::{Canvas, render};
use crate::base::clock::{Clock, Instant};
use crate::model::job::Pending;
use crate::model::result::ProbeResult;

/// The view on standard output. Ends, with the terminal as it was, when dropped.
#[derive(Debug)]
pub struct Screen {
    results: Option<SyncSender<ProbeResult>>,
    thread: Option<JoinHandle<()>>,
}

/// Tells which jobs are outstanding now.
pub type Outstanding = Box<dyn Fn() -> Vec<Pending> + Send>;

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Redraw in place. Otherwise one line for each change, and a summary every [`SUMMARY_EVERY`].
    pub redraw: bool,
    /// Paint. Lines are never painted.
    pub colour: bool,
}

impl Style {
    /// What standard output is fit for. Respects `NO_COLOR`, `TERM=dumb` and a choice made for `anstream`.
    #[must_use]
    pub fn of_stdout() -> Self {
        let colour = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { redraw: io::stdout().is_terminal() && !dumb, colour }
    }
}

impl Screen {
    /// Shows `live` on standard output.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(live: Live, pending: Outstanding, clock: Clock, style: Style) -> io::Result<Self> {
        let (results, received) = sync_channel(WAITING);
        let thread = thread::Builder::new().name("screen".to_owned()).spawn(move || {
            // Standard output is gone: nobody is looking, and there is nobody to tell.
            let _ = run(live, &received, &pending, &clock, style, &mut io::stdout(), size);
        })?;
        Ok(Self { results: Some(results), thread: Some(thread) })
    }

    /// Shows a result. Never waits: while the terminal stands still, results that find no room are not shown.
    pub fn update(&self, result: ProbeResult) {
        if let Some(results) = &self.results {
            let _ = results.try_send(result);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        drop(self.results.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Shows results until their sender is gone.
fn run(
    live: Live,
    results: &Receiver<ProbeResult>,
    pending: &Outstanding,
    clock: &Clock,
    style: Style,
    out: &mut impl Write,
    size: impl Fn() -> (usize, usize),
) -> io::Result<()> {
    if style.redraw {
        redraw(live, results, pending, style.colour, out, size)
    } else {
        lines(live, results, clock, out)
    }
}

fn redraw(
    mut live: Live,
    results: &Receiver<ProbeResult>,
    pending: &Outstanding,
    colour: bool,
    out: &mut impl Write,
    size: impl Fn() -> (usize, usize),
) -> io::Result<()> {
    let mut frame = Frame::start(out)?;
    let mut pause = Pause::new(REDRAW_EVERY);
    let mut open = true;
    while open {
        let (width, height) = size();
        live.pending(&pending());
        frame.draw(&render(&live, Canvas { width, height, colour }), (width, height))?;
        open = pause.each(results, |result| {
            live.update(&result);
            Ok(())
        })?;
    }
    let (width, height) = size();
    live.pending(&[]);
    frame.draw(&render(&live, Canvas { width, height, colour }), (width, height))
}

fn lines(mut live: Live, results: &Receiver<ProbeResult>, clock: &Clock, out: &mut impl Write) -> io::Result<()> {
    let links = live.links.clone();
    writeln!(out, "app {}\nfaults {}\nmetrics {}", links.app, links.faults, links.metrics)?;
    let mut pause = Pause::new(SUMMARY_EVERY);
    loop {
        let open = pause.each(results, |result| match live.update(&result) {
            Some(change) => writeln!(out, "{change}"),
            None => Ok(()),
        })?;
        writeln!(out, "{}", live.summary(clock.now()))?;
        if !open {
            return Ok(());
        }
    }
}

/// Takes in results for a while at a time.
struct Pause {
    span: Duration,
    end: Instant,
}

impl Pause {
    fn new(span: Duration) -> Self {
        Self { span, end: Instant::now() + span }
    }

    /// Hands results to `take` until the span is over. False when there will be no more.
    fn each<R>(&mut self, results: &Receiver<R>, mut take: impl FnMut(R) -> io::Result<()>) -> io::Result<bool> {
        loop {
            match results.recv_timeout(self.end.saturating_duration_since(Instant::now())) {
                Ok(result) => take(result)?,
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) => {
                    self.end = Instant::now() + self.span;
                    return Ok(true);
                }
            }
        }
    }
}

/// The part of the terminal that is drawn over and over. Shows the cursor again when dropped, in a panic too.
struct Frame<'a, W: Write> {
    out: &'a mut W,
    /// What stands there, and for which size it was drawn.
    drawn: String,
    size: (usize, usize),
}

impl<'a, W: Write> Frame<'a, W> {
    fn start(out: &'a mut W) -> io::Result<Self> {
        out.write_all(HIDE_CURSOR.as_bytes())?;
        Ok(Self { out, drawn: String::new(), size: (0, 0) })
    }

    /// Replaces what stands there by `text`, in one write.
    fn draw(&mut self, text: &str, size: (usize, usize)) -> io::Result<()> {
        if text == self.drawn && size == self.size {
            return Ok(());
        }
        let rows = self.drawn.lines().count();
        let mut bytes = String::with_capacity(text.len() + 256);
        if rows > 0 && size != self.size {
            // The terminal has wrapped the old lines anew; nobody knows where they are now.
            bytes.push_str(CLEAR_SCREEN);
        } else if rows > 0 {
            bytes.extend(["\x1b[", &rows.to_string(), "A"]);
        }
        for line in text.lines() {
            bytes.push('\r');
            bytes.push_str(line);
            bytes.push_str(CLEAR_TO_LINE_END);
            bytes.push('\n');
        }
        bytes.push_str(CLEAR_BELOW);
        text.clone_into(&mut self.drawn);
        self.size = size;
        self.out.write_all(bytes.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Frame<'_, W> {
    fn drop(&mut self) {
        let _ = self.out.write_all(SHOW_CURSOR.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// Columns and rows of the terminal; the usual ones when it does not say.
fn size() -> (usize, usize) {
    terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0.into(), height.0.into()))
}

/// How often a summary is written where nothing can be redrawn.
pub const SUMMARY_EVERY: Duration = Duration::from_secs(10);
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// Results that wait for a terminal that stands still.
const WAITING: usize = 10_000;
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const CLEAR_SCREEN: &str = "\x1b[2J\x1b[H";
const CLEAR_TO_LINE_END: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

#[cfg(test)]
mod tests {
    use super::super::tests::{failed, live, result};
    use super::*;
    use crate::model::outcome::Outcome;
    use crate::model::reason::Reason;

    /// What is written for one failure and one recovery.
    fn written(style: Style) -> String {
        let (sender, receiver) = sync_channel(10);
        sender.send(result("home", 0, 5, Outcome::Ok)).unwrap();
        sender.send(result("home", 2, 5, failed(Reason::Unavailable, "expected 2xx, got 503"))).unwrap();
        drop(sender);
        let clock = Clock::simulated("2026-01-01T14:00:10Z".parse().unwrap());
        let mut out = Vec::new();
        run(live(&["home"]), &receiver, &(Box::new(Vec::new) as Outstanding), &clock, style, &mut out, || (80, 24))
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_terminal_it_writes_lines() {
        let expected = "\
app http://127.0.0.1:9790/
faults http://127.0.0.1:9790/faults
metrics http://127.0.0.1:9780/metrics
14:00:02  home failed: unavailable — expected 2xx, got 503
14:00:10  1 failed: home (unavailable)
";
        assert_eq!(written(Style { redraw: false, colour: false }), expected);
    }

    #[test]
    fn on_a_terminal_it_hides_the_cursor_and_gives_it_back() {
        let written = written(Style { redraw: true, colour: false });
        assert!(written.starts_with(HIDE_CURSOR) && written.ends_with(SHOW_CURSOR), "{written:?}");
        assert!(written.contains("○ 1 waiting") && written.contains("✕ 1 failed"));
    }

    #[test]
    fn a_frame_is_drawn_over_the_last_one() {
        let mut out = Vec::new();
        let mut frame = Frame::start(&mut out).unwrap();
        frame.draw("a\nb\nc\n", (80, 24)).unwrap();
        frame.draw("a\nb\nc\n", (80, 24)).unwrap();
        frame.draw("a\nB\n", (80, 24)).unwrap();
        frame.draw("a\n", (60, 24)).unwrap();
        drop(frame);
        let expected = "\x1b[?25l\ra\x1b[K\n\rb\x1b[K\n\rc\x1b[K\n\x1b[J\
                        \x1b[3A\ra\x1b[K\n\rB\x1b[K\n\x1b[J\
                        \x1b[2J\x1b[H\ra\x1b[K\n\x1b[J\x1b[?25h";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_panic_gives_the_cursor_back() {
        let mut out = Vec::new();
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _frame = Frame::start(&mut out).unwrap();
            panic!("on purpose");
        }));
        assert!(unwound.is_err());
        assert!(String::from_utf8(out).unwrap().ends_with(SHOW_CURSOR));
    }
}
