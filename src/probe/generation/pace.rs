//! How a job is followed: by asking again and again, or by a stream of events.
//!
//! Asks politely: never more often than the floor, spread by a jitter, later when the service asks for patience.

use std::time::Duration;

use crate::base::duration::HumanDuration;
use crate::base::hash::spread_64;
use crate::probe::api::call_settings;
use crate::probe::api::template::Template;

call_settings! {
    /// How the job is followed.
    pub struct Poll {
        /// Where the service sends events about the job (`text/event-stream`). The job is then followed there, and asked about
        /// at `url` only when the stream ends, or falls silent for 15s.
        pub stream: Option<Template>,
        /// How often to ask, at least 250ms; 2s unless given. Times that the service does not mark itself are known to
        /// within this span.
        pub every: Option<HumanDuration>,
        /// How long to wait before asking for the first time; `every` unless given.
        pub delay: Option<HumanDuration>,
    }
}

impl Poll {
    /// What is wrong with settings that are each fine alone.
    #[must_use]
    pub fn conflict(&self) -> Option<String> {
        if self.url.is_none() {
            return Some("`poll` lacks `url`".to_owned());
        }
        let every = self.every.filter(|every| every.get() < FLOOR)?;
        Some(format!("`every: {every}` is impolite; leave at least {} between two questions", HumanDuration(FLOOR)))
    }

    /// How long to wait before question `number`, counted from 0, when the service asked for `hint`.
    ///
    /// Spread by a tenth either way, so that jobs that were submitted together do not ask together; the same job is always
    /// spread the same way.
    #[must_use]
    pub fn wait(&self, job: &str, number: u32, hint: Option<Duration>) -> Duration {
        let every = self.every.map_or(EVERY, HumanDuration::get).max(FLOOR);
        let usual = if number == 0 { self.delay.map_or(every, HumanDuration::get) } else { every };
        let hash = spread_64(&[job, &number.to_string()]);
        #[expect(clippy::cast_precision_loss, reason = "a share needs no 64 bits")]
        let share = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        let spread = usual.mul_f64(0.9 + 0.2 * share);
        spread.max(hint.unwrap_or_default().min(LONGEST_HINT))
    }
}

const EVERY: Duration = Duration::from_secs(2);
/// Nobody is asked more often.
pub(super) const FLOOR: Duration = Duration::from_millis(250);
/// A service that asks for more patience than this is asked all the same.
const LONGEST_HINT: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn poll(settings: serde_json::Value) -> Poll {
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn waits_are_spread_and_the_same_each_time() {
        let poll = poll(json!({"url": "{status_url}", "every": "10s", "delay": "1s"}));
        assert!((0.9..1.1).contains(&poll.wait("j", 0, None).as_secs_f64()));
        let waits: Vec<_> = (1..200).map(|number| poll.wait("j", number, None)).collect();
        assert!(waits.iter().all(|wait| (9.0..11.0).contains(&wait.as_secs_f64())));
        assert!(waits.iter().collect::<std::collections::BTreeSet<_>>().len() > 190);
        assert_eq!(waits[7], poll.wait("j", 8, None));
        assert_ne!(waits[7], poll.wait("k", 8, None));
    }

    #[test]
    fn a_hint_is_obeyed_within_reason() {
        let poll = poll(json!({"url": "{status_url}"}));
        assert_eq!(poll.wait("j", 3, Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert!(poll.wait("j", 3, Some(Duration::ZERO)) >= Duration::from_millis(1800));
        assert_eq!(poll.wait("j", 3, Some(Duration::from_secs(86_400))), LONGEST_HINT);
    }

    #[test]
    fn impatience_is_refused() {
        assert!(poll(json!({"url": "{u}", "every": "100ms"})).conflict().is_some());
        assert!(poll(json!({"every": "1s"})).conflict().is_some());
    }
}
