//! When is the next attempt: pure functions of what a probe's schedule says and of what the clocks show.
//!
//! Slots stand on the wall clock (`k × every + phase`, or what the cron expression matches), so a restart or a reload
//! moves none of them. Sleeping is done on the monotonic clock. Every function here takes both clocks as one
//! [`Moment`] and turns a slot's wall time into the instant to sleep until.
//!
//! Does not sleep, does not run anything, does not ask what time it is.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::settings::{Confirm, CronExpression, Overlap};
use crate::base::clock::{Clock, Instant, Timestamp};
use crate::base::hash::spread_64;
use crate::model::result::Identity;

/// When a probe's attempts are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// One slot in each interval, at the probe's [`phase`]. Intervals below a millisecond count as one.
    Every(Duration),
    /// The moments that an expression matches in a zone. What a gap or a fold of that zone's clock does to them is
    /// croner's rule: a fixed time of day that falls into a gap runs right after it, and runs once in a fold; an
    /// expression with a wildcard or a range in its time follows the clock on the wall.
    Cron {
        /// What to match.
        expression: CronExpression,
        /// Whose clock.
        zone: TimeZone,
    },
}

/// When, and under which rules, one probe's attempts are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cadence {
    /// When attempts are due.
    pub when: When,
    /// The deadline of each; may exceed the interval.
    pub timeout: Duration,
    /// What happens when one is due while another runs.
    pub overlap: Overlap,
    /// The second look after a first failure, if any.
    pub confirm: Option<Confirm>,
    /// Whether a job with a long interval runs once soon after it is new, instead of waiting for its slot.
    pub first_look: bool,
}

/// What both clocks show at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, which may jump.
    pub wall: Timestamp,
    /// The monotonic clock, which stands still while the machine is suspended.
    pub instant: Instant,
}

impl Moment {
    /// Both clocks now.
    #[must_use]
    pub fn now(clock: &Clock) -> Self {
        Self { wall: clock.now(), instant: Instant::now() }
    }

    /// What the wall clock shows at `instant`, if nobody moves it until then.
    #[must_use]
    pub fn wall_at(self, instant: Instant) -> Timestamp {
        let ahead = nanos(instant.saturating_duration_since(self.instant));
        let behind = nanos(self.instant.saturating_duration_since(instant));
        timestamp(self.wall.as_nanosecond() + ahead - behind)
    }

    /// The instant at which the wall clock shows `wall`; `None` when no instant is that far away.
    #[must_use]
    pub fn instant_at(self, wall: Timestamp) -> Option<Instant> {
        let ahead = wall.as_nanosecond() - self.wall.as_nanosecond();
        let distance = duration(ahead.abs());
        if ahead >= 0 { self.instant.checked_add(distance) } else { self.instant.checked_sub(distance) }
    }

    /// The slot at `wall`.
    fn slot(self, wall: Timestamp) -> Option<Self> {
        Some(Self { wall, instant: self.instant_at(wall)? })
    }
}

