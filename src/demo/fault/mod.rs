//! The faults that the simulated service can have: what they are, and which occasions they can hit.
//!
//! The table says what people are told, [`switch`] turns faults on and decides what they do hit. What is done to what
//! was hit stands elsewhere: requests in [`super::strike`], jobs, files and lists where they are made.

pub mod switch;
mod table;

use std::str::FromStr;

use axum::http::Method;

pub use self::switch::Faults;
pub use self::table::TABLE;

/// One way in which the service can be broken. In the order in which they take hold.
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
    /// The queue refuses the right key.
    KeyRefused,
    /// Strangers' jobs come before the next one.
    Burst,
    /// The queue stands still.
    Backup,
    /// The job is accepted and forgotten.
    JobLost,
    /// The job never ends.
    StuckWorker,
    /// The job stays in a state that is not documented.
    UnknownState,
    /// The job ends in an error of the service.
    CrashedRunner,
    /// The job's result is a refusal of the prompt.
    Refusal,
    /// The job's result holds no video.
    NoVideo,
    /// The job fails and keeps its credit.
    CreditTaken,
    /// The file comes very slowly.
    SlowDrip,
    /// The link has expired when it is handed out.
    LinkExpired,
    /// A TCP reset in the middle of the file.
    BrokenTransfer,
    /// Ranges are ignored.
    NoRanges,
    /// The file lacks its index.
    NotPlayable,
    /// The file was stored half.
    CutFile,
    /// The file has no picture.
    AudioOnly,
    /// The file's picture is black.
    BlackVideo,
    /// The file is a web page.
    HtmlFile,
    /// The file is empty.
    EmptyFile,
    /// The library's list is empty.
    LibraryEmpty,
    /// The library's list lacks the last day.
    LibraryStale,
    /// The library's old files lack their index.
    LibraryUnplayable,
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
    /// What it can hit.
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
    /// The queue that takes and renders jobs.
    Queue,
    /// The store of video files.
    Files,
    /// The list of what was made.
    Library,
}

/// Something that happens in the service, and that faults can hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion<'a> {
    /// A request comes in, for a path.
    Request(&'a Method, &'a str),
    /// A job is accepted.
    Job,
    /// A link to a file is handed out. What is wrong with the file is decided here, and not at each request for it, so
    /// that someone who fetches it in pieces gets pieces of one file.
    Link(Source),
    /// The library's list is made.
    Listing,
}

/// Where a link to a file is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In a job's result.
    Result,
    /// In the library.
    Library,
    /// In the library, for what was made more than a day ago.
    Old,
}

/// A set of occasions.
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
    /// Every request to the queue.
    Queue,
    /// Every job.
    Jobs,
    /// Every link to a file.
    Links,
    /// Every link to an old file.
    OldLinks,
    /// Every list of the library.
    Listings,
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

    /// True when it only delays, so that another fault can come on top.
    #[must_use]
    pub const fn is_delay(self) -> bool {
        matches!(self, Self::Slow | Self::Burst | Self::SlowDrip)
    }
}

impl Part {
    /// All parts, in the order of the table.
    pub const ALL: [Self; 6] = [Self::Connection, Self::Gateway, Self::App, Self::Queue, Self::Files, Self::Library];

    /// The part's name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Gateway => "gateway",
            Self::App => "app",
            Self::Queue => "queue",
            Self::Files => "files",
            Self::Library => "library",
        }
    }

    /// The part's name for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Connection => "Connection",
            Self::Gateway => "Gateway",
            Self::App => "Web app",
            Self::Queue => "Render queue",
            Self::Files => "Video files",
            Self::Library => "Library",
        }
    }
}

impl Scope {
    /// True when an occasion is in the set.
    #[must_use]
    pub fn covers(self, occasion: Occasion<'_>) -> bool {
        match (self, occasion) {
            (Self::Jobs, Occasion::Job) | (Self::Links, Occasion::Link(_)) | (Self::Listings, Occasion::Listing) => {
                true
            }
            (Self::OldLinks, Occasion::Link(source)) => source == Source::Old,
            (_, Occasion::Request(method, path)) => self.covers_request(method, path),
            _ => false,
        }
    }

    fn covers_request(self, method: &Method, path: &str) -> bool {
        let page = matches!(path, "/" | "/library");
        let sign_in = path == "/login" && method == Method::POST;
        match self {
            Self::Everything => true,
            Self::Pages => page,
            Self::PagesAndSignIn => page || (path == "/login" && method != Method::POST),
            Self::Api => path.starts_with("/api/") || path.starts_with("/queue/") || sign_in,
            Self::SignIn => path == "/api/me" || sign_in,
            Self::Bundle => path == "/assets/app.js",
            Self::Queue => path.starts_with("/queue/"),
            Self::Jobs | Self::Links | Self::OldLinks | Self::Listings => false,
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
            Self::Queue => "queue calls",
            Self::Jobs => "new jobs",
            Self::Links => "new links",
            Self::OldLinks => "links to old ones",
            Self::Listings => "library lists",
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
            (Method::POST, "/queue/reverie/text-to-video"),
            (Method::GET, "/files/clip.mp4"),
        ];
        let covered = |scope: Scope| {
            let is_covered = |(method, path): &(Method, &str)| scope.covers(Occasion::Request(method, path));
            let marks = all.iter().map(|request| if is_covered(request) { 'x' } else { '.' });
            marks.collect::<String>()
        };
        assert_eq!(covered(Scope::Everything), "xxxxxxxxx");
        assert_eq!(covered(Scope::Pages), "xx.......");
        assert_eq!(covered(Scope::PagesAndSignIn), "xxx......");
        assert_eq!(covered(Scope::Api), "...xxx.x.");
        assert_eq!(covered(Scope::SignIn), "...xx....");
        assert_eq!(covered(Scope::Bundle), "......x..");
        assert_eq!(covered(Scope::Queue), ".......x.");
        for scope in [Scope::Jobs, Scope::Links, Scope::OldLinks, Scope::Listings] {
            assert_eq!(covered(scope), ".........", "{scope:?} hits what the service does, not requests");
        }
    }

    #[test]
    fn what_the_service_does_is_hit_by_its_own_faults() {
        let occasions = [
            Occasion::Job,
            Occasion::Link(Source::Result),
            Occasion::Link(Source::Library),
            Occasion::Link(Source::Old),
            Occasion::Listing,
        ];
        let covered = |scope: Scope| occasions.map(|occasion| scope.covers(occasion));
        assert_eq!(covered(Scope::Jobs), [true, false, false, false, false]);
        assert_eq!(covered(Scope::Links), [false, true, true, true, false]);
        assert_eq!(covered(Scope::OldLinks), [false, false, false, true, false]);
        assert_eq!(covered(Scope::Listings), [false, false, false, false, true]);
        assert_eq!(covered(Scope::Everything), [false; 5], "it means requests");
    }
}
