//! What must survive a restart: what was spent per day, and jobs that have not ended.
//!
//! One `SQLite` file, which several processes may share. What a method has done survives `kill -9` and a power cut from
//! the moment it returns. Does not know what a job does, what an account is for, or when a budget matters: callers say
//! so with the nouns of [`crate::model::job`].

pub mod error;
mod file;
mod jobs;
mod owners;
pub mod settings;
mod sums;

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};

use self::error::{StoreError, Trouble};
use self::jobs::Database;
use self::settings::{StoreSettings, StoreUrl};
use crate::base::clock::{Clock, Timestamp};
use crate::model::job::{Leftover, Opened, Opening, Ticket};
use crate::model::money::Amount;

/// An open store. Cheap to clone; the last clone closes it.
///
/// Every method carries out what it began even if nobody waits for it any more; only a ticket that nobody receives is
/// given back, with its charge. Work waits its turn without blocking a worker thread.
#[derive(Clone)]
pub struct Store {
    url: StoreUrl,
    database: Arc<Mutex<Database>>,
}

impl Store {
    /// Opens the store, making its file if there is none. Blocks on the disk, and up to ten seconds on other processes.
    ///
    /// # Errors
    /// When the file cannot be made, opened or written, or is not a store that this version reads. It is then as it was.
    pub fn open(settings: &StoreSettings, clock: Clock) -> Result<Self, StoreError> {
        let url = settings.url.clone();
        match Database::open(&url, clock) {
            Ok(database) => Ok(Self { url, database: Arc::new(Mutex::new(database)) }),
            Err(trouble) => Err(StoreError { place: url, trouble }),
        }
    }

    /// Remembers a job that is about to be submitted and counts its charge in every account, or in none if one would
    /// have more than its `per_day` on the day (UTC) of `opening.at`. The job is this store's until it is closed.
    ///
    /// # Errors
    /// When the store cannot be written, or the opening is out of bounds. Nothing is then counted.
    pub async fn open_job(&self, opening: Opening) -> Result<Opened, StoreError> {
        let store = self.clone();
        let work = move |database: &mut Database| Ok(Handed::new(database.open_job(&opening)?, store));
        Ok(self.wait(work).await?.take())
    }

    /// Remembers what the service answered to a submission, by name.
    ///
    /// # Errors
    /// When the store cannot be written, there is no such job, or the values are more than 16 or longer than 4 KiB.
    pub async fn accepted(&self, ticket: Ticket, values: Vec<(String, String)>) -> Result<(), StoreError> {
        self.wait(move |database| database.accepted(ticket, &values)).await
    }

    /// Forgets a job. With `refund`, its charge is taken back from the accounts and the day in which it was counted.
    /// Does nothing if it is closed already.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn close_job(&self, ticket: Ticket, refund: bool) -> Result<(), StoreError> {
        self.wait(move |database| database.close_job(ticket, refund)).await
    }

    /// The jobs of stores that are no more, oldest first. They stay until somebody adopts and closes them.
    ///
    /// # Errors
    /// When the store cannot be read or locked.
    pub async fn leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        self.wait(Database::leftovers).await
    }

    /// Makes a leftover this store's own. False if it is closed, or has a living owner by now: only one can adopt it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn adopt(&self, ticket: Ticket) -> Result<bool, StoreError> {
        self.wait(move |database| database.adopt(ticket)).await
    }

    /// What is counted in an account, in a unit, on the day (UTC) of `at`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn spent(&self, account: &str, unit: &str, at: Timestamp) -> Result<Amount, StoreError> {
        let (account, unit) = (account.to_owned(), unit.to_owned());
        self.wait(move |database| database.spent(&account, &unit, at)).await
    }

    async fn wait<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T, StoreError> {
        let done = self.begin(work).await.unwrap_or_else(|error| Err(error.into()));
        done.map_err(|trouble| StoreError { place: self.url.clone(), trouble })
    }

    /// Begins work that goes on even if nobody waits for it.
    fn begin<T: Send + 'static>(&self, work: impl Work<T>) -> JoinHandle<Result<T, Trouble>> {
        let database = Arc::clone(&self.database);
        tokio::spawn(async move {
            // One at a time and in turn, so that a crowd holds one blocking thread, not hundreds.
            let mut database = database.lock_owned().await;
            spawn_blocking(move || work(&mut database)).await?
        })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Store({})", self.url)
    }
}

/// Something to do with the database.
trait Work<T>: FnOnce(&mut Database) -> Result<T, Trouble> + Send + 'static {}

impl<T, F: FnOnce(&mut Database) -> Result<T, Trouble> + Send + 'static> Work<T> for F {}

/// What came of an opening, on its way to whoever asked for it.
struct Handed {
    opened: Opened,
    /// The store to undo it in; none once it has arrived.
    store: Option<Store>,
}

