//! The faults that the simulated service can have, and the switches that turn them on while it runs.
//!
//! Decides which requests are hit, by counting and never by chance. What a hit request gets is [`super::strike`]'s work.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::Method;

use crate::base::hash::spread_64;

/// One way in which the service can be broken. In the order in which they take hold of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The answer is right and comes [`super::strike::DELAY`] late.
    Slow,
    /// A TCP reset in place of an answer.
    Reset,
    /// The request is read and never answered.
    Hang,
    /// The connection ends in the middle of the answer.
    Truncated,
    /// 503 with an error page.
    Unavailable,
    /// 429.
    RateLimited,
    /// Pages and the sign-in page redirect to each other.
    RedirectLoop,
    /// Right credentials are refused.
    AuthRefused,
    /// 200 with a maintenance page.
    WrongBody,
    /// The script bundle is answered with the page's HTML.
    JavascriptError,
}

/// What people are told about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The fault.
    pub fault: Fault,
    /// Its name in addresses and JSON.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The part of the service that it breaks.
    pub part: Part,
    /// The requests that it can hit.
    pub scope: Scope,
}

/// A part of the service that breaks on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The connection between user and service.
    Connection,
    /// The gateway in front of the web app.
    Gateway,
    /// The web app itself.
    App,
}

/// A set of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every request.
    Everything,
    /// The pages that people open.
    Pages,
    /// The pages that people open, and the sign-in page.
    PagesAndSignIn,
    /// Everything below `/api/`, and signing in.
    Api,
    /// Signing in, and what needs a token.
    SignIn,
    /// The script bundle.
    Bundle,
}

/// Of the requests that a fault can hit, how many of a hundred it does hit: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Percent(u8);

/// What one fault is doing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// True while it is switched on.
    pub on: bool,
    /// How many of the requests in its scope it hits while it is on.
    pub percent: Percent,
    /// Requests hit since the service started.
    pub hits: u64,
}

/// The switches of all faults. Shared by everything that serves; switched at run time.
#[derive(Debug)]
pub struct Faults(Mutex<[Switch; TABLE.len()]>);

#[derive(Debug)]
struct Switch {
    state: State,
    /// Requests in the fault's scope since it was last switched, by [`kind`]: with one count for all, "every second
    /// request" would always be the same half of the probes.
    seen: BTreeMap<u64, u64>,
}

/// Why a text names no fault or no percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No fault has this name.
    #[error("no fault is called `{}`; the faults are {}", crate::base::bounded::printable(.0, 40), names())]
    Unknown(String),
    /// Not a whole number from 1 to 100.
    #[error("expected a percentage from 1 to 100, got `{}`", crate::base::bounded::printable(.0, 40))]
    Percent(String),
}

impl Fault {
    /// What people are told about it.
    #[must_use]
    pub const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

impl Part {
    /// All parts, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Connection, Self::Gateway, Self::App];

    /// The part's name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Gateway => "gateway",
            Self::App => "app",
        }
    }

    /// The part's name for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Connection => "Connection",
            Self::Gateway => "Gateway",
            Self::App => "Web app",
        }
    }
}

impl Scope {
    /// True when a request is in the set.
    #[must_use]
    pub fn covers(self, method: &Method, path: &str) -> bool {
        let page = matches!(path, "/" | "/library");
        match self {
            Self::Everything => true,
            Self::Pages => page,
            Self::PagesAndSignIn => page || (path == "/login" && method != Method::POST),
            Self::Api => path.starts_with("/api/") || (path == "/login" && method == Method::POST),
            Self::SignIn => path == "/api/me" || (path == "/login" && method == Method::POST),
            Self::Bundle => path == "/assets/app.js",
        }
    }

    /// The set for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Everything => "every request",
            Self::Pages => "pages",
            Self::PagesAndSignIn => "pages and sign-in page",
            Self::Api => "API calls and sign-ins",
            Self::SignIn => "sign-ins and /api/me",
            Self::Bundle => "/assets/app.js",
        }
    }
}

impl Percent {
    /// Every request.
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
    /// Counts a request in the fault's scope, and says whether it is hit.
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

