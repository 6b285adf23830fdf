//! `forewarn check`: is the configuration usable, and if not, what is wrong where.

use std::process::ExitCode;

use super::{BAD_CONFIG, Global, Paths, complain, logging, print};
use crate::config::problem::Problems;
use crate::config::render::{self, Colour};

/// How problems are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people, with excerpts.
    Text,
    /// One JSON object.
    Json,
}

pub(super) fn check(global: &Global, format: Format, paths: &Paths) -> ExitCode {
    logging::start_at(global, tracing::Level::WARN);
    let (problems, summary) = match paths.plan() {
        Ok(plan) => {
            let surfaces: usize = plan.services.iter().map(|service| service.surfaces.len()).sum();
            let fine = format!(
                "fine: {} on {} of {}",
                counted(plan.probes.len(), "probe"),
                counted(surfaces, "surface"),
                counted(plan.services.len(), "service")
            );
            (plan.warnings, fine)
        }
        Err(problems) => (problems, String::new()),
    };
    match format {
        Format::Text => text(&problems, &summary),
        Format::Json => drop(print(&format!("{:#}", render::json(&problems)))),
    }
    if problems.has_errors() { ExitCode::from(BAD_CONFIG) } else { ExitCode::SUCCESS }
}

fn text(problems: &Problems, summary: &str) {
    let drawn = render::text(problems, Colour::Always);
    if !drawn.is_empty() {
        complain(drawn.trim_end());
    }
    if !summary.is_empty() {
        print(summary);
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
