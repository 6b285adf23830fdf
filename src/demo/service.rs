//! The simulated service as a whole: one listener, every part of it, and the faults around them.
//!
//! What the parts answer stands in their own files; TLS and a real video model are left out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::backend::Backend;
use super::fault::Faults;
use super::{faults_page, files, library, queue, strike, web};
use crate::base::clock::Clock;
use crate::base::serve::{Limits, serve};

/// The running service. Dropping it stops it at once; [`Self::stop`] lets answers under way finish.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Service {
    /// Serves on `listener` until stopped. `agent` is where the agent that watches it listens, for a link.
    ///
    /// # Errors
    /// When the operating system does not say where the listener listens.
    pub fn start(listener: TcpListener, faults: Arc<Faults>, agent: Option<SocketAddr>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let struck = middleware::from_fn_with_state(Arc::clone(&faults), strike::strike);
        // The layer covers what is there when it is laid; the faults page comes later and is never hit.
        let backend = Arc::new(Backend::new(Arc::clone(&faults), Clock::system(), address));
        let router = parts(&backend).layer(struck).merge(faults_page::router(faults, address, agent));
        let task = tokio::spawn(serve(listener, router, Limits::default(), stopped, |_| {}));
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, gives answers under way [`GRACE`], and returns when all is closed.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // A request that hangs on purpose never ends by itself; dropping the task ends it.
        let _ = tokio::time::timeout(GRACE, &mut self.task).await;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Everything that faults may hit.
fn parts(backend: &Arc<Backend>) -> Router {
    web::router(Arc::clone(backend))
        .merge(queue::router(Arc::clone(backend)))
        .merge(files::router(Arc::clone(backend)))
        .merge(library::router(Arc::clone(backend)))
}

/// How long [`Service::stop`] waits for answers under way.
pub const GRACE: Duration = Duration::from_secs(1);
