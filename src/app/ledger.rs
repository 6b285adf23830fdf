//! The ledger of jobs and money, kept in the store; the store is opened when it is first needed, so that an agent without
//! paid probes needs none.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::base::clock::Clock;
use crate::config::plan::Plan;
use crate::model::job::{Leftover, Opened, Opening, Ticket};
use crate::model::name::Name;
use crate::probe::generation::desk::Desk;
use crate::probe::generation::ledger::{Ledger, LedgerError};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::settings::{StoreSettings, StoreUrl};

/// A desk whose jobs and money are kept in the store that `plan` names.
#[must_use]
pub fn desk(plan: &Plan, clock: &Clock) -> Arc<Desk> {
    Arc::new(Desk::new(Arc::new(Books { settings: plan.store.clone(), clock: clock.clone(), store: OnceCell::new() })))
}

/// Tells of jobs that an earlier agent left and that no probe of `names` can follow, and forgets them. What they cost
/// stays counted.
pub(super) async fn give_up_strays(desk: &Desk, names: HashSet<Name>) {
    let here = names.iter().collect();
    for Leftover { ticket, probe, opened_at, values } in desk.strays(&here) {
        let job = values.iter().flatten().find(|(name, _)| name == "id").map(|(_, value)| value.as_str());
        tracing::warn!(%probe, submitted_at = %opened_at, job, "a job was outstanding when the agent ended, and its probe is gone: it can be neither followed nor cancelled");
        if let Err(error) = desk.ledger().close(ticket, false).await {
            tracing::warn!(%probe, error, "the ledger cannot be written");
        }
    }
}

/// True when there may be jobs of an earlier agent: a store that is not there holds none.
pub(super) fn may_have_leftovers(settings: &StoreSettings) -> bool {
    match &settings.url {
        StoreUrl::File(path) => Path::exists(path),
        StoreUrl::Memory => false,
    }
}

struct Books {
    settings: StoreSettings,
    clock: Clock,
    store: OnceCell<Store>,
}

impl Books {
    async fn store(&self) -> Result<&Store, LedgerError> {
        let open = || async {
            let (settings, clock) = (self.settings.clone(), self.clock.clone());
            let opened = tokio::task::spawn_blocking(move || Store::open(&settings, clock)).await;
            opened.map_err(|error| error.to_string())?.map_err(|error| told(&error))
        };
        self.store.get_or_try_init(open).await
    }
}

impl Ledger for Books {
    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<Opened, LedgerError>> {
        async move { self.store().await?.open_job(opening).await.map_err(|error| told(&error)) }.boxed()
    }

    fn accepted(&self, ticket: Ticket, values: Vec<(String, String)>) -> BoxFuture<'_, Result<(), LedgerError>> {
        async move { self.store().await?.accepted(ticket, values).await.map_err(|error| told(&error)) }.boxed()
    }

    fn close(&self, ticket: Ticket, refund: bool) -> BoxFuture<'_, Result<(), LedgerError>> {
        async move { self.store().await?.close_job(ticket, refund).await.map_err(|error| told(&error)) }.boxed()
    }

    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<Leftover>, LedgerError>> {
        async move {
            let store = self.store().await?;
            let mut adopted = Vec::new();
            for leftover in store.leftovers().await.map_err(|error| told(&error))? {
                // Another agent on the same store may be faster.
                if store.adopt(leftover.ticket).await.map_err(|error| told(&error))? {
                    adopted.push(leftover);
                }
            }
            Ok(adopted)
        }
        .boxed()
    }
}

fn told(error: &StoreError) -> LedgerError {
    error.to_string()
}
