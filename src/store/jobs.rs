//! Jobs that have not ended: opened with what they cost, answered, closed, left over, adopted.
//!
//! Each function is one transaction. Knows no threads; [`super::Store`] brings the work here.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::error::Trouble;
use super::owners::Owners;
use super::settings::StoreUrl;
use super::{file, sums};
use crate::base::clock::{Clock, Timestamp};
use crate::model::job::{Charge, Leftover, Opened, Opening, Ticket};
use crate::model::money::Amount;

/// An open database, and this store among the owners of its jobs.
pub(super) struct Database {
    connection: Connection,
    owners: Owners,
    clock: Clock,
}

impl Database {
    pub(super) fn open(url: &StoreUrl, clock: Clock) -> Result<Self, Trouble> {
        let (connection, path) = match url {
            StoreUrl::File(path) => file::open(path).map(|(connection, path)| (connection, Some(path)))?,
            StoreUrl::Memory => (file::in_memory()?, None),
        };
        Ok(Self { connection, owners: Owners::of(path), clock })
    }

    pub(super) fn open_job(&mut self, opening: &Opening) -> Result<Opened, Trouble> {
        check_opening(opening)?;
        let transaction = writing(&mut self.connection)?;
        let outstanding: i64 = transaction.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))?;
        if outstanding >= MOST_JOBS {
            return Err(Trouble::TooMuch(format!(
                "another job: {MOST_JOBS} are outstanding; see why they are not closed"
            )));
        }
        let day = sums::day(opening.at);
        if let Some(charge) = &opening.charge {
            // The transaction goes back when it is dropped.
            if let Some((account, spent)) = sums::count(&transaction, charge, day)? {
                return Ok(Opened::Exhausted { account, spent });
            }
            sums::prune(&transaction, sums::day(self.clock.now()))?;
        }
        let owner = self.owners.me(&transaction)?;
        let charge = opening.charge.as_ref().map(StoredCharge::of).transpose()?;
        transaction.execute(
            "INSERT INTO jobs (owner, probe, opened_at, day, unit, millionths, accounts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                owner,
                opening.probe.as_str(),
                opening.at.to_string(),
                day.to_string(),
                charge.as_ref().map(|charge| &charge.unit),
                charge.as_ref().map(|charge| charge.millionths),
                charge.as_ref().map(|charge| &charge.accounts),
            ],
        )?;
        let ticket = Ticket(transaction.last_insert_rowid());
        transaction.commit()?;
        Ok(Opened::Ticket(ticket))
    }

    pub(super) fn accepted(&mut self, ticket: Ticket, values: &[(String, String)]) -> Result<(), Trouble> {
        check_values(values)?;
        let transaction = writing(&mut self.connection)?;
        let changed =
            transaction.execute("UPDATE jobs SET answer = ?2 WHERE ticket = ?1", params![ticket.0, json(&values)?])?;
        transaction.commit()?;
        if changed == 0 { Err(Trouble::NoJob(ticket)) } else { Ok(()) }
    }

    pub(super) fn close_job(&mut self, ticket: Ticket, refund: bool) -> Result<(), Trouble> {
        let transaction = writing(&mut self.connection)?;
        if refund && let Some((day, charge)) = charged(&transaction, ticket)? {
            let accounts: Vec<String> = from_json(&charge.accounts)?;
            for account in accounts {
                sums::take_back(&transaction, &account, &charge.unit, &day, charge.millionths)?;
            }
        }
        transaction.execute("DELETE FROM jobs WHERE ticket = ?1", [ticket.0])?;
        Ok(transaction.commit()?)
    }

    pub(super) fn leftovers(&mut self) -> Result<Vec<Leftover>, Trouble> {
        let transaction = writing(&mut self.connection)?;
        let orphans: Vec<String> = {
            let mut owners = transaction.prepare("SELECT DISTINCT owner FROM jobs")?;
            let names: Result<Vec<String>, _> = owners.query_map([], |row| row.get(0))?.collect();
            names?.into_iter().filter(|owner| !self.owners.is_alive(owner)).collect()
        };
        let mut leftovers = Vec::new();
        let mut jobs = transaction
            .prepare("SELECT ticket, probe, opened_at, answer FROM jobs WHERE owner = ?1 ORDER BY ticket")?;
        for owner in orphans {
            let mut rows = jobs.query([owner])?;
            while let Some(row) = rows.next()? {
                leftovers.push(leftover(row)?);
            }
        }
        leftovers.sort_by_key(|leftover| leftover.ticket);
        self.owners.bury();
        Ok(leftovers)
    }

    pub(super) fn adopt(&mut self, ticket: Ticket) -> Result<bool, Trouble> {
        let transaction = writing(&mut self.connection)?;
        let owner: Option<String> = transaction
            .query_row("SELECT owner FROM jobs WHERE ticket = ?1", [ticket.0], |row| row.get(0))
            .optional()?;
        if owner.is_none_or(|owner| self.owners.is_alive(&owner)) {
            return Ok(false);
        }
        let owner = self.owners.me(&transaction)?;
        transaction.execute("UPDATE jobs SET owner = ?2 WHERE ticket = ?1", params![ticket.0, owner])?;
        transaction.commit()?;
        Ok(true)
    }

    pub(super) fn spent(&mut self, account: &str, unit: &str, at: Timestamp) -> Result<Amount, Trouble> {
        sums::spent(&self.connection.transaction()?, account, unit, sums::day(at))
    }
}

