//! Where what must survive a restart is written down, as the prober sees it: spent money and outstanding jobs.
//!
//! The store keeps it on disk; [`Memory`] keeps it for as long as the process lives, for tests and tools.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use crate::base::clock::Timestamp;
use crate::model::job::{Charge, Leftover, Opened, Opening, Ticket};
use crate::model::money::Amount;

/// Why nothing could be written down, for people.
pub type LedgerError = String;

/// Keeps money and jobs. What it answers is as durable as it can make it.
pub trait Ledger: Send + Sync {
    /// Counts the charge and remembers the job, both or neither, before anything is sent.
    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<Opened, LedgerError>>;

    /// Remembers what the service's answer gave.
    fn accepted(&self, ticket: Ticket, values: Vec<(String, String)>) -> BoxFuture<'_, Result<(), LedgerError>>;

    /// Forgets the job; with `refund`, its charge is not counted any more.
    fn close(&self, ticket: Ticket, refund: bool) -> BoxFuture<'_, Result<(), LedgerError>>;

    /// The jobs of agents that ended before their jobs did.
    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<Leftover>, LedgerError>>;

    /// Makes such a job this agent's own; false if another agent was faster.
    fn adopt(&self, ticket: Ticket) -> BoxFuture<'_, Result<bool, LedgerError>>;
}

/// A ledger in memory.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    last: i64,
    /// Millionths by account, unit and day.
    spent: HashMap<(String, String, i64), Amount>,
    jobs: HashMap<Ticket, Opening>,
}

impl Ledger for Memory {
    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<Opened, LedgerError>> {
        ready(Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).open(opening))).boxed()
    }

    fn accepted(&self, _: Ticket, _: Vec<(String, String)>) -> BoxFuture<'_, Result<(), LedgerError>> {
        ready(Ok(())).boxed()
    }

    fn close(&self, ticket: Ticket, refund: bool) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).close(ticket, refund);
        ready(Ok(())).boxed()
    }

    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<Leftover>, LedgerError>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn adopt(&self, _: Ticket) -> BoxFuture<'_, Result<bool, LedgerError>> {
        ready(Ok(false)).boxed()
    }
}

impl Book {
    fn open(&mut self, opening: Opening) -> Opened {
        if let Some(charge) = &opening.charge {
            for account in &charge.accounts {
                let spent = self.spent.get(&key(charge, &account.name, opening.at)).copied().unwrap_or_default();
                if spent.plus(charge.amount) > account.per_day {
                    return Opened::Exhausted { account: account.clone(), spent };
                }
            }
            for account in &charge.accounts {
                let spent = self.spent.entry(key(charge, &account.name, opening.at)).or_default();
                *spent = spent.plus(charge.amount);
            }
        }
        self.last += 1;
        self.jobs.insert(Ticket(self.last), opening);
        Opened::Ticket(Ticket(self.last))
    }

    fn close(&mut self, ticket: Ticket, refund: bool) {
        let Some(Opening { charge: Some(charge), at, .. }) = self.jobs.remove(&ticket).filter(|_| refund) else {
            return;
        };
        for account in &charge.accounts {
            if let Some(spent) = self.spent.get_mut(&key(&charge, &account.name, at)) {
                *spent = Amount::from_millionths(spent.millionths().saturating_sub(charge.amount.millionths()));
            }
        }
    }
}

fn key(charge: &Charge, account: &str, at: Timestamp) -> (String, String, i64) {
    (account.to_owned(), charge.unit.clone(), at.as_second().div_euclid(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::Account;

    #[tokio::test]
    async fn an_account_has_room_for_what_is_left_of_the_day() {
        let ledger = Memory::default();
        let opening = |at: &str| Opening {
            probe: "p".parse().unwrap(),
            at: at.parse().unwrap(),
            charge: Some(Charge {
                amount: Amount::from_units(0.4).unwrap(),
                unit: "USD".to_owned(),
                accounts: vec![Account { name: "p".to_owned(), per_day: Amount::from_units(1.0).unwrap() }],
            }),
        };
        let today = "2026-01-01T23:59:59Z";
        let first = ledger.open(opening(today)).await.unwrap();
        let Opened::Ticket(first) = first else { panic!("{first:?}") };
        assert!(matches!(ledger.open(opening(today)).await, Ok(Opened::Ticket(_))));
        assert!(
            matches!(ledger.open(opening(today)).await, Ok(Opened::Exhausted { spent, .. }) if spent.millionths() == 800_000)
        );
        assert!(matches!(ledger.open(opening("2026-01-02T00:00:00Z")).await, Ok(Opened::Ticket(_))));
        ledger.close(first, true).await.unwrap();
        assert!(matches!(ledger.open(opening(today)).await, Ok(Opened::Ticket(_))));
    }
}
