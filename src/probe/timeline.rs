//! The record of one attempt while it runs: which phase it is in, and what it has learned so far.
//!
//! Lives outside the attempt's future, so that what was learned survives a deadline or a panic. Decides nothing.

use std::time::Duration;

use crate::base::bounded::{printable, tidy};
use crate::base::clock::Instant;
use crate::model::result::{Findings, Step};

/// What an attempt has done so far.
#[derive(Debug)]
pub struct Timeline {
    start: Instant,
    open: Option<(&'static str, Instant)>,
    findings: Findings,
}

impl Timeline {
    /// A timeline that starts now.
    #[must_use]
    pub fn start() -> Self {
        // Room for what a usual attempt learns, so that the vectors do not grow piece by piece.
        let findings = Findings {
            phases: Vec::with_capacity(5),
            measures: Vec::with_capacity(12),
            facts: Vec::with_capacity(4),
            steps: Vec::with_capacity(6),
        };
        Self { start: Instant::now(), open: None, findings }
    }

    /// When the attempt started.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.start
    }

    /// Time since the attempt started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Enters a phase, leaving the one before it. Time in phases of one name adds up, as over redirects.
    pub fn enter(&mut self, phase: &'static str) {
        let now = Instant::now();
        self.close(now, String::new());
        self.open = Some((phase, now));
    }

    /// Leaves the current phase as of `then` and enters `phase` from there on: the change was noticed late.
    pub fn enter_since(&mut self, phase: &'static str, then: Instant, detail: impl Into<String>) {
        self.close(then, detail.into());
        self.open = Some((phase, then));
    }

    /// Leaves the current phase, with a few words on what came of it.
    pub fn leave(&mut self, detail: impl Into<String>) {
        self.close(Instant::now(), detail.into());
    }

    /// The phase it is in, and for how long.
    #[must_use]
    pub fn current(&self) -> Option<(&'static str, Duration)> {
        self.open.map(|(phase, since)| (phase, since.elapsed()))
    }

    /// True when the phase was entered, whether or not it was left.
    #[must_use]
    pub fn has_entered(&self, phase: &str) -> bool {
        self.open.is_some_and(|(open, _)| open == phase) || self.findings.phase(phase).is_some()
    }

    /// Notes something that took no time of its own, such as a rule that did not hold.
    pub fn note(&mut self, name: &'static str, detail: impl Into<String>) {
        let at = self.start.elapsed();
        self.step(Step { name, at, took: Duration::ZERO, detail: detail.into() });
    }

    /// Records a number, replacing an earlier one of that key.
    pub fn measure(&mut self, key: &'static str, value: f64) {
        match self.findings.measures.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.findings.measures.push((key, value)),
        }
    }

    /// Records a text, bounded and made printable, replacing an earlier one of that key.
    pub fn fact(&mut self, key: &'static str, text: &str) {
        let text = printable(text, MAX_FACT);
        match self.findings.facts.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = text,
            None => self.findings.facts.push((key, text)),
        }
    }

    /// Forgets measures and facts with these keys: a redirect's certificate says nothing about the final answer.
    pub fn forget(&mut self, keys: &[&str]) {
        self.findings.measures.retain(|(key, _)| !keys.contains(key));
        self.findings.facts.retain(|(key, _)| !keys.contains(key));
    }

    /// A copy of the measures and facts with these keys, to be put back with [`Self::recall`].
    #[must_use]
    pub fn remember(&self, keys: &[&str]) -> Remembered {
        let Findings { measures, facts, .. } = &self.findings;
        Remembered {
            measures: measures.iter().filter(|(key, _)| keys.contains(key)).copied().collect(),
            facts: facts.iter().filter(|(key, _)| keys.contains(key)).cloned().collect(),
        }
    }

    /// Records again what was remembered: a reused connection is still the one that its first attempt described.
    pub fn recall(&mut self, remembered: &Remembered) {
        remembered.measures.iter().for_each(|(key, value)| self.measure(key, *value));
        remembered.facts.iter().for_each(|(key, text)| self.fact(key, text));
    }

    /// What was recorded so far.
    #[must_use]
    pub const fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Ends the record; a phase still open counts up to now.
    #[must_use]
    pub fn finish(mut self) -> (Duration, Findings) {
        let now = Instant::now();
        self.close(now, String::new());
        (now - self.start, self.findings)
    }

    fn close(&mut self, now: Instant, detail: String) {
        let Some((phase, since)) = self.open.take() else { return };
        let took = now.saturating_duration_since(since);
        match self.findings.phases.iter_mut().find(|(known, _)| *known == phase) {
            Some((_, total)) => *total += took,
            None => self.findings.phases.push((phase, took)),
        }
        self.step(Step { name: phase, at: since.saturating_duration_since(self.start), took, detail });
    }

    fn step(&mut self, mut step: Step) {
        if self.findings.steps.len() < MAX_STEPS {
            step.detail = tidy(step.detail, MAX_DETAIL);
            self.findings.steps.push(step);
        }
    }
}

/// Measures and facts of an earlier attempt.
#[derive(Debug, Default)]
pub struct Remembered {
    measures: Vec<(&'static str, f64)>,
    facts: Vec<(&'static str, String)>,
}

const MAX_STEPS: usize = 300;
const MAX_DETAIL: usize = 400;
const MAX_FACT: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn phases_of_one_name_add_up_and_an_open_one_counts() {
        let mut timeline = Timeline::start();
        for _ in 0..2 {
            timeline.enter("connect");
            tokio::time::advance(Duration::from_millis(5)).await;
            timeline.enter("processing");
            tokio::time::advance(Duration::from_millis(7)).await;
        }
        assert_eq!(timeline.current(), Some(("processing", Duration::from_millis(7))));
        let (took, findings) = timeline.finish();
        assert_eq!(took, Duration::from_millis(24));
        assert_eq!(findings.phase("connect"), Some(Duration::from_millis(10)));
        assert_eq!(findings.phase("processing"), Some(Duration::from_millis(14)));
        assert_eq!(findings.steps.len(), 4);
        assert_eq!(findings.steps[2].at, Duration::from_millis(12));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_of_one_attempt_can_be_told_by_the_next() {
        let mut first = Timeline::start();
        first.fact("remote", "192.0.2.1:443");
        first.fact("protocol", "HTTP/2");
        first.measure("ip_protocol", 4.0);
        let kept = first.remember(&["remote", "ip_protocol"]);
        let mut second = Timeline::start();
        second.recall(&kept);
        assert_eq!(second.findings().fact("remote"), Some("192.0.2.1:443"));
        assert_eq!(second.findings().measure("ip_protocol"), Some(4.0));
        assert_eq!(second.findings().fact("protocol"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_target_says_is_bounded() {
        let mut timeline = Timeline::start();
        timeline.fact("subject", &"x\n".repeat(10_000));
        for _ in 0..1_000 {
            timeline.note("redirect", "y".repeat(10_000));
        }
        let (_, findings) = timeline.finish();
        assert!(findings.facts[0].1.len() < 2_000);
        assert_eq!(findings.steps.len(), MAX_STEPS);
        assert!(findings.steps.iter().all(|step| step.detail.chars().count() <= MAX_DETAIL + 1));
    }
}