    /// The faults that hit this request, counted: any delay first, then at most one that takes the answer's place.
    pub(super) fn strike(&self, method: &Method, path: &str) -> Vec<Fault> {
        let kind = kind(method, path);
        let mut struck = Vec::new();
        for (row, switch) in TABLE.iter().zip(self.switches().iter_mut()) {
            if switch.state.on && row.scope.covers(method, path) && switch.count(kind) {
                struck.push(row.fault);
                if row.fault != Fault::Slow {
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

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = TABLE.iter().find(|row| row.name == text);
        found.map(|row| row.fault).ok_or_else(|| FaultError::Unknown(text.to_owned()))
    }
}

impl FromStr for Percent {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().parse() {
            Ok(number @ 1..=100) => Ok(Self(number)),
            _ => Err(FaultError::Percent(text.to_owned())),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

fn names() -> String {
    TABLE.map(|row| row.name).join(", ")
}

/// Requests of one kind are counted together.
fn kind(method: &Method, path: &str) -> u64 {
    spread_64(&[method.as_str(), path])
}

const MOST_KINDS: usize = 100;

/// Every fault, in the order of the enum.
pub const TABLE: [Row; 10] = [
    Row {
        fault: Fault::Slow,
        name: "slow",
        title: "Slow",
        about: "The answer is right and comes three seconds late.",
        part: Part::Connection,
        scope: Scope::Everything,
    },
    Row {
        fault: Fault::Reset,
        name: "reset",
        title: "Connection reset",
        about: "The request is read, then the connection is reset.",
        part: Part::Connection,
        scope: Scope::Everything,
    },
    Row {
        fault: Fault::Hang,
        name: "hang",
        title: "Hang",
        about: "The request is read and never answered.",
        part: Part::Connection,
        scope: Scope::Everything,
    },
    Row {
        fault: Fault::Truncated,
        name: "truncated",
        title: "Cut short",
        about: "The answer breaks off halfway through its body.",
        part: Part::Connection,
        scope: Scope::Everything,
    },
    Row {
        fault: Fault::Unavailable,
        name: "unavailable",
        title: "Unavailable",
        about: "503 and an error page: no server behind it is well.",
        part: Part::Gateway,
        scope: Scope::Everything,
    },
    Row {
        fault: Fault::RateLimited,
        name: "rate_limited",
        title: "Rate limited",
        about: "429 and Retry-After: the gateway thinks that we ask too often.",
        part: Part::Gateway,
        scope: Scope::Api,
    },
    Row {
        fault: Fault::RedirectLoop,
        name: "redirect_loop",
        title: "Redirect loop",
        about: "Each page sends to the sign-in page, which sends back.",
        part: Part::Gateway,
        scope: Scope::PagesAndSignIn,
    },
    Row {
        fault: Fault::AuthRefused,
        name: "auth_refused",
        title: "Sign-in refused",
        about: "401, even with the right password or token.",
        part: Part::App,
        scope: Scope::SignIn,
    },
    Row {
        fault: Fault::WrongBody,
        name: "wrong_body",
        title: "Wrong body",
        about: "200 and a maintenance page: a status check sees nothing.",
        part: Part::App,
        scope: Scope::Pages,
    },
    Row {
        fault: Fault::JavascriptError,
        name: "javascript_error",
        title: "JavaScript error",
        about: "A bad deploy: 200 and HTML where the script bundle should be.",
        part: Part::App,
        scope: Scope::Bundle,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum_and_speaks_in_sentences() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.fault as usize, index, "{}", row.name);
            assert_eq!(row.name.parse(), Ok(row.fault));
            assert!(row.about.ends_with('.') && row.about.len() <= 90, "{}", row.about);
        }
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
            assert_eq!(bad.parse::<Percent>(), Err(FaultError::Percent(bad.into())));
        }
    }

    #[test]
    fn a_delay_combines_and_one_fault_answers() {
        let faults = Faults::default();
        for fault in [Fault::Slow, Fault::Unavailable, Fault::WrongBody] {
            faults.switch(fault, true, None);
        }
        assert_eq!(faults.strike(&Method::GET, "/"), [Fault::Slow, Fault::Unavailable]);
        assert_eq!((faults.state(Fault::Slow).hits, faults.state(Fault::WrongBody).hits), (1, 0));
    }

    #[test]
    fn a_partial_fault_lets_the_next_one_answer() {
        let faults = Faults::default();
        faults.switch(Fault::Unavailable, true, Some(Percent(50)));
        faults.switch(Fault::WrongBody, true, None);
        let struck: Vec<_> = (0..4).flat_map(|_| faults.strike(&Method::GET, "/")).collect();
        assert_eq!(struck, [Fault::Unavailable, Fault::WrongBody, Fault::Unavailable, Fault::WrongBody]);
    }

    #[test]
    fn a_partial_fault_hits_every_page_in_turn() {
        let faults = Faults::default();
        faults.switch(Fault::Unavailable, true, Some(Percent(50)));
        for round in 0..6 {
            for path in ["/", "/library", "/login", "/api/me", "/api/health", "/assets/app.js", "/assets/app.css"] {
                assert_eq!(faults.strike(&Method::GET, path).len(), usize::from(round % 2 == 0), "{path} in {round}");
            }
        }
    }

    #[test]
    fn strangers_cannot_make_the_counts_grow() {
        let faults = Faults::default();
        faults.switch(Fault::Slow, true, Some(Percent(1)));
        for number in 0..1000 {
            faults.strike(&Method::GET, &format!("/{number}"));
        }
        assert_eq!(faults.switches()[Fault::Slow as usize].seen.len(), MOST_KINDS + 1);
    }

    #[test]
    fn clearing_turns_off_and_keeps_the_counts() {
        let faults = Faults::default();
        faults.switch(Fault::Hang, true, Some(Percent(20)));
        assert_eq!(faults.strike(&Method::GET, "/nowhere"), [Fault::Hang]);
        faults.clear();
        assert_eq!(faults.strike(&Method::GET, "/nowhere"), []);
        let state = faults.state(Fault::Hang);
        assert_eq!((state.on, state.percent, state.hits), (false, Percent(20), 1));
    }

    #[test]
    fn scopes_are_narrow() {
        let all = [
            (Method::GET, "/"),
            (Method::GET, "/library"),
            (Method::GET, "/login"),
            (Method::POST, "/login"),
            (Method::GET, "/api/me"),
            (Method::GET, "/api/health"),
            (Method::GET, "/assets/app.js"),
        ];
        let covered = |scope: Scope| all.iter().map(|(method, path)| scope.covers(method, path)).collect::<Vec<_>>();
        assert_eq!(covered(Scope::Everything), [true; 7]);
        assert_eq!(covered(Scope::Pages), [true, true, false, false, false, false, false]);
        assert_eq!(covered(Scope::PagesAndSignIn), [true, true, true, false, false, false, false]);
        assert_eq!(covered(Scope::Api), [false, false, false, true, true, true, false]);
        assert_eq!(covered(Scope::SignIn), [false, false, false, true, true, false, false]);
        assert_eq!(covered(Scope::Bundle), [false, false, false, false, false, false, true]);
    }
}
