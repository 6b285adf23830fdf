//! What an agent is to do, with every default filled in and every reference checked.
//!
//! The outcome of reading a configuration; [`super::compose`] makes it. Holds no state of a running agent.

use std::fmt;
use std::sync::Arc;

use super::compose::compose;
use super::labels::Labels;
use super::load::Sources;
use super::problem::{Problem, Problems};
use super::services::Service;
use super::settings::AgentSettings;
use super::yaml::{Document, Variables};
use crate::model::name::{Name, SurfaceRef};
use crate::probe::Spec;
use crate::schedule::cadence::Cadence;
use crate::store::settings::StoreSettings;

/// What an agent is to do.
#[derive(Debug)]
pub struct Plan {
    /// About the agent itself.
    pub agent: AgentSettings,
    /// Where what must survive a restart is kept.
    pub store: StoreSettings,
    /// The services, declared or derived from the probes, in the order of the files.
    pub services: Vec<Service>,
    /// The probes, in the order of the files.
    pub probes: Vec<PlannedProbe>,
    /// What is probably not meant as it stands; never an error.
    pub warnings: Problems,
}

/// One probe with every default filled in.
#[derive(Debug, Clone)]
pub struct PlannedProbe {
    /// Its name, unique.
    pub name: Name,
    /// What it watches; always one of the plan's services and surfaces.
    pub surface: SurfaceRef,
    /// The user's labels for its metrics: the agent's, the defaults' and its own.
    pub labels: Labels,
    /// When it runs, for how long at most, and what happens when attempts meet or fail.
    pub cadence: Cadence,
    /// What an attempt does.
    pub spec: Spec,
    /// Where it is written. Not part of what makes two probes equal.
    pub origin: Origin,
}

/// Two probes are equal when they do the same at the same times, wherever they are written.
impl PartialEq for PlannedProbe {
    fn eq(&self, other: &Self) -> bool {
        let Self { name, surface, labels, cadence, spec, origin: _ } = self;
        (name, surface, labels) == (&other.name, &other.surface, &other.labels)
            && *cadence == other.cadence
            && *spec == other.spec
    }
}

/// A file and a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file, as the user named it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.file, self.line)
    }
}

impl Plan {
    /// Reads a plan out of files. References take their values from `variables`.
    ///
    /// # Errors
    /// Everything that is wrong, as far as it can be told at once, with the warnings.
    pub fn read(sources: Sources, variables: Variables<'_>) -> Result<Self, Problems> {
        let Sources { files, mut problems } = sources;
        let documents: Vec<_> =
            files.into_iter().filter_map(|file| Document::read(file, variables, &mut problems)).collect();
        let mut plan = compose(&documents, &mut problems);
        if plan.probes.is_empty() && !problems.has_errors() {
            let file = documents.first().map_or_else(|| Arc::from(""), |document| Arc::clone(document.name()));
            problems.add(Problem::in_file(&file, "no probe is configured").warning().hint(FIRST_PROBE));
        }
        if problems.has_errors() {
            return Err(problems);
        }
        plan.warnings = problems;
        Ok(plan)
    }
}

const FIRST_PROBE: &str =
    "the shortest is `probes: [{name: my-site, surface: my-site/web, http: {url: \"https://example.org/\"}}]`";
