//! The switches that turn faults on and off while the service runs.
//!
//! Decides what is hit: by counting, never by chance, so that the same requests get the same answers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Fault, Occasion, TABLE};
use crate::base::bounded::printable;
use crate::base::hash::spread_64;

/// Of the occasions that a fault can hit, how many of a hundred it does hit: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Percent(u8);

/// What one fault is doing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// True while it is switched on.
    pub on: bool,
    /// How many of the occasions in its scope it hits while it is on.
    pub percent: Percent,
    /// Occasions hit since the service started.
    pub hits: u64,
}

/// The switches of all faults. Shared by everything that serves; switched at run time.
#[derive(Debug)]
pub struct Faults(Mutex<[Switch; TABLE.len()]>);

#[derive(Debug)]
struct Switch {
    state: State,
    /// Occasions in the fault's scope since it was last switched, by [`kind`]: with one count for all, "every second
    /// request" would always be the same half of the probes.
    seen: BTreeMap<u64, u64>,
}

/// Why a text is not a percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a percentage from 1 to 100, got `{}`", printable(.0, 40))]
pub struct NotAPercentage(String);

impl Percent {
    /// Every occasion.
    pub const ALL: Self = Self(100);

    /// The number, 1 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// True for this percentage of all `index` (from 0), evenly spread and starting with the first.
    const fn hits(self, index: u64) -> bool {
        let share = self.0 as u64;
        (index * share).div_ceil(100) != ((index + 1) * share).div_ceil(100)
    }
}

impl Switch {
    /// Counts an occasion in the fault's scope, and says whether it is hit.
    fn count(&mut self, kind: u64) -> bool {
        // What strangers ask for is not bounded; the counts are. Kinds beyond the bound share one.
        let known = self.seen.len() < MOST_KINDS || self.seen.contains_key(&kind);
        let seen = self.seen.entry(if known { kind } else { 0 }).or_default();
        let hit = self.state.percent.hits(*seen);
        *seen += 1;
        self.state.hits += u64::from(hit);
        hit
    }
}

impl Default for Faults {
    fn default() -> Self {
        let state = State { on: false, percent: Percent::ALL, hits: 0 };
        Self(Mutex::new(std::array::from_fn(|_| Switch { state, seen: BTreeMap::new() })))
    }
}

impl Faults {
    /// Switches a fault; without a percentage it keeps the one that it had. Starts its spread anew.
    pub fn switch(&self, fault: Fault, on: bool, percent: Option<Percent>) {
        let switch = &mut self.switches()[fault as usize];
        let State { percent: before, hits, .. } = switch.state;
        *switch = Switch { state: State { on, percent: percent.unwrap_or(before), hits }, seen: BTreeMap::new() };
    }

    /// Switches every fault off.
    pub fn clear(&self) {
        for switch in self.switches().iter_mut() {
            switch.state.on = false;
        }
    }

    /// What one fault is doing now.
    #[must_use]
    pub fn state(&self, fault: Fault) -> State {
        self.switches()[fault as usize].state
    }

    /// The faults that hit this occasion, counted: any delay first, then at most one that decides what comes of it.
    pub(in crate::demo) fn strike(&self, occasion: Occasion<'_>) -> Vec<Fault> {
        let kind = kind(occasion);
        let mut struck = Vec::new();
        for (row, switch) in TABLE.iter().zip(self.switches().iter_mut()) {
            if switch.state.on && row.scope.covers(occasion) && switch.count(kind) {
                struck.push(row.fault);
                if !row.fault.is_delay() {
                    break;
                }
            }
        }
        struck
    }

    fn switches(&self) -> MutexGuard<'_, [Switch; TABLE.len()]> {
        // Nothing that holds the lock can panic, and any value of the switches is a sound one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromStr for Percent {
    type Err = NotAPercentage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().parse() {
            Ok(number @ 1..=100) => Ok(Self(number)),
            _ => Err(NotAPercentage(text.to_owned())),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Occasions of one kind are counted together.
fn kind(occasion: Occasion<'_>) -> u64 {
    match occasion {
        Occasion::Request(method, path) => {
            let (folder, end) = sort(path);
            spread_64(&[method.as_str(), folder, end])
        }
        Occasion::Link(source) => spread_64(&["link", &format!("{source:?}")]),
        Occasion::Job | Occasion::Listing => 0,
    }
}

/// Each job and each file has addresses of its own: what is asked about it counts, not which one it is.
fn sort(path: &str) -> (&str, &str) {
    let last = path.rsplit('/').next().unwrap_or_default();
    match ["/queue/", "/files/", "/api/library/"].into_iter().find(|folder| path.starts_with(folder)) {
        Some("/queue/") if last.len() < JOB_ID => ("/queue/", last),
        Some(folder) => (folder, ""),
        None => (path, ""),
    }
}

/// The length of a job's id in an address.
const JOB_ID: usize = 36;
const MOST_KINDS: usize = 100;

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;
    use axum::http::Method;

    const fn get(path: &str) -> Occasion<'_> {
        Occasion::Request(&Method::GET, path)
    }

