//! Floor 4: the daemon as a library. Builds each part from the plan, carries results between them, reloads, stops.
//!
//! The only place where schedule, probe and metrics meet. Parses no command line and touches no signal.

mod agent;
mod door;
mod ledger;
mod problems;
mod results;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use self::agent::Agent;
pub use self::agent::{Difference, once};
pub use self::ledger::desk;
pub use self::problems::log as log_problems;
use crate::base::clock::Clock;
use crate::base::serve::{Limits, serve};
use crate::config::plan::Plan;
use crate::config::problem::{Problem, Problems};
use crate::model::result::ProbeResult;
pub use crate::probe::generation::desk::Desk;
use crate::schedule::runner::Stopped;

/// Where a plan comes from: called at each reload, on a thread that may block.
pub type Source = Arc<dyn Fn() -> Result<Plan, Problems> + Send + Sync>;

/// Sees each result after the metrics did. Must neither block nor panic.
pub type Observer = Arc<dyn Fn(&ProbeResult) + Send + Sync>;

/// What the daemon is given beside its plan.
pub struct Options {
    /// Where to serve; see [`bind`].
    pub listener: TcpListener,
    /// Wall time.
    pub clock: Clock,
    /// Where jobs are followed.
    pub desk: Arc<Desk>,
    /// Who else wants to see results.
    pub observer: Option<Observer>,
}

/// The running daemon.
pub struct App {
    core: Arc<Core>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

/// What the listener's handlers and the daemon's owner share.
struct Core {
    agent: Agent,
    source: Source,
    ready: AtomicBool,
    /// Held over a whole reload, so that two of them do not cross.
    reloading: Mutex<()>,
    /// Whether a reload that nobody waits for has been asked for and has not begun to read.
    waiting: AtomicBool,
}

/// Listens on `address`, which the command line's `flag` can change.
///
/// # Errors
/// With what the operating system said, and a remedy.
pub async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "another program listens there, perhaps another agent: stop it, or ",
            io::ErrorKind::AddrNotAvailable => "this machine has no such address: ",
            io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: ",
            _ => "",
        };
        anyhow::anyhow!("cannot listen on {address}: {error}\n  = help: {why}choose another address with {flag}")
    })
}

impl App {
    /// Starts the probes of `plan` and serves. `source` gives the plan again when a reload is asked for.
    ///
    /// To be called within a tokio runtime.
    ///
    /// # Errors
    /// When the listener has no address, or the program's own tables do not fit together.
    pub fn start(plan: Plan, source: Source, options: Options) -> anyhow::Result<Self> {
        let listener = options.listener;
        let address = listener.local_addr()?;
        let agent = Agent::start(plan, options.clock, options.desk, options.observer)?;
        let core = Arc::new(Core {
            agent,
            source,
            ready: AtomicBool::new(true),
            reloading: Mutex::default(),
            waiting: AtomicBool::new(false),
        });
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(serve(listener, door::router(Arc::clone(&core)), Limits::default(), stopped, |_| {}));
        Ok(Self { core, address, stop, server })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads the configuration again, in the background: what comes of it is in the log and the metrics. A bad one
    /// changes nothing else.
    pub fn reload(&self) {
        // One that waits will see whatever changed by then, so a storm of signals costs two reloads and not a hundred.
        if !self.core.waiting.swap(true, Ordering::Relaxed) {
            let core = Arc::clone(&self.core);
            tokio::spawn(async move { core.reload().await });
        }
    }

    /// Stops: no new attempts, running ones get the plan's grace, then the listener closes.
    ///
    /// `/metrics` answers until the last attempt has ended, so that a last scrape can see it.
    pub async fn stop(self) -> Stopped {
        self.core.ready.store(false, Ordering::Relaxed);
        let stopped = self.core.agent.stop().await;
        self.stop.send_replace(true);
        // Whoever still reads an answer by now is too slow to wait for.
        let mut server = self.server;
        if tokio::time::timeout(LAST_ANSWERS, &mut server).await.is_err() {
            server.abort();
        }
        stopped
    }
}

impl Core {
    async fn reload(&self) -> Result<Difference, Problems> {
        let _alone = self.reloading.lock().await;
        self.waiting.store(false, Ordering::Relaxed);
        let source = Arc::clone(&self.source);
        let read = tokio::task::spawn_blocking(move || source()).await;
        match read {
            Ok(Ok(plan)) => {
                log_problems(&plan.warnings);
                let difference = self.agent.replace(plan);
                tracing::info!(%difference, "configuration reloaded");
                Ok(difference)
            }
            Ok(Err(problems)) => {
                self.agent.reload_failed();
                log_problems(&problems);
                tracing::error!(errors = problems.errors(), "the new configuration is bad; the old one goes on");
                Err(problems)
            }
            Err(panic) => {
                self.agent.reload_failed();
                tracing::error!(%panic, "reading the configuration panicked; the old one goes on");
                let mut problems = Problems::default();
                problems.add(Problem::in_file(&Arc::from(""), "reading the configuration panicked, a bug in forewarn"));
                Err(problems)
            }
        }
    }
}

/// How long answers under way may take once everything else has stopped.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
