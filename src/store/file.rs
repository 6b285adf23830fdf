//! The database's file: made, recognised, brought up to date, and set up so that a commit survives.
//!
//! Does not know what the tables mean. Never writes to a file that it has not recognised as its own or as empty, and
//! never opens one that is there except through `SQLite`: closing any other handle would drop the process's locks on it
//! (<https://sqlite.org/howtocorrupt.html>, 2.2).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::error::Trouble;

/// How long a process waits while another one writes.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Opens the database at `path`, which is made if it is not there. Gives its real path too, the same one by whatever
/// links and relative paths it is reached.
pub(super) fn open(path: &Path) -> Result<(Connection, PathBuf), Trouble> {
    let path = make(path)?;
    // Neither CREATE, since an empty file is there by now with the right mode, nor URI: the path is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // Before anything that writes.
    version(&connection.transaction()?)?;
    if connection.is_readonly("main")? {
        // SQLite falls back to this in silence.
        return Err(Trouble::Denied("only reading is allowed".to_owned()));
    }
    use_write_ahead_log(&connection)?;
    set_up(&mut connection)?;
    Ok((connection, path))
}

/// A database that is gone with the process.
pub(super) fn in_memory() -> Result<Connection, Trouble> {
    let mut connection = Connection::open_in_memory()?;
    set_up(&mut connection)?;
    Ok(connection)
}

fn set_up(connection: &mut Connection) -> Result<(), Trouble> {
    // In write-ahead mode only FULL survives a power cut; NORMAL may lose the last commits.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A schema that somebody tampered with must not call functions.
    connection.pragma_update(None, "trusted_schema", false)?;
    migrate(connection)
}

/// An empty file for nobody else to read, unless there is a file.
fn make(path: &Path) -> Result<PathBuf, Trouble> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {
            let path = fs::canonicalize(path)?;
            // So that the file's name survives a power cut as its content does.
            path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
            Ok(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let path = fs::canonicalize(path)?;
            match fs::metadata(&path)? {
                meta if !meta.is_file() => Err(Trouble::NotAFile),
                // SQLite takes a file of one byte for an empty one, and would overwrite it.
                meta if meta.len() == 1 => Err(Trouble::NotADatabase),
                _ => Ok(path),
            }
        }
        // In a folder that nobody may write to, a file that is there is found out by opening it.
        Err(_) if path.is_file() => Ok(fs::canonicalize(path)?),
        Err(error) => Err(unmade(path, error)),
    }
}

fn unmade(path: &Path, error: io::Error) -> Trouble {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    match folder {
        Some(folder) if error.kind() == io::ErrorKind::NotFound => Trouble::NoFolder(folder.to_owned()),
        _ => error.into(),
    }
}

/// The schema's version; 0 in an empty database. A transaction, since another process may be making the schema.
fn version(transaction: &Transaction<'_>) -> Result<i64, Trouble> {
    let number = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let known = known();
    match (application, version) {
        (0, 0) if tables == 0 => Ok(0),
        (APPLICATION, found) if found > known => Err(Trouble::Newer { found, known }),
        (APPLICATION, 1..) => Ok(version),
        _ => Err(Trouble::Foreign),
    }
}

