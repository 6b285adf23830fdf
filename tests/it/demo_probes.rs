//! The demo's own probes against its own service: each fault is seen, by the right probes, for the right reason.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forewarn::base::clock::Clock;
use forewarn::config::load::Sources;
use forewarn::config::plan::Plan;
use forewarn::demo::fault::{Fault, Faults, TABLE};
use forewarn::demo::service::Service;
use forewarn::demo::{PROBES, variables};
use forewarn::model::reason::Reason;
use forewarn::model::result::{Identity, ProbeResult, Trigger};
use forewarn::probe::attempt::{Order, Prober, make};
use forewarn::probe::net::shared::Shared;
use futures_util::future::join_all;
use tokio::net::TcpListener;

struct Demo {
    service: Service,
    faults: Arc<Faults>,
    probes: Vec<(Identity, Arc<dyn Prober>)>,
}

impl Demo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let faults = Arc::new(Faults::default());
        let service = Service::start(listener, Arc::clone(&faults), None).unwrap();
        let known = variables(service.address());
        let lookup = |name: &str| known.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let plan = Plan::read(Sources::texts([("demo.yml", PROBES)], Path::new(".")), &lookup).unwrap();
        assert!(plan.warnings.sorted().is_empty(), "{:?}", plan.warnings.sorted());
        let shared = Arc::new(Shared::new(Clock::system()));
        let probes = plan.probes.iter().map(|probe| {
            let (name, surface) = (probe.name.clone(), probe.surface.clone());
            (Identity { probe: name, surface, region: "local".into() }, probe.spec.prober(&shared))
        });
        Self { service, faults, probes: probes.collect() }
    }

    /// One attempt of every probe, all at once.
    async fn attempts(&self, timeout: Duration) -> Vec<ProbeResult> {
        let clock = Clock::system();
        join_all(self.probes.iter().map(|(identity, prober)| {
            let order = Order {
                identity: identity.clone(),
                trigger: Trigger::Demand,
                scheduled_at: clock.now(),
                lag: Duration::ZERO,
                timeout,
            };
            make(prober.as_ref(), order, &clock)
        }))
        .await
    }
}

/// What the probes that are not ok say, as `probe outcome reason`, with the probe's service left out. `except` is what
/// does not count: outcome and reason.
fn troubles(results: &[ProbeResult], except: &str) -> Vec<String> {
    let trouble = |result: &ProbeResult| {
        let name = result.identity.probe.as_str().trim_start_matches("reverie-");
        let trouble = format!("{} {}", result.outcome.as_str(), result.outcome.failure()?.reason);
        (trouble != except).then(|| format!("{name} {trouble}"))
    };
    results.iter().filter_map(trouble).collect()
}

/// A busy machine may be slow by itself, which says nothing about faults.
const LOAD: &str = "degraded slow";

const ALL: [&str; 8] = ["home", "library", "bundle", "style", "sign-in", "account", "stranger", "health"];

/// Every probe fails for this reason.
fn all_failed(reason: Reason) -> Vec<String> {
    ALL.map(|name| format!("{name} failed {reason}")).to_vec()
}

/// What the demo's probes say of each fault.
fn expected(fault: Fault) -> Vec<String> {
    let list = |troubles: &[&str]| troubles.iter().map(ToString::to_string).collect();
    match fault {
        // The bundle, the style and the shut door have no limit but their timeout.
        Fault::Slow => list(&[
            "home failed slow",
            "library degraded slow",
            "sign-in degraded slow",
            "account degraded slow",
            "health degraded slow",
        ]),
        Fault::Reset => all_failed(Reason::Network),
        Fault::Hang => all_failed(Reason::Timeout),
        Fault::Truncated => all_failed(Reason::Truncated),
        Fault::Unavailable => all_failed(Reason::Unavailable),
        Fault::RateLimited => list(&[
            "sign-in failed rate_limited",
            "account failed rate_limited",
            "stranger failed rate_limited",
            "health failed rate_limited",
        ]),
        Fault::RedirectLoop => list(&["home failed redirect", "library failed redirect"]),
        Fault::AuthRefused => list(&["sign-in failed auth", "account failed auth"]),
        Fault::WrongBody => list(&["home failed assertion", "library failed assertion"]),
        Fault::JavascriptError => list(&["bundle failed assertion"]),
        // Whoever watches the web app alone sees nothing of the rest.
        _ => list(&[]),
    }
}

#[tokio::test]
async fn a_well_service_passes_every_probe() {
    let demo = Demo::start().await;
    let results = demo.attempts(Duration::from_secs(10)).await;
    assert_eq!(results.len(), ALL.len());
    assert_eq!(troubles(&results, LOAD), Vec::<String>::new());
    demo.service.stop().await;
}

#[tokio::test]
async fn every_fault_is_seen_for_what_it_is() {
    let demo = Demo::start().await;
    for row in &TABLE {
        demo.faults.switch(row.fault, true, None);
        // A hanging service is waited for in vain; nothing else comes near to its own, generous limit.
        let timeout = if row.fault == Fault::Hang { Duration::from_millis(300) } else { Duration::from_secs(10) };
        let results = demo.attempts(timeout).await;
        let details: Vec<_> = results.iter().map(|result| &result.outcome).collect();
        let except = if row.fault == Fault::Slow { "" } else { LOAD };
        assert_eq!(troubles(&results, except), expected(row.fault), "{}: {details:#?}", row.name);
        demo.faults.switch(row.fault, false, None);
    }
    let results = demo.attempts(Duration::from_secs(10)).await;
    assert_eq!(troubles(&results, LOAD), Vec::<String>::new(), "all is well again");
    demo.service.stop().await;
}
