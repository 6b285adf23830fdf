//! Where log lines go and how they look: standard error, as text for people or JSON for machines.

use std::io::{IsTerminal, stderr};

use tracing::Level;
use tracing::level_filters::LevelFilter;

use super::{Colour, Global};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Starts logging for the whole process, as `global` says.
pub(super) fn start(global: &Global) {
    start_at(global, global.log_level);
}

/// Starts logging at `level` at most, for commands whose own output matters more.
pub(super) fn start_at(global: &Global, level: Level) {
    let level = LevelFilter::from_level(level.min(global.log_level));
    // Where nobody can take a line any more (a full disk, a closed pipe), the line is lost and the agent goes on.
    let builder = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_writer(stderr)
        .with_max_level(level)
        .with_target(false);
    // An error means that a logger is set already, as in tests; then it may stay.
    let _ = match global.log_format {
        Format::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        Format::Text => builder.with_ansi(wants_colour(global.color)).try_init(),
    };
}

fn wants_colour(colour: Colour) -> bool {
    match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}
