//! Why the store cannot do what it was asked: where it is, what is wrong, and what to do.
//!
//! Never shows what the store holds: values of jobs may be secrets.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use tokio::task::JoinError;

use super::settings::StoreUrl;
use crate::base::bounded::printable;
use crate::base::duration::HumanDuration;
use crate::model::job::Ticket;

/// The store could not do what it was asked. Nothing of it was done.
#[derive(Debug, thiserror::Error)]
#[error("the store `{place}` {trouble}")]
pub struct StoreError {
    /// Which store.
    pub place: StoreUrl,
    /// What is wrong and what to do.
    pub trouble: Trouble,
}

/// What is wrong with a store, in words that follow its name.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The file is not there, and neither is the folder to make it in.
    #[error("cannot be made: there is no folder `{}`; make it, or give another path as `store.url`", .0.display())]
    NoFolder(PathBuf),
    /// The operating system, or `SQLite`, may not write here.
    #[error("cannot be written: {0}; whoever runs forewarn must be able to write the file and its folder")]
    Denied(String),
    /// A folder, a device or a pipe.
    #[error("is not a regular file; give another path as `store.url`")]
    NotAFile,
    /// Something else than a database.
    #[error("is no SQLite database, and stays as it is; give another path as `store.url`, or move the file away")]
    NotADatabase,
    /// A database, but not forewarn's.
    #[error("is another program's database, and stays as it is; give another path as `store.url`")]
    Foreign,
    /// A later version of forewarn has been here.
    #[error(
        "was written by a newer forewarn (schema {found}; this one reads up to {known}), and stays as it is; \
         run that version again, or give another path as `store.url`"
    )]
    Newer {
        /// The schema's version in the file.
        found: i64,
        /// The last version that this program reads.
        known: i64,
    },
    /// A database in which something does not fit.
    #[error("is damaged: {0}; stop forewarn and restore a backup, or move the file away to begin with an empty one")]
    Damaged(String),
    /// No room on the disk.
    #[error("cannot grow: the disk is full; free some space")]
    Full,
    /// Another process held it for too long.
    #[error(
        "was locked by another process for {}; see which one has it open, for example with `fuser`",
        HumanDuration(super::file::PATIENCE)
    )]
    Locked,
    /// The file system lacks what several processes need to share the file.
    #[error("lies on a file system that cannot lock or share memory ({0}); put it on a local disk")]
    NotLocal(String),
    /// The caller asks for more than the store takes.
    #[error("does not take {0}")]
    TooMuch(String),
    /// There is no such job, or it is closed.
    #[error("knows no outstanding job {}", .0.0)]
    NoJob(Ticket),
    /// The process is about to end.
    #[error("did not answer: forewarn is stopping")]
    Stopping,
    /// Anything else that a disk or `SQLite` may say.
    #[error("failed: {0}")]
    Failed(String),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        let text = printable(&error.to_string(), LONGEST_TEXT);
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase,
            // Without a code: what SQLite gave is not what was stored.
            Some(ErrorCode::DatabaseCorrupt) | None => Self::Damaged(text),
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => Self::Denied(text),
            Some(ErrorCode::FileLockingProtocolFailed) => Self::NotLocal(text),
            Some(ErrorCode::SystemIoFailure) => {
                Self::Failed(format!("{text}; look at the disk, and at what the system's log says of it"))
            }
            Some(_) => Self::Failed(text),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<JoinError> for Trouble {
    fn from(error: JoinError) -> Self {
        if error.is_panic() {
            return Self::Failed("a panic, which is a bug in forewarn; please report it".to_owned());
        }
        Self::Stopping
    }
}

const LONGEST_TEXT: usize = 300;
