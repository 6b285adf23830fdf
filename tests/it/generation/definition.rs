//! Definitions of `generation` probes as users write them, made to fit a stand-in, and attempts by them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use forewarn::app::{self, Desk};
use forewarn::base::clock::Clock;
use forewarn::config::load::Sources;
use forewarn::config::plan::Plan;
use forewarn::config::render;
use forewarn::model::result::ProbeResult;
use regex::Regex;
use serde_json::{Value, json};

/// A definition's text.
#[derive(Clone)]
pub(crate) struct Definition(String);

impl Definition {
    /// The shipped definition of this name as it is.
    #[expect(clippy::disallowed_methods, reason = "the project's own files are no bytes from outside")]
    pub(crate) fn shipped(name: &str) -> Self {
        let path = format!("{}/probes/providers/{name}.example.yml", env!("CARGO_MANIFEST_DIR"));
        Self(fs::read_to_string(path).unwrap())
    }

    /// Asks as often as is allowed at all.
    pub(crate) fn hasty(self) -> Self {
        // The pace of the job, not of the probe, which is in minutes and hours.
        let pace = Regex::new(r"\bevery: \d+s\b").unwrap();
        assert_eq!(pace.find_iter(&self.0).count(), 1, "the pace of asking is not found in\n{}", self.0);
        Self(pace.replace(&self.0, "every: 250ms").into_owned())
    }

    /// A definition with these settings, whose attempts may take ten seconds.
    pub(crate) fn of(generation: &Value) -> Self {
        Self::named("job", generation)
    }

    /// As [`Self::of`], of a probe with this name.
    pub(crate) fn named(name: &str, generation: &Value) -> Self {
        let probe = json!({"name": name, "surface": "s/generation", "timeout": "10s", "generation": generation});
        Self(json!({"probes": [probe]}).to_string())
    }

    /// With another text in place of this one, which must be there.
    pub(crate) fn with(mut self, from: &str, to: &str) -> Self {
        assert!(self.0.contains(from), "`{from}` is not in the definition:\n{}", self.0);
        self.0 = self.0.replace(from, to);
        self
    }

    /// The plan; `${env:NAME}` is `value-of-NAME`.
    pub(crate) fn plan(&self) -> Plan {
        let sources = Sources::texts([("definition.yml", &*self.0)], Path::new("."));
        let plan = Plan::read(sources, &|name| Some(format!("value-of-{name}")));
        plan.unwrap_or_else(|problems| panic!("{}", render::text(&problems, render::Colour::Never)))
    }

    /// One attempt, by an agent of its own.
    pub(crate) async fn attempt(&self) -> ProbeResult {
        self.attempt_at(&Arc::default()).await
    }

    /// One attempt by the agent to which `desk` belongs.
    pub(crate) async fn attempt_at(&self, desk: &Arc<Desk>) -> ProbeResult {
        let plan = self.plan();
        app::once(&plan, &plan.probes[0], &Clock::system(), desk).await
    }
}
