//! `forewarn probe NAME`: one attempt, now, shown to whoever asked.

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use super::run::block_on;
use super::{BAD_CONFIG, Global, Paths, columns, complain, logging, print, waterfall};
use crate::app::{self, Desk};
use crate::base::clock::Clock;
use crate::config::plan::Plan;
use crate::config::{self, render};
use crate::model::job::Pending;
use crate::model::result::ProbeResult;

pub(super) fn probe(global: &Global, json: bool, name: &str, paths: &Paths) -> ExitCode {
    logging::start_at(global, tracing::Level::WARN);
    let plan = match paths.plan() {
        Ok(plan) => plan,
        Err(problems) => {
            complain(&render::text(&problems, render::Colour::Always));
            return ExitCode::from(BAD_CONFIG);
        }
    };
    let Some(probe) = plan.probes.iter().find(|probe| probe.name.as_str() == name) else {
        complain(&unknown(name, &plan));
        return ExitCode::from(BAD_CONFIG);
    };
    let waiting = stderr().is_terminal() && !json;
    let result = block_on(async {
        let clock = Clock::system();
        let desk = app::desk(&plan, &clock);
        let attempt = app::once(&plan, probe, &clock, &desk);
        let attempt = given_up_on_interrupt(attempt, &desk);
        let how_far = || desk.pending().first().map(Pending::progress);
        Ok(if waiting { super::progress::shown_while(name, how_far, attempt).await } else { attempt.await })
    });
    match result {
        Ok(result) => {
            if json {
                // Texts and numbers cannot fail to become JSON.
                print(&serde_json::to_string(&result).unwrap_or_default());
            } else {
                print(waterfall::render(&result, columns()).trim_end());
            }
            if result.outcome.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Waits for `attempt`. An interrupt lets it cancel its job, if it has one, and end; a second one ends the program.
async fn given_up_on_interrupt(attempt: impl Future<Output = ProbeResult>, desk: &Desk) -> ProbeResult {
    let mut attempt = std::pin::pin!(attempt);
    tokio::select! {
        result = &mut attempt => return result,
        // Without a job there is nothing to leave behind, and nobody wants to wait.
        Ok(()) = tokio::signal::ctrl_c() => {
            if desk.pending().is_empty() {
                std::process::exit(INTERRUPTED);
            }
            desk.close();
        }
    }
    tokio::select! {
        result = attempt => result,
        _ = tokio::signal::ctrl_c() => std::process::exit(INTERRUPTED),
    }
}

/// What shells make of a program that an interrupt ended.
const INTERRUPTED: i32 = 130;

fn unknown(name: &str, plan: &Plan) -> String {
    let names = plan.probes.iter().map(|probe| probe.name.as_str());
    let hint = if let Some(close) = config::nearest(name, names.clone()) {
        format!("did you mean `{close}`?")
    } else {
        let some: Vec<_> = names.take(10).collect();
        format!("there are: {}{}", some.join(", "), if plan.probes.len() > 10 { ", …" } else { "" })
    };
    format!("error: there is no probe `{}`; {hint}", crate::base::bounded::printable(name, 60))
}