impl Handed {
    fn new(opened: Opened, store: Store) -> Self {
        Self { opened, store: Some(store) }
    }

    fn take(mut self) -> Opened {
        self.store = None;
        self.opened.clone()
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        // Whoever asked is gone, and can neither submit the job nor close it.
        if let (Some(store), Opened::Ticket(ticket)) = (self.store.take(), &self.opened)
            && Handle::try_current().is_ok()
        {
            let ticket = *ticket;
            store.begin(move |database| database.close_job(ticket, true));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;
    use crate::model::job::{Account, Charge};

    fn units(units: f64) -> Amount {
        Amount::from_units(units).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOON: &str = "2026-11-24T12:00:00Z";

    fn open_at(path: &Path) -> Store {
        Store::open(&StoreSettings { url: StoreUrl::File(path.to_owned()) }, Clock::system()).unwrap()
    }

    fn store() -> (TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = open_at(&folder.path().join("forewarn.db"));
        (folder, store)
    }

    /// The opening of a job at `when` that costs 0.2 USD in each of these accounts, each with this much per day.
    fn opening(when: &str, accounts: &[(&str, f64)]) -> Opening {
        let accounts =
            accounts.iter().map(|(name, per_day)| Account { name: (*name).to_owned(), per_day: units(*per_day) });
        let charge = Charge { amount: units(0.2), unit: "USD".to_owned(), accounts: accounts.collect() };
        Opening { probe: "pika-generate".parse().unwrap(), at: at(when), charge: Some(charge) }
    }

    async fn ticket(store: &Store, opening: Opening) -> Ticket {
        match store.open_job(opening).await.unwrap() {
            Opened::Ticket(ticket) => ticket,
            exhausted @ Opened::Exhausted { .. } => panic!("{exhausted:?}"),
        }
    }

    async fn spent(store: &Store, account: &str, when: &str) -> Amount {
        store.spent(account, "USD", at(when)).await.unwrap()
    }

    #[tokio::test]
    async fn a_charge_counts_in_every_account_or_in_none() {
        let (_folder, store) = store();
        ticket(&store, opening(NOON, &[("probe", 1.0), ("service", 0.3)])).await;
        let refused = store.open_job(opening(NOON, &[("probe", 1.0), ("service", 0.3)])).await.unwrap();
        let account = Account { name: "service".to_owned(), per_day: units(0.3) };
        assert_eq!(refused, Opened::Exhausted { account, spent: units(0.2) });
        assert_eq!(
            (spent(&store, "probe", NOON).await, spent(&store, "service", NOON).await),
            (units(0.2), units(0.2))
        );
        assert_eq!(store.spent("probe", "credits", at(NOON)).await.unwrap(), Amount::ZERO, "units never meet");
        ticket(&store, opening(NOON, &[("probe", 0.4)])).await;
        assert_eq!(spent(&store, "probe", NOON).await, units(0.4), "exactly full is not too much");
    }

    #[tokio::test]
    async fn a_job_without_a_charge_is_remembered() {
        let (_folder, store) = store();
        let opening = Opening { charge: None, ..opening(NOON, &[]) };
        let ticket = ticket(&store, opening).await;
        store.accepted(ticket, vec![]).await.unwrap();
        store.close_job(ticket, true).await.unwrap();
        assert!(matches!(store.accepted(ticket, vec![]).await.unwrap_err().trouble, Trouble::NoJob(_)));
    }

    #[tokio::test]
    async fn a_day_ends_at_midnight_in_utc() {
        let (_folder, store) = store();
        let (before, after) = ("2026-11-24T23:59:59.999999999Z", "2026-11-25T01:00:00+01:00");
        ticket(&store, opening(before, &[("a", 0.2)])).await;
        assert!(matches!(store.open_job(opening(before, &[("a", 0.2)])).await.unwrap(), Opened::Exhausted { .. }));
        let second = ticket(&store, opening(after, &[("a", 0.2)])).await;
        assert_eq!(spent(&store, "a", NOON).await, units(0.2));
        store.close_job(second, true).await.unwrap();
        assert_eq!(spent(&store, "a", NOON).await, units(0.2), "a refund leaves other days alone");
        assert_eq!(spent(&store, "a", after).await, Amount::ZERO);
    }

    #[tokio::test]
    async fn a_refund_happens_once_where_it_was_counted() {
        let (_folder, store) = store();
        let first = ticket(&store, opening(NOON, &[("a", 5.0), ("b", 5.0)])).await;
        let second = ticket(&store, opening(NOON, &[("a", 5.0)])).await;
        store.close_job(second, false).await.unwrap();
        store.close_job(second, true).await.unwrap();
        assert_eq!(spent(&store, "a", NOON).await, units(0.4));
        for _ in 0..2 {
            store.close_job(first, true).await.unwrap();
            assert_eq!((spent(&store, "a", NOON).await, spent(&store, "b", NOON).await), (units(0.2), Amount::ZERO));
        }
        assert_ne!(ticket(&store, opening(NOON, &[])).await, second, "a ticket is never given twice");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn sixty_four_at_once_never_spend_more_than_there_is() {
        let (_folder, store) = store();
        let openings: Vec<_> = (0..64)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.open_job(opening(NOON, &[("a", 5.0), ("b", 6.0)])).await.unwrap() })
            })
            .collect();
        let mut tickets = Vec::new();
        for opened in openings {
            if let Opened::Ticket(ticket) = opened.await.unwrap() {
                tickets.push(ticket);
            }
        }
        tickets.sort();
        tickets.dedup();
        assert_eq!(tickets.len(), 25);
        assert_eq!((spent(&store, "a", NOON).await, spent(&store, "b", NOON).await), (units(5.0), units(5.0)));
    }