    #[test]
    fn a_percentage_is_spread_evenly_and_exactly() {
        for percent in 1..=100 {
            let share = Percent(percent);
            let hits: Vec<u64> = (0..1000).filter(|index| share.hits(*index)).collect();
            assert_eq!(hits.len(), usize::from(percent) * 10, "{percent} %");
            let even = 100 / u64::from(percent);
            assert!(hits.windows(2).all(|pair| (even..=even + 1).contains(&(pair[1] - pair[0]))), "{percent} %");
            assert_eq!(hits[0], 0, "the first request is hit, so that a fault shows at once");
        }
    }

    #[test]
    fn what_is_not_a_percentage_is_refused() {
        assert_eq!("25".parse(), Ok(Percent(25)));
        for bad in ["0", "101", "-1", "", "ten", "1e2", "99999999999"] {
            assert_eq!(bad.parse::<Percent>(), Err(NotAPercentage(bad.into())));
        }
    }

    #[test]
    fn a_delay_combines_and_one_fault_answers() {
        let faults = Faults::default();
        for fault in [Fault::Slow, Fault::Unavailable, Fault::WrongBody] {
            faults.switch(fault, true, None);
        }
        assert_eq!(faults.strike(get("/")), [Fault::Slow, Fault::Unavailable]);
        assert_eq!((faults.state(Fault::Slow).hits, faults.state(Fault::WrongBody).hits), (1, 0));
    }

    #[test]
    fn a_partial_fault_lets_the_next_one_answer() {
        let faults = Faults::default();
        faults.switch(Fault::Unavailable, true, Some(Percent(50)));
        faults.switch(Fault::WrongBody, true, None);
        let struck: Vec<_> = (0..4).flat_map(|_| faults.strike(get("/"))).collect();
        assert_eq!(struck, [Fault::Unavailable, Fault::WrongBody, Fault::Unavailable, Fault::WrongBody]);
    }

    #[test]
    fn a_partial_fault_hits_every_page_in_turn() {
        let faults = Faults::default();
        faults.switch(Fault::Unavailable, true, Some(Percent(50)));
        for round in 0..6 {
            for path in ["/", "/library", "/login", "/api/me", "/api/health", "/assets/app.js", "/assets/app.css"] {
                assert_eq!(faults.strike(get(path)).len(), usize::from(round % 2 == 0), "{path} in {round}");
            }
        }
    }

    #[test]
    fn addresses_that_are_new_each_time_are_counted_together() {
        let faults = Faults::default();
        faults.switch(Fault::Unavailable, true, Some(Percent(50)));
        for round in 0..6 {
            let id = format!("00000000-0000-4000-8000-{round:012}");
            let paths = ["", "/status", "/cancel"].map(|end| format!("/queue/reverie/requests/{id}{end}"));
            for path in paths.into_iter().chain([format!("/files/{id}.mp4"), format!("/api/library/{id}")]) {
                assert_eq!(faults.strike(get(&path)).len(), usize::from(round % 2 == 0), "{path} in {round}");
            }
        }
    }

    #[test]
    fn links_of_each_source_get_their_share() {
        let faults = Faults::default();
        faults.switch(Fault::EmptyFile, true, Some(Percent(50)));
        for round in 0..4 {
            for source in [Source::Result, Source::Library, Source::Old] {
                assert_eq!(faults.strike(Occasion::Link(source)).len(), usize::from(round % 2 == 0));
            }
        }
    }

    #[test]
    fn strangers_cannot_make_the_counts_grow() {
        let faults = Faults::default();
        faults.switch(Fault::Slow, true, Some(Percent(1)));
        for number in 0..1000 {
            faults.strike(get(&format!("/{number}")));
        }
        assert_eq!(faults.switches()[Fault::Slow as usize].seen.len(), MOST_KINDS + 1);
    }

    #[test]
    fn clearing_turns_off_and_keeps_the_counts() {
        let faults = Faults::default();
        faults.switch(Fault::Hang, true, Some(Percent(20)));
        assert_eq!(faults.strike(get("/nowhere")), [Fault::Hang]);
        faults.clear();
        assert_eq!(faults.strike(get("/nowhere")), []);
        let state = faults.state(Fault::Hang);
        assert_eq!((state.on, state.percent, state.hits), (false, Percent(20), 1));
    }
}
