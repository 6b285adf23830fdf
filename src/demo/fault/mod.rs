//! The faults that the simulated service can have: what they are called, and which requests they can hit.
//!
//! [`switch`] turns them on and decides which requests they do hit; what a hit request gets is [`super::strike`]'s work.

pub mod switch;

use std::str::FromStr;

use axum::http::Method;

pub use self::switch::Faults;

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

/// Why a text names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no fault is called `{}`; the faults are {}", crate::base::bounded::printable(.0, 40), names())]
pub struct UnknownFault(String);

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
            Self::PagesAndSignIn => "pages and /login",
            Self::Api => "API and sign-in",
            Self::SignIn => "sign-in, /api/me",
            Self::Bundle => "/assets/app.js",
        }
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = TABLE.iter().find(|row| row.name == text);
        found.map(|row| row.fault).ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

fn names() -> String {
    TABLE.map(|row| row.name).join(", ")
}

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
