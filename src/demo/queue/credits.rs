//! The account's credits: what a job takes, and what comes back.
//!
//! Knows no jobs: it is told what to take, what to give back, and when.

use std::collections::BTreeSet;

use crate::base::clock::Instant;

/// The account's balance. What comes back later is counted when somebody looks.
#[derive(Debug)]
pub(in crate::demo) struct Credits {
    balance: u32,
    /// When a credit comes back, and for which job.
    returns: BTreeSet<(Instant, u64)>,
}

impl Credits {
    pub(super) const fn new() -> Self {
        Self { balance: START, returns: BTreeSet::new() }
    }

    /// Takes what a job costs. A low balance is topped up first, so that the demo never runs dry.
    pub(super) fn take(&mut self, now: Instant) {
        if self.balance(now) <= LOW {
            self.balance += TOP_UP;
        }
        self.balance -= COST;
    }

    /// Gives a job's cost back at a time to come.
    pub(super) fn give_back_at(&mut self, at: Instant, job: u64) {
        self.returns.insert((at, job));
    }

    /// Gives a job's cost back now. `planned` is when it was to come back anyway, if it was.
    pub(super) fn give_back(&mut self, planned: Option<Instant>, job: u64) {
        if let Some(at) = planned {
            self.returns.remove(&(at, job));
        }
        self.balance += COST;
    }

    /// The balance, with what has come back by now.
    pub(super) fn balance(&mut self, now: Instant) -> u32 {
        while self.returns.first().is_some_and(|(at, _)| *at <= now) {
            self.returns.pop_first();
            self.balance += COST;
        }
        self.balance
    }

    #[cfg(test)]
    pub(super) fn awaited(&self) -> usize {
        self.returns.len()
    }
}

/// What the account starts with.
pub(super) const START: u32 = 120;
const COST: u32 = 1;
/// At this balance the account buys [`TOP_UP`] more, as accounts with automatic recharge do.
const LOW: u32 = 20;
const TOP_UP: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn what_is_to_come_back_comes_back_once() {
        let mut credits = Credits::new();
        let now = Instant::now();
        let later = now + Duration::from_secs(2);
        for job in [1, 2] {
            credits.take(now);
            credits.give_back_at(later, job);
        }
        assert_eq!(credits.balance(now), START - 2);
        credits.give_back(Some(later), 1);
        assert_eq!(credits.balance(now), START - 1);
        assert_eq!(credits.balance(later), START);
        assert_eq!(credits.balance(later), START);
    }

    #[tokio::test(start_paused = true)]
    async fn a_low_balance_is_topped_up() {
        let mut credits = Credits::new();
        let now = Instant::now();
        let balances: Vec<u32> = (0..250)
            .map(|_| {
                credits.take(now);
                credits.balance(now)
            })
            .collect();
        assert_eq!(balances[99..101], [LOW, LOW + TOP_UP - COST]);
        assert!(balances.iter().all(|balance| (LOW..START).contains(balance)), "{balances:?}");
    }
}
