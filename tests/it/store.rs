//! The store as several processes share it: one budget, one adopter, and nothing lost to `kill -9`.
//!
//! This binary runs itself with one ignored test, which does what the variable [`ROLE`] says. Parent and child talk in
//! lines, so nothing waits for a guessed time.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use forewarn::base::clock::{Clock, Timestamp};
use forewarn::model::job::{Account, Charge, Opened, Opening, Ticket};
use forewarn::model::money::Amount;
use forewarn::store::Store;
use forewarn::store::error::StoreError;
use forewarn::store::settings::{StoreSettings, StoreUrl};

const ROLE: &str = "FOREWARN_TEST_STORE_ROLE";
const FILE: &str = "FOREWARN_TEST_STORE_FILE";
const PROCESSES: usize = 4;

#[tokio::test]
async fn four_processes_never_spend_more_than_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forewarn.db");
    // They all make the file, too.
    let mut children: Vec<_> = (0..PROCESSES).map(|_| Process::start("spend", &path)).collect();
    for child in &mut children {
        child.hears("ready");
    }
    for child in &mut children {
        child.tell("go");
    }
    let mut tickets: Vec<String> = Vec::new();
    for mut child in children {
        tickets.extend(child.says().split(' ').filter(|ticket| !ticket.is_empty()).map(str::to_owned));
        child.ends();
    }
    tickets.sort();
    tickets.dedup();
    assert_eq!(tickets.len(), 25, "{tickets:?}");
    let store = open(&path).unwrap();
    assert_eq!(store.spent("a", "USD", at()).await.unwrap(), units(5.0));
    assert_eq!(store.leftovers().await.unwrap().len(), 25, "they ended without closing them");
    drop(store);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["forewarn.db"]);
}

#[tokio::test]
async fn a_job_outlives_the_process_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forewarn.db");
    let mut child = Process::start("open", &path);
    let ticket = child.says();
    let store = open(&path).unwrap();
    assert_eq!(store.leftovers().await.unwrap(), [], "its owner lives");
    child.kill();
    let leftovers = store.leftovers().await.unwrap();
    let [leftover] = leftovers.as_slice() else { panic!("{leftovers:?}") };
    assert_eq!((leftover.ticket.0.to_string(), leftover.values.as_ref(), leftover.opened_at), (ticket, None, at()));
    assert_eq!(store.spent("a", "USD", at()).await.unwrap(), units(0.2), "nobody knows whether it was submitted");
    assert!(store.adopt(leftover.ticket).await.unwrap());
    store.close_job(leftover.ticket, true).await.unwrap();
    assert_eq!(store.spent("a", "USD", at()).await.unwrap(), Amount::ZERO);
}

#[tokio::test]
async fn one_of_four_processes_adopts_a_leftover() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forewarn.db");
    let mut dead = Process::start("open", &path);
    let ticket = dead.says();
    dead.kill();
    let mut children: Vec<_> = (0..PROCESSES).map(|_| Process::start("adopt", &path)).collect();
    for child in &mut children {
        child.hears("ready");
    }
    for child in &mut children {
        child.tell(&ticket);
    }
    let adopted: Vec<_> = children.iter_mut().map(Process::says).collect();
    assert_eq!(adopted.iter().filter(|adopted| *adopted == "true").count(), 1, "{adopted:?}");
    let store = open(&path).unwrap();
    assert_eq!(store.leftovers().await.unwrap(), [], "its new owner lives");
    for mut child in children {
        child.kill();
    }
    assert_eq!(store.leftovers().await.unwrap().len(), 1, "until it does not");
}

/// Every commit that was reported is there after a kill at any moment.
#[tokio::test]
async fn what_was_reported_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forewarn.db");
    let mut reported = 0;
    for round in 1..=5 {
        let mut child = Process::start("spend-on", &path);
        for _ in 0..round * 3 {
            reported = child.says().parse::<u64>().unwrap();
        }
        child.kill();
        let store = open(&path).unwrap();
        let spent = store.spent("a", "USD", at()).await.unwrap();
        let leftovers = store.leftovers().await.unwrap();
        let jobs = u64::try_from(leftovers.len()).unwrap();
        assert_eq!(spent.millionths(), 200_000 * jobs, "sums and jobs agree");
        assert!(jobs >= reported, "{jobs} of {reported}");
    }
}