/// Where in each interval of `every` a probe's slot lies, in whole milliseconds: the same on every machine, after
/// every restart and in every release.
///
/// Hashes of (probe, region), so probes spread evenly, and one probe's regions take turns instead of all coming at once.
#[must_use]
pub fn phase(every: Duration, probe: &str, region: &str) -> Duration {
    // 32 bits of hash times at most 75 bits of milliseconds: no overflow, and finer than a millisecond up to 49 days.
    let millis = (u128::from(spread_64(&[probe, region]) >> 32) * every.as_millis()) >> 32;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

impl When {
    /// This probe's place in the interval. Zero for cron, which names its moments itself.
    #[must_use]
    pub fn phase(&self, identity: &Identity) -> Duration {
        match self {
            Self::Every(every) => phase(*every, identity.probe.as_str(), &identity.region),
            Self::Cron { .. } => Duration::ZERO,
        }
    }

    /// When a probe that is new here may be looked at before its first slot: within [`FIRST_LOOK`], spread like the
    /// slots. `None` where the first slot is near anyway, and for cron, whose moments a user chose with care.
    #[must_use]
    pub fn first_look(&self, identity: &Identity, now: Instant) -> Option<Instant> {
        match self {
            Self::Every(every) if *every > FIRST_LOOK => {
                Some(now + phase(FIRST_LOOK, identity.probe.as_str(), &identity.region))
            }
            _ => None,
        }
    }

    /// The first slot from now on of a schedule that is new, or changed after a slot at `last`. `None` when no slot
    /// will ever come.
    ///
    /// A changed interval stands under the guard of [`Self::next`]. A changed expression does not: its moments mean
    /// nothing to the old one's.
    #[must_use]
    pub fn first(&self, phase: Duration, last: Option<Instant>, now: Moment) -> Option<Moment> {
        let last = last.filter(|_| matches!(self, Self::Every(_)));
        self.search(phase, now.instant, last, now)
    }

    /// The slot that follows the one at `last`.
    ///
    /// A slot that comes less than half its own interval after `last` is passed over: a clock that was slewed back, or
    /// a timer that woke a hair early, fires nothing twice. So two slots lie between 0.5 and 1.5 intervals apart
    /// whatever the wall clock does. `None` when no slot will ever come.
    #[must_use]
    pub fn next(&self, phase: Duration, last: Instant, now: Moment) -> Option<Moment> {
        self.search(phase, last, Some(last), now)
    }

    /// The slot to wait for after the wall clock was found to have jumped (or the machine to have slept) while
    /// `planned` was waited for.
    ///
    /// An interval keeps to the earlier of the old plan and the new grid: never late, and as spread out as before. A
    /// cron moment that the jump went past is made up for once, now. After a jump back, both go by the new time.
    #[must_use]
    pub fn replanned(
        &self,
        phase: Duration,
        planned: Option<Moment>,
        last: Option<Instant>,
        now: Moment,
    ) -> Option<Moment> {
        let fresh = || self.search(phase, now.instant, last, now);
        let Some(planned) = planned else { return fresh() };
        let kept = Moment { wall: now.wall_at(planned.instant), instant: planned.instant };
        match self {
            Self::Every(_) => fresh().filter(|fresh| fresh.instant < kept.instant).or(Some(kept)),
            Self::Cron { .. } if planned.instant <= now.instant => Some(kept),
            Self::Cron { .. } if planned.wall <= now.wall => Some(now),
            Self::Cron { .. } => fresh(),
        }
    }

    /// The latest slot that has come by `now`, when `slot` is waited for and has come; and how many were missed,
    /// because nobody woke in time. Counted on the monotonic clock: neither a jump nor a suspend misses a slot.
    ///
    /// Counts exactly up to [`MOST_MISSED`] cron moments.
    #[must_use]
    pub fn overdue(&self, slot: Moment, now: Instant) -> (Moment, u64) {
        let lag = now.saturating_duration_since(slot.instant);
        match self {
            Self::Every(every) => {
                let missed = nanos(lag) / interval(*every);
                let passed = missed * interval(*every);
                let latest = Moment {
                    wall: timestamp(slot.wall.as_nanosecond() + passed),
                    instant: slot.instant + duration(passed),
                };
                (latest, u64::try_from(missed).unwrap_or(u64::MAX))
            }
            Self::Cron { expression, zone } => {
                let end = timestamp(slot.wall.as_nanosecond() + nanos(lag));
                let mut latest = slot;
                let mut missed = 0;
                while missed < MOST_MISSED
                    && let Some(wall) = occurrence_from(expression, zone, latest.wall.as_nanosecond() + 1)
                    && wall <= end
                    && let Some(later) = slot.slot(wall)
                {
                    latest = later;
                    missed += 1;
                }
                (latest, missed)
            }
        }
    }

    /// The first slot at or after `earliest` that is not too near to `last`.
    fn search(&self, phase: Duration, earliest: Instant, last: Option<Instant>, now: Moment) -> Option<Moment> {
        match self {
            Self::Every(every) => {
                let every = interval(*every);
                let guarded = last.and_then(|last| last.checked_add(duration(every / 2)));
                let from = now.wall_at(guarded.map_or(earliest, |guarded| guarded.max(earliest))).as_nanosecond();
                now.slot(timestamp(from + (nanos(phase) - from).rem_euclid(every)))
            }
            Self::Cron { expression, zone } => {
                let mut from = now.wall_at(earliest).as_nanosecond();
                // The second moment is at least as far from `last` as from the first: it never falls to the guard.
                for _ in 0..3 {
                    let slot = now.slot(occurrence_from(expression, zone, from)?)?;
                    let gap = last.map(|last| slot.instant.saturating_duration_since(last));
                    if gap.is_none_or(|gap| gap >= cron_interval(expression, zone, slot.wall) / 2) {
                        return Some(slot);
                    }
                    from = slot.wall.as_nanosecond() + 1;
                }
                None
            }
        }
    }
}

/// The first moment at or after `from` (nanoseconds since the epoch) that the expression matches.
fn occurrence_from(expression: &CronExpression, zone: &TimeZone, from: i128) -> Option<Timestamp> {
    // croner counts whole seconds and finds what comes after its start, so it starts one second before the first whole
    // one. (Its inclusive search would miss a fixed time that a gap moved to this very second.)
    let second = from.div_euclid(SECOND) + i128::from(from.rem_euclid(SECOND) > 0);
    let before = Timestamp::from_second(i64::try_from(second).ok()?.checked_sub(1)?).ok()?;
    let found = expression.cron().find_next_occurrence(&before.to_zoned(zone.clone()), false).ok()?;
    Some(found.timestamp())
}

/// From the moment before `slot` to `slot`; at least a second, the finest that cron can say.
fn cron_interval(expression: &CronExpression, zone: &TimeZone, slot: Timestamp) -> Duration {
    let before = expression.cron().find_previous_occurrence(&slot.to_zoned(zone.clone()), false);
    let span = before.map_or(0, |before| slot.as_nanosecond() - before.timestamp().as_nanosecond());
    duration(span.max(SECOND))
}

fn interval(every: Duration) -> i128 {
    nanos(every).max(1_000_000)
}

fn nanos(span: Duration) -> i128 {
    // A `Duration` holds at most 2^64 seconds, which is 2^94 nanoseconds.
    i128::try_from(span.as_nanos()).unwrap_or(i128::MAX / 4)
}

fn duration(nanos: i128) -> Duration {
    let seconds = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
    Duration::new(seconds, u32::try_from(nanos.rem_euclid(SECOND)).unwrap_or(0))
}

fn timestamp(nanos: i128) -> Timestamp {
    let range = Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond();
    let nanos = nanos.clamp(*range.start(), *range.end());
    Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX)
}

