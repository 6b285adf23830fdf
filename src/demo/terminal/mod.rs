//! What `forewarn demo` shows while it runs: every probe's state, its last results, and what changed.
//!
//! [`Live`] keeps what is shown, [`view`] draws it as text, [`screen`] brings the text to the terminal. Decides nothing:
//! a status is the verdict's work.

pub mod screen;
pub mod view;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::base::bounded::printable;
use crate::base::clock::Timestamp;
use crate::base::duration::shown;
use crate::model::job::Pending;
use crate::model::name::Name;
use crate::model::outcome::Outcome;
use crate::model::reason::Reason;
use crate::model::result::ProbeResult;

/// The addresses that the view names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// The simulated web app.
    pub app: String,
    /// The page that switches faults.
    pub faults: String,
    /// The agent's metrics.
    pub metrics: String,
}

/// What the view shows. Fed with results, one by one.
#[derive(Debug, Clone)]
pub struct Live {
    links: Links,
    zone: TimeZone,
    probes: Vec<Track>,
    /// The newest first.
    changes: VecDeque<Change>,
}

/// One probe's recent past.
#[derive(Debug, Clone)]
struct Track {
    name: Name,
    /// The oldest first; at most [`MEMORY`].
    beats: VecDeque<Beat>,
    /// Why the last result was not ok.
    trouble: Option<Trouble>,
    /// How far the probe's job has come, while one is outstanding.
    progress: Option<String>,
}

/// What is remembered of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Beat {
    state: State,
    took: Duration,
    timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    state: State,
    reason: Reason,
    detail: String,
    /// When the first attempt began that was not ok.
    since: Timestamp,
}

/// How a probe stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Degraded,
    Failed,
}

/// A probe's result that differs from its last one in outcome or reason. Displays as one line without a line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    time: String,
    probe: Name,
    state: State,
    text: String,
}

impl Live {
    /// A view of these probes, in this order, all of them waiting. Times are shown in `zone`.
    #[must_use]
    pub fn new(probes: impl IntoIterator<Item = Name>, links: Links, zone: TimeZone) -> Self {
        let probes = probes.into_iter().map(Track::new).collect();
        Self { links, zone, probes, changes: VecDeque::new() }
    }

    /// Takes in a result. Gives back what changed with it; a first result that is ok changes nothing.
    ///
    /// A probe that was not named before joins at the end.
    pub fn update(&mut self, result: &ProbeResult) -> Option<&Change> {
        let name = &result.identity.probe;
        let index = self.probes.iter().position(|track| track.name == *name).unwrap_or_else(|| {
            self.probes.push(Track::new(name.clone()));
            self.probes.len() - 1
        });
        let at = result.started_at.saturating_add(result.took).unwrap_or(result.started_at);
        let (state, text) = self.probes[index].update(result, at)?;
        let time = self.time(at);
        self.changes.push_front(Change { time, probe: name.clone(), state, text });
        self.changes.truncate(MEMORY);
        self.changes.front()
    }

    /// Takes in the jobs that are outstanding now, in all probes.
    pub fn pending(&mut self, jobs: &[Pending]) {
        for track in &mut self.probes {
            let job = jobs.iter().find(|job| job.identity.probe == track.name);
            track.progress = job.map(Pending::progress);
        }
    }

    /// One line about all probes: the time, how many are in each state, and which are in trouble, why.
    #[must_use]
    pub fn summary(&self, now: Timestamp) -> String {
        let counts: Vec<String> = self.counts().map(|(_, text)| text).collect();
        let trouble = |track: &Track| Some(format!("{} ({})", track.name, track.trouble.as_ref()?.reason));
        let troubles: Vec<String> = self.probes.iter().filter_map(trouble).collect();
        let colon = if troubles.is_empty() { "" } else { ": " };
        format!("{}  {}{colon}{}", self.time(now), counts.join(", "), troubles.join(", "))
    }

    /// How many probes are in each state that occurs, in words.
    fn counts(&self) -> impl Iterator<Item = (Option<State>, String)> {
        let states = [Some(State::Ok), Some(State::Degraded), Some(State::Failed), None];
        states.into_iter().filter_map(|state| {
            let count = self.probes.iter().filter(|track| track.state() == state).count();
            (count > 0).then(|| (state, format!("{count} {}", state.map_or("waiting", State::word))))
        })
    }

    fn time(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }
}

impl Track {
    const fn new(name: Name) -> Self {
        Self { name, beats: VecDeque::new(), trouble: None, progress: None }
    }

    /// The state of the last result; none while the probe waits for its first.
    fn state(&self) -> Option<State> {
        self.beats.back().map(|beat| beat.state)
    }

