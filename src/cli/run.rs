//! `forewarn run`: the daemon, from signals to exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{BAD_CONFIG, Global, Paths, complain, logging};
use crate::app::{self, App, Options, Source};
use crate::base::clock::Clock;
use crate::config::plan::Plan;
use crate::config::problem::Problems;
use crate::config::{self, render};

pub(super) fn run(global: &Global, paths: &Paths) -> ExitCode {
    logging::start(global);
    ended(block_on(serve(global, paths)))
}

/// The exit code, with the error printed if there is one.
pub(super) fn ended(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        complain(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// A variable of the process's environment, for `${env:…}`.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs `work` on a runtime with a worker for each core.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let ended = runtime.block_on(work);
    // Long enough to close the store; a lookup by the C library that still blocks a thread is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(500));
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
                _ = self.hangup.recv() => app.reload(),
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

async fn serve(global: &Global, paths: &Paths) -> anyhow::Result<ExitCode> {
    raise_file_limit();
    // Before anything that takes time: a SIGHUP that nobody listens for ends the process.
    let mut signals = Signals::listen()?;
    let (plan, source) = match plan(paths) {
        Ok(read) => read,
        Err(problems) => {
            refuse(global, &problems);
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    };
    app::log_problems(&plan.warnings);
    let probes = plan.probes.len();
    let listener = app::bind(global.listen.unwrap_or(plan.agent.listen.0), "--listen or agent.listen").await?;
    let clock = Clock::system();
    let desk = app::desk(&plan, &clock);
    let app = App::start(plan, source, Options { listener, clock, desk, observer: None })?;
    tracing::info!(probes, address = %app.address(), "forewarn {} runs", env!("CARGO_PKG_VERSION"));
    let signal = signals.end(&app).await;
    tracing::info!(signal, "stopping; running attempts may end within the grace, a second signal cuts it short");
    tokio::select! {
        stopped = app.stop() => tracing::info!(finished = stopped.finished, aborted = stopped.aborted, "stopped"),
        () = signals.again() => tracing::warn!("stopped at once"),
    }
    Ok(ExitCode::SUCCESS)
}

fn plan(paths: &Paths) -> Result<(Plan, Source), Problems> {
    let paths = paths.resolved()?;
    let source: Source = Arc::new(move || config::load(&paths, &environment));
    Ok((source()?, source))
}

/// Says why the agent does not start, to people with excerpts, to machines in the form of the other lines.
fn refuse(global: &Global, problems: &Problems) {
    match global.log_format {
        logging::Format::Json => app::log_problems(problems),
        logging::Format::Text => complain(render::text(problems, render::Colour::Always).trim_end()),
    }
}

/// Every attempt under way holds a file descriptor; the usual soft limit of 1,024 is for programs that use `select`.
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit on file descriptors"),
    }
}