    #[tokio::test]
    async fn a_ticket_that_nobody_waits_for_is_given_back() {
        let (_folder, store) = store();
        let held = store.database.lock().await;
        let mut opening = Box::pin(store.open_job(opening(NOON, &[("a", 5.0)])));
        // Begun, and not done since the database is held here.
        assert!(futures_util::poll!(&mut opening).is_pending());
        drop(opening);
        drop(held);
        let left = async |store: &Store| {
            let database = store.database.lock().await;
            database.count_jobs()
        };
        // Later work waits behind it; its undoing may come behind that.
        let mut looks = 0;
        while looks == 0 || left(&store).await > 0 || spent(&store, "a", NOON).await > Amount::ZERO {
            tokio::task::yield_now().await;
            looks += 1;
            assert!(looks < 10_000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn paused_time_stands_still_while_the_store_works() {
        let (_folder, store) = store();
        let work = store.open_job(opening(NOON, &[("a", 5.0)]));
        assert!(tokio::time::timeout(Duration::from_nanos(1), work).await.is_ok());
    }

    #[tokio::test]
    async fn leftovers_are_those_of_stores_that_are_gone() {
        let (folder, living) = store();
        let path = folder.path().join("forewarn.db");
        ticket(&living, opening(NOON, &[])).await;
        let gone = open_at(&path);
        let (unanswered, answered) =
            (ticket(&gone, opening(NOON, &[("a", 5.0)])).await, ticket(&gone, opening(NOON, &[])).await);
        let values =
            vec![("id".to_owned(), "j1".to_owned()), ("status_url".to_owned(), "https://a/\u{1f600}\0".to_owned())];
        gone.accepted(answered, values.clone()).await.unwrap();
        assert_eq!(living.leftovers().await.unwrap(), []);
        assert!(!living.adopt(answered).await.unwrap(), "its owner lives");
        drop(gone);

        let probe = "pika-generate".parse().unwrap();
        let leftover = |ticket, values| Leftover { ticket, probe: Clone::clone(&probe), opened_at: at(NOON), values };
        let found = living.leftovers().await.unwrap();
        assert_eq!(found, [leftover(unanswered, None), leftover(answered, Some(values))]);
        assert_eq!(spent(&living, "a", NOON).await, units(0.2), "it may have been submitted");
        let other = open_at(&path);
        assert!(other.adopt(unanswered).await.unwrap());
        assert!(!living.adopt(unanswered).await.unwrap() && !other.adopt(unanswered).await.unwrap(), "once");
        assert!(!living.adopt(Ticket(999)).await.unwrap());
        assert_eq!(living.leftovers().await.unwrap().len(), 1);
        other.close_job(unanswered, true).await.unwrap();
        assert_eq!(spent(&living, "a", NOON).await, Amount::ZERO);
    }

    #[tokio::test]
    async fn a_store_that_is_closed_leaves_one_file() {
        let (folder, store) = store();
        let opened = ticket(&store, opening(NOON, &[("a", 5.0)])).await;
        store.close_job(opened, false).await.unwrap();
        drop(store);
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["forewarn.db"]);
    }

    #[tokio::test]
    async fn memory_is_forgotten_and_has_no_leftovers() {
        let settings = StoreSettings { url: StoreUrl::Memory };
        let store = Store::open(&settings, Clock::system()).unwrap();
        let opened = ticket(&store, opening(NOON, &[("a", 5.0)])).await;
        assert!(!store.adopt(opened).await.unwrap());
        assert_eq!(store.leftovers().await.unwrap(), []);
        assert_eq!(spent(&store, "a", NOON).await, units(0.2));
        let other = Store::open(&settings, Clock::system()).unwrap();
        assert_eq!(spent(&other, "a", NOON).await, Amount::ZERO);
    }

    #[tokio::test]
    async fn what_is_too_much_is_refused_and_not_counted() {
        let (_folder, store) = store();
        let opened = ticket(&store, opening(NOON, &[("a", 5.0)])).await;
        let value = |name: usize, value: usize| ("n".repeat(name), "v".repeat(value));
        for (values, why) in [
            (vec![value(1, 1); 17], "17 values of one job; the most is 16"),
            (vec![value(1, 4097)], "4097 bytes in one value; the most is 4096"),
            (vec![value(201, 1)], "201 bytes in a value's name; the most is 200"),
        ] {
            let error = store.accepted(opened, values).await.unwrap_err().to_string();
            assert!(error.ends_with(&format!("forewarn.db` does not take {why}")), "{error}");
        }
        store.accepted(opened, vec![value(200, 4096); 16]).await.unwrap();
        let error = store.open_job(opening(NOON, &[("a", 5.0); 17])).await.unwrap_err().to_string();
        assert!(error.contains("17 accounts of one charge"), "{error}");
        assert!(store.open_job(opening(NOON, &[(&"a".repeat(201), 5.0)])).await.is_err());
        let mut huge = opening(NOON, &[("a", 5.0)]);
        if let Some(charge) = &mut huge.charge {
            charge.amount = Amount::from_millionths(u64::MAX);
            charge.accounts[0].per_day = Amount::from_millionths(u64::MAX);
        }
        assert!(store.open_job(huge).await.is_err());
        assert_eq!(spent(&store, "a", NOON).await, units(0.2));
    }

    #[tokio::test]
    async fn a_full_disk_counts_nothing_and_passes() {
        let (_folder, store) = store();
        let pages = store.database.lock().await.limit_pages(1);
        let (mut counted, mut full) = (0, None);
        while full.is_none() {
            assert!(counted < 10_000);
            // Long names fill pages.
            match store.open_job(opening(NOON, &[("a", 1e6), (&format!("{counted:0>200}"), 1e6)])).await {
                Ok(_) => counted += 1,
                Err(error) => full = Some(error.to_string()),
            }
        }
        assert!(full.unwrap().ends_with("forewarn.db` cannot grow: the disk is full; free some space"));
        assert_eq!(spent(&store, "a", NOON).await, units(0.2 * f64::from(counted)));
        store.database.lock().await.limit_pages(pages);
        ticket(&store, opening(NOON, &[("a", 1e6)])).await;
        assert_eq!(spent(&store, "a", NOON).await, units(0.2 * f64::from(counted + 1)));
    }

    #[tokio::test]
    async fn a_lock_that_stays_is_an_error_and_passes() {
        let (folder, store) = store();
        let other = open_at(&folder.path().join("forewarn.db"));
        other.database.lock().await.execute("BEGIN IMMEDIATE");
        store.database.lock().await.execute("PRAGMA busy_timeout = 1");
        let error = store.open_job(opening(NOON, &[("a", 5.0)])).await.unwrap_err().to_string();
        assert!(error.contains("forewarn.db` was locked by another process for 10s; "), "{error}");
        assert_eq!(spent(&store, "a", NOON).await, Amount::ZERO, "reading does not wait");
        other.database.lock().await.execute("ROLLBACK");
        ticket(&store, opening(NOON, &[("a", 5.0)])).await;
    }

    #[tokio::test]
    async fn forty_days_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(at(NOON));
        let settings = StoreSettings { url: StoreUrl::File(folder.path().join("forewarn.db")) };
        let store = Store::open(&settings, clock.clone()).unwrap();
        let day = |number: i64| (at(NOON) + Duration::from_secs(86_400) * u32::try_from(number).unwrap()).to_string();
        ticket(&store, opening(&day(0), &[("a", 1.0)])).await;
        // A clock that is years ahead for a moment.
        clock.step(1000 * 86_400_000);
        ticket(&store, opening(&day(1), &[("a", 1.0)])).await;
        clock.step(-1000 * 86_400_000);
        assert_eq!(spent(&store, "a", &day(0)).await, units(0.2));
        for number in 1..60 {
            clock.step(86_400_000);
            ticket(&store, opening(&day(number), &[("a", 1.0)])).await;
        }
        for number in 0..60 {
            let kept = spent(&store, "a", &day(number)).await;
            assert_eq!(kept > Amount::ZERO, number >= 19, "day {number}: {kept}");
        }
    }

    #[tokio::test]
    async fn errors_name_the_place_and_no_value() {
        let (_folder, store) = store();
        let opened = ticket(&store, opening(NOON, &[])).await;
        store.accepted(opened, vec![("id".to_owned(), "hunter2".to_owned())]).await.unwrap();
        store.database.lock().await.execute("UPDATE jobs SET owner = 'none', answer = answer || 'x'");
        let error = store.leftovers().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        assert!(
            error.to_string().contains("forewarn.db` is damaged: a list in a job does not read as one; stop"),
            "{error}"
        );
    }
}