    /// Takes in a result that came at `at`; gives back the new state and what is to be said, when there is news.
    fn update(&mut self, result: &ProbeResult, at: Timestamp) -> Option<(State, String)> {
        let state = State::of(&result.outcome);
        if self.beats.len() == MEMORY {
            self.beats.pop_front();
        }
        self.beats.push_back(Beat { state, took: result.took, timeout: result.timeout });

        let before = self.trouble.take();
        let Some(failure) = result.outcome.failure() else {
            let span = Duration::try_from(at.duration_since(before?.since)).unwrap_or_default();
            return Some((state, format!("is ok again after {}", shown(span))));
        };
        let since = before.as_ref().map_or(result.started_at, |trouble| trouble.since);
        let known = before.is_some_and(|trouble| (trouble.state, trouble.reason) == (state, failure.reason));
        // Probers hand over printable details; a terminal does not take that on trust.
        let detail = printable(&failure.detail, LONGEST_DETAIL);
        let text = format!("{}: {} — {detail}", state.word(), failure.reason);
        self.trouble = Some(Trouble { state, reason: failure.reason, detail, since });
        (!known).then_some((state, text))
    }
}

impl State {
    const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Ok,
            Outcome::Degraded(_) => Self::Degraded,
            Outcome::Failed(_) => Self::Failed,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}  {} {}", self.time, self.probe, self.text)
    }
}

/// Results and changes kept, per probe and in all.
const MEMORY: usize = 50;
const LONGEST_DETAIL: usize = 300;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::outcome::Failure;
    use crate::model::result::sample;

    pub(super) fn live(probes: &[&str]) -> Live {
        let links = Links {
            app: "http://127.0.0.1:9790/".into(),
            faults: "http://127.0.0.1:9790/faults".into(),
            metrics: "http://127.0.0.1:9780/metrics".into(),
        };
        Live::new(probes.iter().map(|name| name.parse().unwrap()), links, TimeZone::UTC)
    }

    /// A result of `probe` that started `second` seconds after 14:00.
    pub(super) fn result(probe: &str, second: i64, millis: u64, outcome: Outcome) -> ProbeResult {
        let at: Timestamp = "2026-01-01T14:00:00Z".parse().unwrap();
        let at = at + jiff::SignedDuration::from_secs(second);
        let mut result = ProbeResult { scheduled_at: at, started_at: at, ..sample::result(outcome, millis) };
        result.identity.probe = probe.parse().unwrap();
        result.timeout = Duration::from_secs(5);
        result
    }

    pub(super) fn failed(reason: Reason, detail: &str) -> Outcome {
        Outcome::Failed(Failure::new(reason, detail))
    }

    fn update(live: &mut Live, result: &ProbeResult) -> Option<String> {
        live.update(result).map(ToString::to_string)
    }

    #[test]
    fn only_news_is_a_change() {
        let mut live = live(&["home"]);
        let unavailable = || failed(Reason::Unavailable, "expected 2xx, got 503");
        assert_eq!(update(&mut live, &result("home", 0, 5, Outcome::Ok)), None);
        assert_eq!(
            update(&mut live, &result("home", 2, 5, unavailable())).as_deref(),
            Some("14:00:02  home failed: unavailable — expected 2xx, got 503")
        );
        assert_eq!(update(&mut live, &result("home", 4, 5, unavailable())), None);
        assert_eq!(
            update(&mut live, &result("home", 6, 5000, failed(Reason::Timeout, "no answer"))).as_deref(),
            Some("14:00:11  home failed: timeout — no answer")
        );
        let degraded = Outcome::Degraded(Failure::new(Reason::Slow, "took 3s"));
        assert_eq!(
            update(&mut live, &result("home", 12, 3000, degraded)).as_deref(),
            Some("14:00:15  home degraded: slow — took 3s")
        );
        assert_eq!(
            update(&mut live, &result("home", 72, 0, Outcome::Ok)).as_deref(),
            Some("14:01:12  home is ok again after 1m10s")
        );
        assert_eq!(update(&mut live, &result("home", 74, 5, Outcome::Ok)), None);
    }

    #[test]
    fn a_summary_counts_and_names_the_troubled() {
        let mut live = live(&["home", "library", "login"]);
        let now = "2026-01-01T14:00:30Z".parse().unwrap();
        assert_eq!(live.summary(now), "14:00:30  3 waiting");
        live.update(&result("home", 0, 5, Outcome::Ok));
        live.update(&result("library", 0, 5, failed(Reason::Network, "reset")));
        live.update(&result("login", 0, 5, failed(Reason::Auth, "got 401")));
        assert_eq!(live.summary(now), "14:00:30  1 ok, 2 failed: library (network), login (auth)");
    }

    #[test]
    fn memory_is_bounded_and_strangers_join() {
        let mut live = live(&[]);
        for second in 0..500 {
            let reason = if second % 2 == 0 { Reason::Dns } else { Reason::Connect };
            live.update(&result("late", second, 5, failed(reason, "x")));
        }
        assert_eq!((live.probes.len(), live.probes[0].beats.len(), live.changes.len()), (1, MEMORY, MEMORY));
        assert_eq!(live.changes[0].time, "14:08:19");
    }

    #[test]
    fn a_hostile_detail_cannot_move_the_cursor() {
        let mut live = live(&["home"]);
        let change = update(&mut live, &result("home", 0, 5, failed(Reason::Assertion, "\u{1b}[2J\nx"))).unwrap();
        assert_eq!(change, "14:00:00  home failed: assertion — \\u{1b}[2J\\nx");
    }
}
