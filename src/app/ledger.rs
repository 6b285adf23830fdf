//! The ledger of jobs and money, kept in the store; the store is opened when it is first needed, so that an agent without
//! paid probes needs none.

use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use tokio::sync::OnceCell;

use crate::base::clock::Clock;
use crate::config::plan::Plan;
use crate::model::job::{Leftover, Opened, Opening, Ticket};
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

/// Takes over what earlier agents left, and tells of what no probe here can follow. Such a job is left to its own agent for a
/// day, and then forgotten; what it cost stays counted.
pub(super) async fn recover(desk: &Desk, clock: &Clock) {
    let strays = match desk.recover().await {
        Ok(strays) => strays,
        Err(error) => {
            return tracing::warn!(error, "the store cannot be read: jobs of an earlier agent stay as they are");
        }
    };
    for Leftover { ticket, probe, opened_at, values } in strays {
        let job = values.iter().flatten().find(|(name, _)| name == "id").map(|(_, value)| value.as_str());
        tracing::warn!(%probe, submitted_at = %opened_at, job, "a job was outstanding when its agent ended, and its probe is not here: it can be neither followed nor cancelled");
        if clock.now().duration_since(opened_at) > FORGET_AFTER
            && let Err(error) = desk.ledger().close(ticket, false).await
        {
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
        async move { self.store().await?.leftovers().await.map_err(|error| told(&error)) }.boxed()
    }

    fn adopt(&self, ticket: Ticket) -> BoxFuture<'_, Result<bool, LedgerError>> {
        async move { self.store().await?.adopt(ticket).await.map_err(|error| told(&error)) }.boxed()
    }
}

/// Longer than any job runs.
const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(24);

fn told(error: &StoreError) -> LedgerError {
    error.to_string()
}
