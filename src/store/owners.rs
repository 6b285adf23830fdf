//! Which processes that opened jobs are alive.
//!
//! Each one holds an exclusive advisory lock on a small file of its own beside the database. The kernel lets go of it
//! when the process ends, however it ends; process ids would lie, since in a container each agent may be process 1.
//! An owner whose file is gone, or is locked by nobody, is dead; names are random and never come again. So taking a
//! dead owner's file away changes nothing.
//!
//! Everything here happens inside a write transaction of the database, which no two processes have at once: nobody can
//! take a file for a dead owner's between its making and its locking. Does not know what is owned.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rusqlite::Transaction;

use super::error::Trouble;

/// The owners of one database's jobs, and this store among them.
#[derive(Debug)]
pub(super) struct Owners {
    /// The database's file; none where nobody else can see the database.
    database: Option<PathBuf>,
    /// This store, once it owns anything.
    mine: Option<Owner>,
}

impl Owners {
    /// Those of the database in this file, or of one that only this process sees.
    pub(super) fn of(database: Option<PathBuf>) -> Self {
        Self { database, mine: None }
    }

    /// The name by which this store owns jobs from now on.
    pub(super) fn me(&mut self, transaction: &Transaction<'_>) -> Result<&str, Trouble> {
        if self.mine.is_none() {
            self.bury();
            // SQLite's generator is seeded by the system.
            let name: String = transaction.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
            let lock = self.database.as_deref().map(|database| lock(database, &name)).transpose()?;
            self.mine = Some(Owner { name, _lock: lock });
        }
        Ok(self.mine.as_ref().map_or("", |owner| &owner.name))
    }

    /// False only when it is certain that whoever had this name has ended.
    pub(super) fn is_alive(&self, name: &str) -> bool {
        if self.mine.as_ref().is_some_and(|owner| owner.name == name) {
            return true;
        }
        match &self.database {
            // What does not read as a name is no owner's, and must not become part of a path.
            Some(database) if is_name(name) => is_held(&beside(database, name)),
            _ => false,
        }
    }

    /// Takes away the files of the dead.
    pub(super) fn bury(&self) {
        let Some(database) = &self.database else { return };
        let prefix = beside(database, "");
        let (Some(folder), Some(prefix)) = (prefix.parent(), prefix.file_name().and_then(|name| name.to_str())) else {
            return;
        };
        let Ok(entries) = fs::read_dir(folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let file = path.file_name().and_then(|name| name.to_str());
            if file.and_then(|file| file.strip_prefix(prefix)).is_some_and(is_name) && !is_held(&path) {
                // One that cannot be taken away is in nobody's way.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// A store that owns jobs.
#[derive(Debug)]
struct Owner {
    name: String,
    _lock: Option<Lock>,
}

/// A file that is locked as long as this lives, and taken away with it.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock goes: a moment later it would be another's to take away. If it stays, the next one does it.
        let _ = fs::remove_file(&self.path);
    }
}

fn lock(database: &Path, name: &str) -> Result<Lock, Trouble> {
    let path = beside(database, name);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    belong_with(database, &file);
    let locked = file.try_lock();
    let lock = Lock { path, _file: file };
    match locked {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Trouble::NotLocal("a new file is locked already".to_owned())),
        Err(TryLockError::Error(error)) => Err(Trouble::NotLocal(error.to_string())),
    }
}

/// Gives the file to the database's user, as `SQLite` does with its own: what root leaves, the service must be able to
/// ask about.
fn belong_with(database: &Path, file: &File) {
    let (Ok(wanted), Ok(given)) = (fs::metadata(database), file.metadata()) else { return };
    if (wanted.uid(), wanted.gid()) != (given.uid(), given.gid()) {
        // Only root may; another user's file is that user's anyway.
        let _ = fchown(file, Some(wanted.uid()), Some(wanted.gid()));
    }
}

/// True when a living process holds the file, and when that cannot be told: a job must not have two owners.
fn is_held(path: &Path) -> bool {
    let held = || -> io::Result<bool> {
        // Asked before opening, because opening a FIFO blocks.
        if !fs::symlink_metadata(path)?.is_file() {
            return Ok(false);
        }
        match OpenOptions::new().read(true).write(true).open(path)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    };
    match held() {
        Ok(held) => held,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot tell whether the owner of jobs is alive; leaving them");
            true
        }
    }
}

fn beside(database: &Path, name: &str) -> PathBuf {
    let mut path = OsString::from(database);
    path.push(format!("-owner-{name}"));
    path.into()
}

fn is_name(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    fn owned(owners: &mut Owners) -> String {
        let mut connection = Connection::open_in_memory().unwrap();
        owners.me(&connection.transaction().unwrap()).unwrap().to_owned()
    }

    #[test]
    fn an_owner_lives_until_its_lock_goes() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("forewarn.db");
        let (mut first, mut second) = (Owners::of(Some(database.clone())), Owners::of(Some(database.clone())));
        let (one, two) = (owned(&mut first), owned(&mut second));
        assert_ne!(one, two);
        assert_eq!(owned(&mut first), one, "a name is kept");
        assert!(first.is_alive(&one) && first.is_alive(&two) && second.is_alive(&one));
        drop(first);
        assert!(!second.is_alive(&one) && second.is_alive(&two));
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [beside(&database, &two)]);
    }

    #[test]
    fn the_files_of_the_dead_are_taken_away_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("forewarn.db");
        let dead = "0123456789abcdef".repeat(2);
        let others = ["forewarn.db-owner-x".to_owned(), format!("other.db-owner-{dead}"), "forewarn.db".to_owned()];
        for name in [format!("forewarn.db-owner-{dead}")].iter().chain(&others) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut owners = Owners::of(Some(database.clone()));
        assert!(!owners.is_alive(&dead));
        let mine = owned(&mut owners);
        owners.bury();
        assert!(!beside(&database, &dead).exists() && beside(&database, &mine).exists());
        assert!(others.iter().all(|name| folder.path().join(name).exists()));
    }

    #[test]
    fn what_is_no_name_touches_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let owners = Owners::of(Some(folder.path().join("forewarn.db")));
        assert!(!owners.is_alive("../../etc/passwd") && !owners.is_alive(""));
    }

    #[test]
    fn without_a_file_only_this_store_is_alive() {
        let mut owners = Owners::of(None);
        let mine = owned(&mut owners);
        assert!(owners.is_alive(&mine) && !owners.is_alive(&"0".repeat(32)));
    }
}