/// What tests do to a database.
#[cfg(test)]
impl Database {
    pub(super) fn count_jobs(&self) -> i64 {
        self.connection.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0)).unwrap()
    }

    /// Lets the file grow to so many pages, as far as it is not larger; gives what held before.
    pub(super) fn limit_pages(&self, pages: i64) -> i64 {
        let before = self.connection.pragma_query_value(None, "max_page_count", |row| row.get(0)).unwrap();
        let set = self.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()));
        set.unwrap();
        before
    }

    pub(super) fn execute(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }
}

/// A transaction that no other process has at the same time. It goes back unless it is committed.
fn writing(connection: &mut Connection) -> Result<Transaction<'_>, Trouble> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

/// A charge as a job's row has it.
struct StoredCharge {
    unit: String,
    millionths: i64,
    accounts: String,
}

impl StoredCharge {
    fn of(charge: &Charge) -> Result<Self, Trouble> {
        let names: Vec<&str> = charge.accounts.iter().map(|account| account.name.as_str()).collect();
        Ok(Self { unit: charge.unit.clone(), millionths: sums::stored(charge.amount)?, accounts: json(&names)? })
    }
}

/// The day in which a job was counted, and its charge.
fn charged(transaction: &Transaction<'_>, ticket: Ticket) -> Result<Option<(String, StoredCharge)>, Trouble> {
    let sql = "SELECT day, unit, millionths, accounts FROM jobs WHERE ticket = ?1 AND unit IS NOT NULL";
    let row = |row: &Row<'_>| {
        let charge = StoredCharge { unit: row.get(1)?, millionths: row.get(2)?, accounts: row.get(3)? };
        Ok((row.get(0)?, charge))
    };
    Ok(transaction.query_row(sql, [ticket.0], row).optional()?)
}

fn leftover(row: &Row<'_>) -> Result<Leftover, Trouble> {
    let ticket = Ticket(row.get(0)?);
    let unreadable = |what: &str| Trouble::Damaged(format!("{what} of job {} does not read as one", ticket.0));
    let (probe, opened_at, answer): (String, String, Option<String>) = (row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(Leftover {
        ticket,
        probe: probe.parse().map_err(|_| unreadable("the probe"))?,
        opened_at: opened_at.parse().map_err(|_| unreadable("the time"))?,
        values: answer.map(|answer| from_json(&answer)).transpose()?,
    })
}

fn check_opening(opening: &Opening) -> Result<(), Trouble> {
    let Some(charge) = &opening.charge else { return Ok(()) };
    at_most(charge.accounts.len(), MOST_ACCOUNTS, "accounts of one charge")?;
    at_most(charge.unit.len(), LONGEST_NAME, "bytes in a unit")?;
    charge
        .accounts
        .iter()
        .try_for_each(|account| at_most(account.name.len(), LONGEST_NAME, "bytes in an account's name"))
}

fn check_values(values: &[(String, String)]) -> Result<(), Trouble> {
    at_most(values.len(), MOST_VALUES, "values of one job")?;
    values.iter().try_for_each(|(name, value)| {
        at_most(name.len(), LONGEST_NAME, "bytes in a value's name")?;
        at_most(value.len(), LONGEST_VALUE, "bytes in one value")
    })
}

fn at_most(count: usize, most: usize, what: &str) -> Result<(), Trouble> {
    if count <= most { Ok(()) } else { Err(Trouble::TooMuch(format!("{count} {what}; the most is {most}"))) }
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, Trouble> {
    serde_json::to_string(value).map_err(|error| Trouble::Failed(error.to_string()))
}

/// The error leaves out what was read, which may be a secret.
fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Trouble> {
    serde_json::from_str(text).map_err(|_| Trouble::Damaged("a list in a job does not read as one".to_owned()))
}

/// Outstanding jobs, of all processes together.
const MOST_JOBS: i64 = 10_000;
const MOST_ACCOUNTS: usize = 16;
const MOST_VALUES: usize = 16;
const LONGEST_NAME: usize = 200;
const LONGEST_VALUE: usize = 4096;