const SECOND: i128 = 1_000_000_000;

/// A probe whose interval is longer than this gets a first look within it after the agent starts or the probe is
/// added, so that nobody waits an hour for the first result of an hourly probe.
pub const FIRST_LOOK: Duration = Duration::from_secs(30);

/// Where counting missed cron moments ends: a day of one every second, and some.
pub const MOST_MISSED: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(30);

    fn moment(wall: &str) -> Moment {
        Moment { wall: wall.parse().unwrap(), instant: Instant::now() }
    }

    /// The same moment later, on both clocks.
    fn later(moment: Moment, span: Duration) -> Moment {
        let instant = moment.instant + span;
        Moment { wall: moment.wall_at(instant), instant }
    }

    /// The same moment after somebody moved the wall clock.
    fn stepped(moment: Moment, seconds: i64) -> Moment {
        let wall = Timestamp::from_nanosecond(moment.wall.as_nanosecond() + i128::from(seconds) * SECOND).unwrap();
        Moment { wall, ..moment }
    }

    fn cron(text: &str, zone: &str) -> When {
        When::Cron { expression: text.parse().unwrap(), zone: TimeZone::get(zone).unwrap() }
    }

    /// The next `count` slots as wall times, each planned when the one before comes.
    fn slots(when: &When, start: &str, count: usize) -> Vec<String> {
        let mut slot = when.first(Duration::ZERO, None, moment(start));
        let mut walls = Vec::new();
        while let Some(current) = slot
            && walls.len() < count
        {
            walls.push(current.wall.to_string());
            slot = when.next(Duration::ZERO, current.instant, current);
        }
        walls
    }

    #[test]
    fn ten_thousand_probes_fill_every_hundredth_of_the_interval() {
        let mut buckets = [0_u32; 100];
        for number in 0..10_000 {
            let phase = phase(Duration::from_secs(10), &format!("probe-{number}"), "eu");
            buckets[usize::try_from(phase.as_millis() / 100).unwrap()] += 1;
        }
        assert!(buckets.iter().all(|count| (40..=160).contains(count)), "{buckets:?}");
    }

    #[test]
    fn regions_take_turns() {
        let phases: Vec<_> = ["eu", "us", "ap", "sa"].map(|region| phase(EVERY, "pika-web", region)).into();
        for (index, one) in phases.iter().enumerate() {
            assert!(phases[..index].iter().all(|other| one.abs_diff(*other) > Duration::from_secs(1)), "{phases:?}");
        }
        assert_eq!(phases[0], phase(EVERY, "pika-web", "eu"));
    }

    #[test]
    fn a_phase_never_changes_between_releases() {
        assert_eq!(phase(EVERY, "pika-web", "eu-west-1"), Duration::from_millis(3_319));
        assert!(phase(Duration::MAX, "pika-web", "eu-west-1") < Duration::MAX);
    }

    #[test]
    fn slots_stand_on_the_wall_clock_whenever_one_starts() {
        let phase = Duration::from_millis(12_345);
        for start in ["2026-01-01T00:00:12.345Z", "2026-01-01T00:00:00Z", "2025-12-31T23:59:42.346Z"] {
            let slot = When::Every(EVERY).first(phase, None, moment(start)).unwrap();
            assert_eq!(slot.wall.to_string(), "2026-01-01T00:00:12.345Z");
        }
    }

    #[test]
    fn waking_early_or_late_neither_doubles_nor_loses_a_slot() {
        let when = When::Every(EVERY);
        let slot = moment("2026-01-01T00:00:30Z");
        for off_by in [-14_000_i64, -1, 0, 1, 14_000] {
            // The wall clock was slewed by so many milliseconds when the slot came.
            let wall = Timestamp::from_nanosecond(slot.wall.as_nanosecond() + i128::from(off_by) * 1_000_000).unwrap();
            let next = when.next(Duration::ZERO, slot.instant, Moment { wall, ..slot }).unwrap();
            assert_eq!(next.wall.to_string(), "2026-01-01T00:01:00Z", "{off_by}");
        }
    }

    #[test]
    fn whatever_the_wall_clock_does_slots_stay_between_half_and_one_and_a_half_intervals_apart() {
        let when = When::Every(EVERY);
        let phase = Duration::from_millis(7_001);
        for step in (-100_000..100_000).step_by(977).chain([-86_400, 86_400, 3_600, -3_600, 1, -1]) {
            let slot = moment("2026-03-04T05:06:07.001Z");
            let next = when.next(phase, slot.instant, stepped(slot, step)).unwrap();
            let gap = next.instant - slot.instant;
            assert!(gap >= EVERY / 2 && gap < EVERY * 3 / 2, "{step}: {gap:?}");
        }
    }

    #[test]
    fn a_jump_while_waiting_neither_hurries_nor_delays_an_interval() {
        let when = When::Every(Duration::from_secs(3_600));
        let slot = moment("2026-03-04T05:00:00Z");
        let planned = when.next(Duration::ZERO, slot.instant, slot);
        for (waited, step) in [(10, 86_400), (10, -86_400), (1_900, 1_000), (3_599, 7_200), (3_599, -7_200), (100, 45)]
        {
            let now = stepped(later(slot, Duration::from_secs(waited)), step);
            let next = when.replanned(Duration::ZERO, planned, Some(slot.instant), now).unwrap();
            let gap = (next.instant - slot.instant).as_secs();
            assert!((1_800..=3_600).contains(&gap), "{waited} {step}: {gap}");
            assert!(next.instant >= now.instant, "{waited} {step}");
            assert_eq!(next.wall, now.wall_at(next.instant));
        }
    }

    #[test]
    fn an_interval_of_nothing_is_a_millisecond() {
        let slot = moment("2026-01-01T00:00:00Z");
        let next = When::Every(Duration::ZERO).next(Duration::ZERO, slot.instant, slot).unwrap();
        assert_eq!(next.instant - slot.instant, Duration::from_millis(1));
    }

    #[test]
    fn missed_slots_are_counted_exactly() {
        let slot = moment("2026-01-01T00:00:30Z");
        for (when, lag, missed, latest) in [
            (When::Every(EVERY), 29_999, 0, "2026-01-01T00:00:30Z"),
            (When::Every(EVERY), 30_000, 1, "2026-01-01T00:01:00Z"),
            (When::Every(EVERY), 95_000, 3, "2026-01-01T00:02:00Z"),
            (cron("30 * * * * *", "UTC"), 59_999, 0, "2026-01-01T00:00:30Z"),
            (cron("30 * * * * *", "UTC"), 130_000, 2, "2026-01-01T00:02:30Z"),
        ] {
            let (found, count) = when.overdue(slot, slot.instant + Duration::from_millis(lag));
            assert_eq!((count, found.wall.to_string().as_str()), (missed, latest), "{when:?} {lag}");
            assert_eq!(Some(found.instant), slot.instant_at(found.wall));
        }
    }

    #[test]
    fn cron_follows_its_zone_through_the_gap() {
        // Berlin, 29 March 2026: 02:00 to 03:00 does not exist. A fixed time runs right after it.
        assert_eq!(
            slots(&cron("30 2 * * *", "Europe/Berlin"), "2026-03-28T00:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        // What repeats goes on at the same pace.
        assert_eq!(
            slots(&cron("*/30 * * * *", "Europe/Berlin"), "2026-03-29T00:15:00Z", 4),
            ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z"]
        );
    }

    #[test]
    fn cron_follows_its_zone_through_the_fold() {
        // Berlin, 25 October 2026: 02:00 to 03:00 comes twice. A fixed time runs at its first coming only.
        assert_eq!(
            slots(&cron("30 2 * * *", "Europe/Berlin"), "2026-10-24T00:00:00Z", 3),
            ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(
            slots(&cron("*/30 * * * *", "Europe/Berlin"), "2026-10-25T00:00:00Z", 4),
            ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"]
        );
    }

    #[test]
    fn uneven_cron_moments_all_come() {
        assert_eq!(
            slots(&cron("0,1 9,10 * * *", "UTC"), "2026-01-01T00:00:00Z", 5),
            [
                "2026-01-01T09:00:00Z",
                "2026-01-01T09:01:00Z",
                "2026-01-01T10:00:00Z",
                "2026-01-01T10:01:00Z",
                "2026-01-02T09:00:00Z"
            ]
        );
    }

    #[test]
    fn a_cron_moment_does_not_come_twice_when_the_clock_goes_back() {
        let when = cron("0 9 * * *", "UTC");
        let slot = moment("2026-01-01T09:00:00Z");
        for back in [1, 3_600] {
            let now = stepped(later(slot, Duration::from_millis(200)), -back);
            let planned = when.next(Duration::ZERO, slot.instant, slot);
            let next = when.replanned(Duration::ZERO, planned, Some(slot.instant), now).unwrap();
            assert_eq!(next.wall.to_string(), "2026-01-02T09:00:00Z", "{back}");
        }
        // A day back is another day.
        let now = stepped(later(slot, Duration::from_secs(60)), -86_400);
        let planned = when.next(Duration::ZERO, slot.instant, slot);
        let next = when.replanned(Duration::ZERO, planned, Some(slot.instant), now).unwrap();
        assert_eq!(next.wall.to_string(), "2026-01-01T09:00:00Z");
        assert_eq!(next.instant - now.instant, Duration::from_secs(86_400 - 60));
    }

    #[test]
    fn a_cron_moment_that_a_jump_went_past_comes_once_now() {
        let when = cron("0 9 * * *", "UTC");
        let before = moment("2026-01-01T08:59:59Z");
        let planned = when.first(Duration::ZERO, None, before);
        for step in [1, 3_600, 10 * 86_400] {
            let now = stepped(later(before, Duration::from_millis(500)), step);
            let made_up = when.replanned(Duration::ZERO, planned, None, now).unwrap();
            assert_eq!(made_up, now);
            let next = when.next(Duration::ZERO, made_up.instant, now).unwrap();
            assert!(next.instant - now.instant >= Duration::from_secs(12 * 3_600), "{step}");
        }
    }

    #[test]
    fn what_never_matches_never_comes() {
        let when = cron("0 0 30 2 *", "Europe/Berlin");
        let now = moment("2026-01-01T00:00:00Z");
        assert_eq!(when.first(Duration::ZERO, None, now), None);
        assert_eq!(when.replanned(Duration::ZERO, None, None, stepped(now, 86_400)), None);
    }
}
