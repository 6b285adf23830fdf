//! Connections that wait for the next request to the same place.
//!
//! Nobody drives a waiting connection, so whoever takes one out must expect that it was closed meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use url::{Origin, Url};

use super::Connection as Settings;
use crate::base::clock::Instant;
use crate::probe::http::Version;
use crate::probe::http::exchange::Connection;
use crate::probe::net::settings::{Resolve, Tls};

/// The waiting connections of everyone who connects by the same settings.
#[derive(Default)]
pub struct Pool(Mutex<HashMap<Origin, Vec<Waiting>>>);

struct Waiting {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// A connection to where `url` leads, if one waits. The one that came last is the likeliest to live.
    pub fn take(&self, url: &Url) -> Option<Connection> {
        let mut waiting = self.lock();
        let here = waiting.get_mut(&url.origin())?;
        let last = here.pop()?;
        if last.since.elapsed() > MAX_WAIT {
            // The others have waited for longer.
            here.clear();
            return None;
        }
        Some(last.connection)
    }

    /// Keeps a connection that took `url`'s answer whole.
    pub fn keep(&self, url: &Url, connection: Connection) {
        let mut waiting = self.lock();
        if waiting.len() >= MAX_ORIGINS && !waiting.contains_key(&url.origin()) {
            waiting.clear();
        }
        let here = waiting.entry(url.origin()).or_default();
        if here.len() < MAX_WAITING {
            here.push(Waiting { connection, since: Instant::now() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Vec<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One pool for each set of settings.
#[derive(Default)]
pub struct Pools(Mutex<HashMap<(Resolve, Tls, Version), Arc<Pool>>>);

impl Pools {
    /// The pool for these settings.
    pub fn pool(&self, settings: &Settings) -> Arc<Pool> {
        let key = (settings.resolve.clone(), settings.tls.clone(), settings.version);
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default())
    }
}

/// Less than the idle time after which servers usually close.
const MAX_WAIT: Duration = Duration::from_secs(15);
const MAX_WAITING: usize = 32;
const MAX_ORIGINS: usize = 100;