/// Switches to the write-ahead log, which lasts: in it readers and a writer do not stop each other.
fn use_write_ahead_log(connection: &Connection) -> Result<(), Trouble> {
    for _ in 0..ATTEMPTS {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(Trouble::NotLocal(format!("its journal mode stays `{mode}`"))),
            // This one statement does not wait for other processes; a lock does.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK;")?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Trouble::Locked)
}

/// Brings the schema from whatever version is there to the last one, all or nothing.
fn migrate(connection: &mut Connection) -> Result<(), Trouble> {
    if version(&connection.transaction()?)? == known() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again, now that no other process can change it.
    let done = version(&transaction)?;
    for step in MIGRATIONS.iter().skip(usize::try_from(done).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", known())?;
    Ok(transaction.commit()?)
}

/// The last version of the schema.
fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Marks the file as forewarn's: `FWRN`.
const APPLICATION: i64 = 0x4657_524E;

/// More processes than would ever open one store at the same moment for the first time.
const ATTEMPTS: u32 = 100;

/// What each version of the schema adds to the one before. Only ever appended to.
const MIGRATIONS: &[&str] = &["
-- What was counted per day (UTC, as 2026-12-31), account and unit.
CREATE TABLE sums (
    day TEXT NOT NULL,
    account TEXT NOT NULL,
    unit TEXT NOT NULL,
    millionths INTEGER NOT NULL CHECK (millionths >= 0),
    PRIMARY KEY (day, account, unit)
) STRICT, WITHOUT ROWID;

-- Jobs that have not ended, and how their charge was counted. AUTOINCREMENT: no ticket is ever given twice.
CREATE TABLE jobs (
    ticket INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    probe TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    answer TEXT,                -- JSON: [[name, value], …]; null until the service has answered
    day TEXT NOT NULL,
    unit TEXT,
    millionths INTEGER,
    accounts TEXT               -- JSON: [name, …]
) STRICT;
"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bounded::read_file;

    fn refusal(path: &Path) -> String {
        let before = read_file(path, 1 << 20).unwrap();
        let trouble = open(path).err().unwrap_or_else(|| panic!("{} was opened", path.display()));
        assert_eq!(read_file(path, 1 << 20).unwrap(), before, "it was touched");
        trouble.to_string()
    }

    #[test]
    fn what_is_no_database_is_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        for content in ["x".to_owned(), "probes: []\n".to_owned(), "SQLite format 3\0".to_owned(), "y".repeat(9000)] {
            let path = folder.path().join("notes.txt");
            fs::write(&path, content).unwrap();
            assert!(refusal(&path).starts_with("is no SQLite database, and stays as it is; "), "{}", refusal(&path));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was put beside it");
        }
    }

    #[test]
    fn another_programs_database_is_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        for mark in ["CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)", "PRAGMA application_id = 7"] {
            Connection::open(&path).unwrap().execute_batch(mark).unwrap();
            assert!(refusal(&path).starts_with("is another program's database"), "{}", refusal(&path));
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_newer_schema_is_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forewarn.db");
        let (connection, _) = open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let said = refusal(&path);
        assert!(said.contains("newer forewarn (schema 99; this one reads up to 1), and stays as it is"), "{said}");
    }

    #[test]
    fn a_damaged_database_is_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forewarn.db");
        drop(open(&path).unwrap());
        let mut bytes = read_file(&path, 1 << 20).unwrap();
        bytes[100..4096].fill(0x55);
        fs::write(&path, bytes).unwrap();
        assert!(refusal(&path).starts_with("is damaged: "), "{}", refusal(&path));
    }

    #[test]
    fn where_no_file_can_be_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let said = open(folder.path()).unwrap_err().to_string();
        assert!(said.starts_with("is not a regular file"), "{said}");
        let said = open(&folder.path().join("none/forewarn.db")).unwrap_err().to_string();
        assert!(said.contains("there is no folder `") && said.contains("none`; make it"), "{said}");
        // Not even root may make a file here.
        let said = open(Path::new("/sys/forewarn.db")).unwrap_err().to_string();
        assert!(said.starts_with("cannot be written: ") && said.contains("its folder"), "{said}");
    }

    #[test]
    fn a_new_file_is_nobody_elses_and_loses_no_commit() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (connection, path) = open(&folder.path().join("forewarn.db")).unwrap();
        connection.execute("INSERT INTO sums VALUES ('2026-01-01', 'a', 'USD', 1)", []).unwrap();
        let mut names = Vec::new();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["forewarn.db", "forewarn.db-shm", "forewarn.db-wal"]);
        let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!(synchronous, 2, "FULL");
        drop(connection);
        let (connection, again) = open(&path).unwrap();
        assert_eq!(again, path);
        let sums: i64 = connection.query_row("SELECT count(*) FROM sums", [], |row| row.get(0)).unwrap();
        assert_eq!(sums, 1);
    }

    #[test]
    fn a_link_leads_to_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let (_, path) = open(&folder.path().join("forewarn.db")).unwrap();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(open(&link).unwrap().1, path);
    }
}
