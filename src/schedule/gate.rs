//! The caps: how many attempts run at once, in all and per host.
//!
//! Does not decide how long to wait for a place.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use super::runner::Limits;
use crate::base::clock::Instant;

/// Hands out the places.
pub(super) struct Gate {
    all: Arc<Semaphore>,
    hosts: HashMap<Arc<str>, Arc<Semaphore>>,
    per_host: usize,
}

/// The way to one attempt's place.
pub(super) struct Entrance {
    all: Arc<Semaphore>,
    host: Option<Arc<Semaphore>>,
}

/// One attempt's place, free again when dropped.
pub(super) struct Place {
    _host: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// None became free in time.
    Full,
    /// The gate is closed: nothing starts any more.
    Closed,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        let places = |count: usize| count.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            all: Arc::new(Semaphore::new(places(limits.concurrency))),
            hosts: HashMap::new(),
            per_host: places(limits.per_host),
        }
    }

    /// The way in for an attempt that burdens `host`, if any.
    pub(super) fn entrance(&mut self, host: Option<&Arc<str>>) -> Entrance {
        let per_host = self.per_host;
        let host = host.map(|host| {
            let semaphore = self.hosts.entry(Arc::clone(host)).or_insert_with(|| Arc::new(Semaphore::new(per_host)));
            Arc::clone(semaphore)
        });
        Entrance { all: Arc::clone(&self.all), host }
    }

    /// Forgets hosts that no attempt stands at or waits for.
    pub(super) fn tidy(&mut self) {
        self.hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
    }

    /// Refuses everyone who has no place yet.
    pub(super) fn close(&self) {
        self.all.close();
        for host in self.hosts.values() {
            host.close();
        }
    }
}

impl Entrance {
    /// Waits for a place until `give_up`; one that is free at once is taken even when that has passed.
    ///
    /// The host's place comes first: whoever waits for a crowded host holds none of the places that all hosts share.
    pub(super) async fn enter(self, give_up: Instant) -> Result<Place, Refused> {
        let both = async {
            let host = match self.host {
                Some(host) => Some(host.acquire_owned().await?),
                None => None,
            };
            Ok(Place { _host: host, _all: self.all.acquire_owned().await? })
        };
        match timeout_at(give_up, both).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err::<_, tokio::sync::AcquireError>(_)) => Err(Refused::Closed),
            Err(_) => Err(Refused::Full),
        }
    }
}
