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
        Self::started("25s").await
    }

    /// The demo, with another limit on the wait in the queue.
    async fn started(queue_deadline: &str) -> Self {
        let usual = "queue_deadline: 25s";
        assert!(PROBES.contains(usual));
        let probes = PROBES.replace(usual, &format!("queue_deadline: {queue_deadline}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let faults = Arc::new(Faults::default());
        let service = Service::start(listener, Arc::clone(&faults), None).unwrap();
        let known = variables(service.address());
        let lookup = |name: &str| known.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let plan = Plan::read(Sources::texts([("demo.yml", probes.as_str())], Path::new(".")), &lookup).unwrap();
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

const ALL: [&str; 11] =
    ["home", "library", "bundle", "style", "sign-in", "account", "stranger", "health", "generate", "download", "saved"];

/// Every probe fails for this reason.
fn all_failed(reason: Reason) -> Vec<String> {
    ALL.map(|name| format!("{name} failed {reason}")).to_vec()
}

/// What the demo's probes say of each fault.
fn expected(fault: Fault) -> Vec<String> {
    let list = |troubles: &[&str]| troubles.iter().map(ToString::to_string).collect();
    match fault {
        // The bundle, the style and the shut door have no limit but their timeout, and the library none that it reaches.
        Fault::Slow => list(&[
            "home failed slow",
            "library degraded slow",
            "sign-in degraded slow",
            "account degraded slow",
            "health degraded slow",
            "generate degraded slow",
            "download degraded slow",
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
            "generate failed rate_limited",
            "download failed rate_limited",
            "saved failed rate_limited",
        ]),
        Fault::RedirectLoop => list(&["home failed redirect", "library failed redirect"]),
        Fault::AuthRefused => list(&["sign-in failed auth", "account failed auth"]),
        Fault::WrongBody => list(&["home failed assertion", "library failed assertion"]),
        Fault::JavascriptError => list(&["bundle failed assertion"]),
        Fault::KeyRefused => list(&["generate failed auth"]),
        Fault::Burst => list(&["generate degraded slow"]),
        Fault::Backup => list(&["generate failed queue_stuck"]),
        Fault::JobLost => list(&["generate failed job_lost"]),
        // A state that nobody knows is waited for, and is no proof that the job is still queued.
        Fault::StuckWorker | Fault::UnknownState => list(&["generate failed job_expired"]),
        Fault::CrashedRunner => list(&["generate failed job_failed"]),
        Fault::Refusal => list(&["generate failed content_refused"]),
        Fault::NoVideo => list(&["generate failed no_output"]),
        Fault::CreditTaken => list(&["generate failed credits_lost"]),
        Fault::SlowDrip => list(&["generate degraded slow", "download failed slow"]),
        Fault::LinkExpired => every_file("auth"),
        Fault::BrokenTransfer => every_file("network"),
        Fault::CutFile => every_file("truncated"),
        Fault::NotPlayable | Fault::AudioOnly | Fault::HtmlFile => every_file("not_playable"),
        Fault::EmptyFile => every_file("no_output"),
        Fault::LibraryEmpty => list(&["saved failed no_output"]),
        Fault::LibraryStale => list(&["saved failed stale"]),
        Fault::LibraryUnplayable => list(&["saved failed not_playable"]),
        // Only a decoder sees black, which the demo does not ask for; but such a video is small.
        Fault::BlackVideo => list(&["generate failed assertion"]),
        // Reading such a file whole is no worse.
        Fault::NoRanges => list(&[]),
    }
}

/// Every probe that looks into a video fails for this reason.
fn every_file(reason: &str) -> Vec<String> {
    ["generate", "download", "saved"].map(|name| format!("{name} failed {reason}")).to_vec()
}

#[tokio::test]
async fn a_well_service_passes_every_probe() {
    let demo = Demo::start().await;
    let results = demo.attempts(Duration::from_secs(10)).await;
    assert_eq!(results.len(), ALL.len());
    assert_eq!(troubles(&results, LOAD), Vec::<String>::new());
    demo.service.stop().await;
}

/// One fault after the other would take minutes; each gets a service of its own.
#[tokio::test]
async fn every_fault_is_seen_for_what_it_is() {
    let seen = join_all(TABLE.iter().map(async |row| {
        // A queue that stands still is not waited for as long as people would; what passes is, to see it pass.
        let passes = matches!(row.fault, Fault::Burst | Fault::Slow);
        let demo = Demo::started(if passes { "25s" } else { "3s" }).await;
        demo.faults.switch(row.fault, true, None);
        let timeout = match row.fault {
            // A hanging service is waited for in vain.
            Fault::Hang => Duration::from_millis(300),
            Fault::StuckWorker | Fault::UnknownState => Duration::from_secs(8),
            _ => Duration::from_secs(40),
        };
        let results = demo.attempts(timeout).await;
        let outcomes: Vec<_> = results.iter().map(|result| &result.outcome).collect();
        let wanted = expected(row.fault);
        let mut seen = troubles(&results, "");
        seen.retain(|trouble| wanted.contains(trouble) || !trouble.ends_with(LOAD));
        demo.faults.clear();
        let after = troubles(&demo.attempts(Duration::from_secs(40)).await, LOAD);
        demo.service.stop().await;
        let fine = seen == wanted && after.is_empty();
        (!fine).then(|| format!("{}: {seen:?}, expected {wanted:?}, afterwards {after:?}: {outcomes:#?}", row.name))
    }))
    .await;
    assert_eq!(seen.len(), TABLE.len());
    let wrong: Vec<_> = seen.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