/// Root may write anywhere, so the child is nobody.
#[test]
fn a_folder_that_nobody_may_write_to_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forewarn.db");
    let refusal = |mode: u32| {
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
        let mut child = Process::start_as("refuse", &path, Some(65_534));
        let said = child.says();
        child.ends();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        said
    };
    let help = "whoever runs forewarn must be able to write the file and its folder";
    for made in [false, true] {
        if made {
            drop(open(&path).unwrap());
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        }
        let said = refusal(0o555);
        assert!(said.starts_with(&format!("the store `{}` cannot be written: ", path.display())), "{said}");
        assert!(said.ends_with(help), "{said}");
    }
}

#[tokio::test]
#[ignore = "run by the tests above"]
async fn in_a_process_of_its_own() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(FILE)) else { return };
    let store = open(Path::new(&path));
    if role == "refuse" {
        return say(store.unwrap_err());
    }
    let store = store.unwrap_or_else(|error| panic!("{error}"));
    match role.as_str() {
        "spend" => {
            say("ready");
            hear();
            let openings = (0..30).map(|_| store.open_job(opening(5.0)));
            let opened = futures_util::future::join_all(openings).await;
            let tickets = opened.into_iter().filter_map(|opened| match opened.unwrap() {
                Opened::Ticket(Ticket(ticket)) => Some(ticket.to_string()),
                Opened::Exhausted { .. } => None,
            });
            say(tickets.collect::<Vec<_>>().join(" "));
        }
        "open" => {
            let Opened::Ticket(ticket) = store.open_job(opening(5.0)).await.unwrap() else { panic!() };
            say(ticket.0);
            hear();
        }
        "adopt" => {
            say("ready");
            let ticket = Ticket(hear().parse().unwrap());
            say(store.adopt(ticket).await.unwrap());
            hear();
        }
        "spend-on" => loop {
            let Opened::Ticket(ticket) = store.open_job(opening(1e6)).await.unwrap() else { panic!() };
            say(ticket.0);
        },
        role => panic!("{role}"),
    }
}

/// This binary once more, in a role, killed when the test lets go of it.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(role: &str, path: &Path) -> Self {
        Self::start_as(role, path, None)
    }

    /// As this user, if root may choose.
    fn start_as(role: &str, path: &Path, user: Option<u32>) -> Self {
        // By this name another user finds it whatever folder it is in.
        let mut command = Command::new("/proc/self/exe");
        command.args(["store::in_a_process_of_its_own", "--exact", "--ignored", "--nocapture"]);
        command.env(ROLE, role).env(FILE, path).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(user) = user
            && std::fs::metadata("/proc/self").unwrap().uid() == 0
        {
            command.uid(user).gid(user).current_dir("/");
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// What it says next; the test runner's own lines do not count.
    fn says(&mut self) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, said)) = line.trim_end_matches('\n').split_once(MARK) {
                return said.to_owned();
            }
            line.clear();
        }
        panic!("it ended without saying anything: {:?}", self.child.wait());
    }

    fn hears(&mut self, expected: &str) {
        assert_eq!(self.says(), expected);
    }

    fn tell(&mut self, text: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{text}").unwrap();
    }

    fn ends(&mut self) {
        assert!(self.child.wait().unwrap().success());
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::print_stdout, reason = "this is how the child answers")]
fn say(text: impl std::fmt::Display) {
    println!("{MARK}{text}");
}

fn hear() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(&StoreSettings { url: StoreUrl::File(path.to_owned()) }, Clock::system())
}

fn opening(per_day: f64) -> Opening {
    let account = Account { name: "a".to_owned(), per_day: units(per_day) };
    let charge = Charge { amount: units(0.2), unit: "USD".to_owned(), accounts: vec![account] };
    Opening { probe: "pika-generate".parse().unwrap(), at: at(), charge: Some(charge) }
}

fn at() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn units(units: f64) -> Amount {
    Amount::from_units(units).unwrap()
}

/// Before what a child has to say.
const MARK: &str = "store says: ";
