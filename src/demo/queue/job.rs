//! One job: the course that was decided when it came, and where on it the job stands at a given time.
//!
//! Nothing runs: a job's stage follows from its times. Knows nothing of HTTP, credits or other jobs.

use std::time::Duration;

use crate::base::clock::{Instant, Timestamp};
use crate::base::hash::spread_64;
use crate::demo::fault::Fault;

/// A job, from its acceptance on.
#[derive(Debug)]
pub(in crate::demo) struct Job {
    /// Its name in addresses.
    pub(super) id: String,
    /// The beginning of its prompt.
    pub(super) title: String,
    pub(super) submitted_at: Instant,
    pub(super) created_at: Timestamp,
    pub(super) course: Course,
    /// From submission to the start, unless the queue stands still.
    wait: Duration,
    render: Duration,
    /// None while it is held in a queue that stands still.
    starts_at: Option<Instant>,
    cancelled_at: Option<Instant>,
}

/// What will become of a job, if nobody cancels it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// It ends, in this way.
    Ends(End),
    /// It is rendered for ever.
    Stuck,
    /// It stays in a state that is not documented for ever.
    Unknown,
}

/// How a job has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::demo) enum End {
    /// With a video.
    Video,
    /// As if with a video; there is none.
    NoVideo,
    /// The prompt was refused.
    Refused,
    /// The runner died.
    Crashed,
    /// In an error that costs the credit.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::demo) enum Stage {
    /// It waits behind this many others.
    Queued { position: u64 },
    /// It is being rendered.
    Rendering,
    /// It is in a state that is not documented.
    Unknown,
    /// It is over, after rendering for so long.
    Ended { end: End, rendered: Duration },
}

/// What a job's times are made of.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) number: u64,
    pub(super) prompt: &'a str,
    pub(super) course: Course,
    /// How long until the lanes are free of the jobs that came before.
    pub(super) delay: Duration,
    /// The queue stands still.
    pub(super) held: bool,
}

impl Job {
    /// A job accepted at `now`, which is `created_at` on the wall.
    pub(super) fn new(order: &Order<'_>, now: Instant, created_at: Timestamp) -> Self {
        let id = id(order.number);
        let mark = spread_64(&[&id]);
        let ahead = if order.held { HELD_AHEAD } else { FEWEST_AHEAD + mark % 5 };
        let wait = order.delay + place(ahead);
        let render = SHORTEST_RENDER + Duration::from_millis(mark / 5 % 400);
        let starts_at = (!order.held).then(|| now + wait);
        let title = order.prompt.trim().chars().take(TITLE).collect();
        let course = order.course;
        Self { id, title, submitted_at: now, created_at, course, wait, render, starts_at, cancelled_at: None }
    }

    pub(super) fn stage(&self, now: Instant) -> Stage {
        let ended = |end, rendered| Stage::Ended { end, rendered };
        if let Some(at) = self.cancelled_at {
            let rendered = self.starts_at.map_or(Duration::ZERO, |start| at.saturating_duration_since(start));
            return ended(End::Cancelled, rendered);
        }
        match self.starts_at {
            None => Stage::Queued { position: places(self.wait) },
            Some(start) if now < start => Stage::Queued { position: places(start - now) },
            Some(start) => match self.course {
                Course::Unknown => Stage::Unknown,
                Course::Ends(end) if now >= start + self.render => ended(end, self.render),
                Course::Ends(_) | Course::Stuck => Stage::Rendering,
            },
        }
    }

    /// When its credit comes back: at once when it has failed, unless that is what is wrong.
    pub(super) fn refunded_at(&self) -> Option<Instant> {
        match self.course {
            Course::Ends(End::Video | End::Failed) | Course::Stuck | Course::Unknown => None,
            Course::Ends(_) => Some(self.starts_at? + self.render),
        }
    }

    /// Ends it. The caller has seen that it had not ended.
    pub(super) fn cancel(&mut self, now: Instant) {
        self.cancelled_at = Some(now);
    }

    /// Lets a held job go on: the queue moves again.
    pub(super) fn release(&mut self, now: Instant) {
        if self.starts_at.is_none() {
            self.starts_at = Some(now + self.wait);
        }
    }
}

impl Course {
    /// The course of a job that these faults have hit.
    pub(super) fn of(struck: &[Fault]) -> Self {
        let course = struck.iter().find_map(|fault| match fault {
            Fault::StuckWorker => Some(Self::Stuck),
            Fault::UnknownState => Some(Self::Unknown),
            Fault::CrashedRunner => Some(Self::Ends(End::Crashed)),
            Fault::Refusal => Some(Self::Ends(End::Refused)),
            Fault::NoVideo => Some(Self::Ends(End::NoVideo)),
            Fault::CreditTaken => Some(Self::Ends(End::Failed)),
            _ => None,
        });
        course.unwrap_or(Self::Ends(End::Video))
    }
}

/// How long the lanes take for so many strangers' jobs.
pub(super) fn place(jobs: u64) -> Duration {
    Duration::from_millis(jobs * MILLIS_PER_JOB)
}

/// How many strangers' jobs take so long.
fn places(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX) / MILLIS_PER_JOB
}

/// A text in the shape of a UUID, always the same for the same number, that ends in the number.
fn id(number: u64) -> String {
    let mark = spread_64(&["job", &number.to_string()]);
    let (a, b, c, d) = (mark >> 32, mark >> 16 & 0xffff, mark >> 4 & 0x0fff, 0x8000 | mark & 0x3fff);
    format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{number:012x}")
}

/// The number that an id ends in. Any text may come; whether it is the job's id, the caller compares.
pub(super) fn number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.rsplit('-').next()?, 16).ok()
}

/// All lanes together finish twenty strangers' jobs a second.
const MILLIS_PER_JOB: u64 = 50;
/// Strangers' jobs ahead of any job, at least: 0.4 s.
const FEWEST_AHEAD: u64 = 8;
/// Strangers' jobs ahead when the queue stands still.
const HELD_AHEAD: u64 = 40;
const SHORTEST_RENDER: Duration = Duration::from_millis(1800);
/// As much of a prompt as is kept, in characters.
const TITLE: usize = 80;
