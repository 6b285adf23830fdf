//! Makes attempts of a probe that is written as JSON, as the configuration would.

use std::sync::Arc;
use std::time::Duration;

use forewarn::base::clock::Clock;
use forewarn::model::outcome::{Failure, Outcome};
use forewarn::model::reason::{Blame, Reason};
use forewarn::model::result::{Identity, ProbeResult, Trigger};
use forewarn::probe::ProbeType;
use forewarn::probe::attempt::{self, Order, Prober};
use forewarn::probe::http::Http;
use forewarn::probe::net::shared::Shared;
use serde_json::{Value, json};

/// The `http` prober of these settings.
pub(crate) fn prober(settings: Value) -> Arc<dyn Prober> {
    prober_of::<Http>(settings)
}

/// The prober of these settings. Unless they say how to resolve names, it uses IPv4, where the peers listen.
pub(crate) fn prober_of<T: ProbeType>(mut settings: Value) -> Arc<dyn Prober> {
    settings.as_object_mut().unwrap().entry("resolve").or_insert_with(|| json!({"family": "ipv4"}));
    let settings: T = super::settings::read(settings).unwrap();
    let conflicts = settings.conflicts();
    assert!(conflicts.is_empty(), "{conflicts:?}");
    Arc::new(settings).prober(&Arc::new(Shared::new(Clock::system())))
}

/// One attempt with the settings, within ten seconds.
pub(crate) async fn probe(settings: Value) -> ProbeResult {
    attempt(&*prober(settings)).await
}

/// One more attempt, within ten seconds.
pub(crate) async fn attempt(prober: &dyn Prober) -> ProbeResult {
    attempt_within(prober, Duration::from_secs(10)).await
}

/// One attempt with a deadline.
pub(crate) async fn attempt_within(prober: &dyn Prober, timeout: Duration) -> ProbeResult {
    let clock = Clock::system();
    let order = Order {
        identity: Identity {
            probe: "pika-web".parse().unwrap(),
            surface: "pika/web".parse().unwrap(),
            region: "here".into(),
        },
        trigger: Trigger::Demand,
        scheduled_at: clock.now(),
        lag: Duration::ZERO,
        timeout,
    };
    attempt::make(prober, order, &clock).await
}

/// What a test asks of a result.
pub(crate) trait Inspect {
    /// The failure of a failed attempt.
    fn failed(&self) -> &Failure;
    /// The failure of a degraded attempt.
    fn degraded(&self) -> &Failure;
    /// Fails the test unless the attempt was plain ok.
    fn assert_ok(&self) -> &Self;
    /// Fails the test unless the attempt failed so; gives back the sentence.
    fn assert_failed(&self, reason: Reason, blame: Blame) -> &str;
    /// The names of the phases that were entered.
    fn phases(&self) -> Vec<&'static str>;
    /// A fact, or the empty text.
    fn fact(&self, key: &str) -> &str;
    /// The details of the steps of this name.
    fn steps(&self, name: &str) -> Vec<&str>;
}

impl Inspect for ProbeResult {
    fn failed(&self) -> &Failure {
        match &self.outcome {
            Outcome::Failed(failure) => failure,
            other => panic!("expected a failed attempt, got {other:?}"),
        }
    }

    fn degraded(&self) -> &Failure {
        match &self.outcome {
            Outcome::Degraded(failure) => failure,
            other => panic!("expected a degraded attempt, got {other:?}"),
        }
    }

    fn assert_ok(&self) -> &Self {
        assert_eq!(self.outcome, Outcome::Ok, "{:#?}", self.findings);
        self
    }

    fn assert_failed(&self, reason: Reason, blame: Blame) -> &str {
        let failure = self.failed();
        assert_eq!((failure.reason, failure.blame), (reason, blame), "{}", failure.detail);
        &failure.detail
    }

    fn phases(&self) -> Vec<&'static str> {
        self.findings.phases.iter().map(|(name, _)| *name).collect()
    }

    fn fact(&self, key: &str) -> &str {
        self.findings.fact(key).unwrap_or_default()
    }

    fn steps(&self, name: &str) -> Vec<&str> {
        self.findings.steps.iter().filter(|step| step.name == name).map(|step| step.detail.as_str()).collect()
    }
}
