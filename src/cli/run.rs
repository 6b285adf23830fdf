//! `forewarn run`: the daemon, from signals to exit code.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{BAD_CONFIG, Global, Paths, complain, logging};
use crate::app::{App, Options, Source};
use crate::base::clock::Clock;
use crate::config::plan::Plan;
use crate::config::{self, render};

pub(super) fn run(global: &Global, paths: &Paths) -> ExitCode {
    logging::start(global);
    let paths = paths.resolved();
    let source: Source = Arc::new(move || config::load(&paths, &environment));
    let plan = match source() {
        Ok(plan) => plan,
        Err(problems) => {
            complain(&render::text(&problems, render::Colour::Always));
            return ExitCode::from(BAD_CONFIG);
        }
    };
    warn(&plan);
    match block_on(serve(global, plan, source)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A variable of the process's environment, for `${env:…}`.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Logs what is probably not meant as it stands.
pub(super) fn warn(plan: &Plan) {
    for warning in plan.warnings.sorted() {
        let line = warning.place.map_or(0, |place| place.line);
        tracing::warn!(file = &*warning.file, line, hint = warning.hint, "{}", warning.message);
    }
}

/// Runs `work` on a runtime with a worker for each core.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let ended = runtime.block_on(work);
    // A lookup by the C library may still block a thread; nobody waits for it any more.
    runtime.shutdown_background();
    ended
}

/// The signals that end the daemon or make it reload.
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the end, reloading `app` at each SIGHUP.
    pub(super) async fn end(&mut self, app: &App) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                // What came of it is logged where it happens.
                _ = self.hangup.recv() => drop(app.reload().await),
            }
        }
    }

    /// Waits for a second wish to end, by someone who does not want to wait for the grace.
    pub(super) async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn serve(global: &Global, plan: Plan, source: Source) -> anyhow::Result<()> {
    raise_file_limit();
    let mut signals = Signals::listen()?;
    let probes = plan.probes.len();
    let options = Options { listen: global.listen, clock: Clock::system(), observer: None };
    let app = App::start(plan, source, options).await?;
    tracing::info!(probes, address = %app.address(), "forewarn {} runs", env!("CARGO_PKG_VERSION"));
    let signal = signals.end(&app).await;
    tracing::info!(signal, "stopping; running attempts may end within the grace, a second signal cuts it short");
    tokio::select! {
        stopped = app.stop() => tracing::info!(finished = stopped.finished, aborted = stopped.aborted, "stopped"),
        () = signals.again() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

/// Every attempt under way holds a file descriptor; the usual soft limit of 1,024 is for programs that use `select`.
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit on file descriptors"),
    }
}
