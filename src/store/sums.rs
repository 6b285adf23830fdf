//! What was spent per account, unit and day (UTC).
//!
//! Works inside the caller's transaction, so that a sum and the job that it is for are counted together or not at all.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{OptionalExtension, Transaction, params};

use super::error::Trouble;
use crate::base::clock::Timestamp;
use crate::model::job::{Account, Charge};
use crate::model::money::Amount;

/// The day of a moment, in UTC.
pub(super) fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Counts a charge in every account, or gives the first one without room and what it held. In that case some may be
/// counted; the caller rolls back.
pub(super) fn count(
    transaction: &Transaction<'_>,
    charge: &Charge,
    day: Date,
) -> Result<Option<(Account, Amount)>, Trouble> {
    for account in &charge.accounts {
        let before = spent(transaction, &account.name, &charge.unit, day)?;
        let after = before.plus(charge.amount);
        if after > account.per_day {
            return Ok(Some((account.clone(), before)));
        }
        transaction.execute(
            "INSERT INTO sums (day, account, unit, millionths) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (day, account, unit) DO UPDATE SET millionths = excluded.millionths",
            params![day.to_string(), account.name, charge.unit, stored(after)?],
        )?;
    }
    Ok(None)
}

/// Takes a charge back from an account; no sum goes below zero.
pub(super) fn take_back(
    transaction: &Transaction<'_>,
    account: &str,
    unit: &str,
    day: &str,
    millionths: i64,
) -> Result<(), Trouble> {
    transaction.execute(
        "UPDATE sums SET millionths = max(0, millionths - ?4) WHERE day = ?1 AND account = ?2 AND unit = ?3",
        params![day, account, unit, millionths],
    )?;
    Ok(())
}

/// What is counted in an account on a day.
pub(super) fn spent(transaction: &Transaction<'_>, account: &str, unit: &str, day: Date) -> Result<Amount, Trouble> {
    let sql = "SELECT millionths FROM sums WHERE day = ?1 AND account = ?2 AND unit = ?3";
    let sum = transaction.query_row(sql, params![day.to_string(), account, unit], |row| row.get::<_, i64>(0));
    // The schema lets none be negative.
    Ok(Amount::from_millionths(sum.optional()?.map_or(0, i64::unsigned_abs)))
}

/// Forgets days long gone, except for the last ones that are there: a clock that is wrong for a moment forgets nothing.
pub(super) fn prune(transaction: &Transaction<'_>, today: Date) -> Result<(), Trouble> {
    transaction.execute(
        "DELETE FROM sums WHERE day < ?1 AND day NOT IN (SELECT DISTINCT day FROM sums ORDER BY day DESC LIMIT ?2)",
        params![today.saturating_sub(DAYS_KEPT.days()).to_string(), DAYS_KEPT],
    )?;
    Ok(())
}

/// An amount as it is stored.
pub(super) fn stored(amount: Amount) -> Result<i64, Trouble> {
    i64::try_from(amount.millionths()).map_err(|_| Trouble::TooMuch(format!("a sum of {amount}")))
}

/// For how many days what was spent is kept.
const DAYS_KEPT: i64 = 40;
