//! Floor 5: the command line. Parses it, calls the library, turns what comes back into text and an exit code.
//!
//! Decides nothing about probes or configuration; each command's file says which part of the library it calls.

mod check;
mod demo;
mod logging;
mod once;
mod progress;
mod run;
mod waterfall;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::plan::Plan;
use crate::config::problem::{Problem, Problems};
use crate::config::{self, schema};

/// Runs the command that the process's arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.global.color.write_global();
    match arguments.command {
        Command::Run(paths) => run::run(&arguments.global, &paths),
        Command::Check { format, paths } => check::check(&arguments.global, format, &paths),
        Command::Probe { json, name, paths } => once::probe(&arguments.global, json, &name, &paths),
        Command::Demo(options) => demo::demo(&arguments.global, &options),
        Command::Schema => print(&format!("{:#}", schema::schema())),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "forewarn", &mut script);
            print(String::from_utf8_lossy(&script).trim_end())
        }
    }
}

/// The command line as data, for whoever wants to check or document it.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Synthetic-probe monitoring: does what a user would do, and says what broke before most users notice.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, propagate_version = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What holds for every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// Where metrics and the API are served, instead of `agent.listen`.
    #[arg(long, global = true, env = "FOREWARN_LISTEN", hide_env_values = true, value_name = "ADDRESS:PORT")]
    listen: Option<std::net::SocketAddr>,
    /// How log lines look.
    #[arg(
        long,
        global = true,
        env = "FOREWARN_LOG_FORMAT",
        hide_env_values = true,
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: logging::Format,
    /// The least important log lines to write: error, warn, info, debug or trace.
    #[arg(
        long,
        global = true,
        env = "FOREWARN_LOG_LEVEL",
        hide_env_values = true,
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: tracing::Level,
    /// When to use colours.
    #[arg(
        long,
        global = true,
        env = "FOREWARN_COLOR",
        hide_env_values = true,
        value_name = "WHEN",
        default_value = "auto"
    )]
    color: Colour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    Always,
    Never,
}

impl Colour {
    /// Tells the printing library, which asks for it process-wide.
    fn write_global(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::AlwaysAnsi,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent: probes on their schedules, metrics for Prometheus.
    #[command(after_help = "Examples:\n  forewarn run\n  forewarn run probes/ agent.yml --listen 0.0.0.0:9780\n\n\
        Signals:\n  SIGHUP            read the configuration again (as does POST /-/reload)\n  \
        SIGTERM, SIGINT   stop: let running attempts end within agent.grace, exit 0")]
    Run(Paths),
    /// Check the configuration and print every problem, with its place and a remedy.
    #[command(after_help = "Examples:\n  forewarn check\n  forewarn check probes/ --format json\n\n\
        Exit status: 0 usable, 2 not usable")]
    Check {
        /// How problems are printed.
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: check::Format,
        #[command(flatten)]
        paths: Paths,
    },
    /// Run one probe once, now, and show what happened.
    #[command(
        after_help = "Examples:\n  forewarn probe pika-web\n  forewarn probe pika-web probes/ --json | jq .phases\n\n\
        Exit status: 0 ok or degraded, 1 failed, 2 bad configuration or no such probe"
    )]
    Probe {
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
        /// The probe's name.
        name: String,
        #[command(flatten)]
        paths: Paths,
    },
    /// Run everything against a built-in simulated service whose faults you can switch.
    #[command(after_help = "Examples:\n  forewarn demo\n  forewarn demo --service 127.0.0.1:8080")]
    Demo(demo::Options),
    /// Print the JSON Schema of the configuration, for editors.
    #[command(after_help = "Example:\n  forewarn schema > ~/.config/forewarn.schema.json")]
    Schema,
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  forewarn completions bash > /etc/bash_completion.d/forewarn")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Where the configuration is.
#[derive(Debug, clap::Args)]
struct Paths {
    /// YAML files, or directories whose *.yml and *.yaml files are all read. Default: forewarn.yml if there is one,
    /// else probes/.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Paths {
    /// The paths given, or the default.
    fn resolved(&self) -> Result<Vec<PathBuf>, Problems> {
        if !self.paths.is_empty() {
            return Ok(self.paths.clone());
        }
        if let Some(found) = DEFAULT_PATHS.into_iter().map(PathBuf::from).find(|path| path.exists()) {
            return Ok(vec![found]);
        }
        let mut problems = Problems::default();
        let message = "there is no configuration: neither `forewarn.yml` nor `probes/` is in this folder";
        let hint = "name a file or folder; to look around without any, try `forewarn demo`";
        problems.add(Problem::in_file(&"".into(), message).hint(hint));
        Err(problems)
    }

    /// The plan that they hold.
    fn plan(&self) -> Result<Plan, Problems> {
        config::load(&self.resolved()?, &run::environment)
    }
}

/// Prints `text` and a line end to standard output. A reader that went away is no failure of ours.
fn print(text: &str) -> ExitCode {
    let _ = writeln!(anstream::stdout(), "{text}");
    ExitCode::SUCCESS
}

/// Prints `text` and a line end to standard error.
fn complain(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// How many columns the terminal has, or 100 where there is none.
fn columns() -> usize {
    terminal_size::terminal_size_of(io::stdout()).map_or(100, |(width, _)| usize::from(width.0))
}

const DEFAULT_PATHS: [&str; 2] = ["forewarn.yml", "probes"];

/// The configuration is bad, or names nothing that fits.
const BAD_CONFIG: u8 = 2;

const EXAMPLES: &str = "Examples:\n  forewarn demo                  see it work, against a simulated service\n  \
    forewarn check probes/         is the configuration right?\n  \
    forewarn probe pika-web        run one probe now and see its phases\n  \
    forewarn run                   run the agent";
