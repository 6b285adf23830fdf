//! `forewarn demo`: the agent, a simulated service with faults to switch, and what the probes see, live.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::run::{Signals, block_on, ended};
use super::{BAD_CONFIG, Global, complain, logging};
use crate::app::{self, App, Desk, Observer, Source};
use crate::base::clock::Clock;
use crate::config::load::Sources;
use crate::config::plan::Plan;
use crate::config::render;
use crate::demo::fault::Faults;
use crate::demo::service::Service;
use crate::demo::terminal::screen::{Screen, Style};
use crate::demo::terminal::{Links, Live};
use crate::demo::{PROBES, variables};

/// Where the demo listens.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Where the simulated service is served, with its page of faults.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 9790)))]
    service: SocketAddr,
}

pub(super) fn demo(global: &Global, options: &Options) -> ExitCode {
    // The live view is what people look at; log lines would tear it.
    logging::start_at(global, tracing::Level::ERROR);
    ended(block_on(show(global, options)))
}

async fn show(global: &Global, options: &Options) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let faults = Arc::new(Faults::default());
    let listener = app::bind(options.service, "--service").await?;
    let address = listener.local_addr()?;
    let source = source(address);
    let plan = match source() {
        Ok(plan) => plan,
        Err(problems) => {
            complain(&render::text(&problems, render::Colour::Always));
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    };
    let own = app::bind(global.listen.unwrap_or(plan.agent.listen.0), "--listen").await?;
    let agent = own.local_addr()?;
    let service = Service::start(listener, faults, Some(agent))?;
    let links = Links {
        app: format!("http://{address}/"),
        faults: format!("http://{address}/faults"),
        metrics: format!("http://{agent}/metrics"),
    };
    let clock = Clock::system();
    let names = plan.probes.iter().map(|probe| probe.name.clone());
    let desk: Arc<Desk> = Arc::default();
    let pending = {
        let desk = Arc::clone(&desk);
        Box::new(move || desk.pending())
    };
    let live = Live::new(names, links, TimeZone::system());
    let screen = Arc::new(Screen::start(live, pending, clock.clone(), Style::of_stdout())?);
    let observer: Observer = {
        let screen = Arc::clone(&screen);
        Arc::new(move |result| screen.update(result.clone()))
    };
    let app = App::start(plan, source, app::Options { listener: own, clock, desk, observer: Some(observer) })?;
    signals.end(&app).await;
    tokio::select! {
        _ = app.stop() => {}
        () = signals.again() => {}
    }
    service.stop().await;
    drop(screen);
    Ok(ExitCode::SUCCESS)
}

/// The demo's own probes, with the addresses and credentials of the simulated service at `address`.
fn source(address: SocketAddr) -> Source {
    let variables = variables(address);
    Arc::new(move || {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        Plan::read(Sources::texts([("demo.yml", PROBES)], Path::new(".")), &value)
    })
}
