//! Reloading: what is new starts, what is gone is gone at once, what stays loses nothing, and a bad file changes nothing.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::StatusCode;

use super::peer::Peer;
use super::{Agent, Folder};

const RUNS: &str = "forewarn_probe_runs_total";
const LOADED: &str = "forewarn_config_last_reload_successful";

/// A configuration of probes with these names and intervals, each asking the peer for `/NAME`.
fn probes(peer: &Peer, probes: &[(&str, &str)]) -> String {
    let mut text = String::from("defaults: {timeout: 60s}\nprobes:\n");
    for (name, every) in probes {
        let url = peer.url(&format!("/{name}"));
        let _ = writeln!(text, "  - {{name: {name}, surface: pika/web, every: {every}, http: {{url: \"{url}\"}}}}");
    }
    text
}

#[tokio::test]
async fn probes_come_go_and_change() {
    let peer = Peer::start().await;
    let folder = Folder::new(&probes(&peer, &[("a", "100ms"), ("b", "100ms")]));
    let agent = Agent::start(&folder).await;
    for probe in ["a", "b"] {
        agent.metric(RUNS, &[("probe", probe), ("outcome", "ok")], |runs| runs >= 2.0).await;
    }

    folder.write("forewarn.yml", &probes(&peer, &[("a", "150ms"), ("c", "100ms")]));
    let before = agent.metrics().await.value(RUNS, &[("probe", "a"), ("outcome", "ok")]).unwrap();
    let (status, answer) = agent.reload().await;
    assert_eq!((status, &*answer), (StatusCode::OK, "probes: 1 added, 1 removed, 1 changed, 0 unchanged\n"));
    let metrics = agent.metrics().await;
    assert!(!metrics.mentions("b"), "its series are gone at once");
    assert!(metrics.mentions("c"), "its series are there at once, at zero");
    assert!(metrics.value(RUNS, &[("probe", "a"), ("outcome", "ok")]).unwrap() >= before, "the counter goes on");
    assert_eq!(metrics.value("forewarn_probes", &[]), Some(2.0));
    agent.metric(RUNS, &[("probe", "a"), ("outcome", "ok")], |runs| runs >= before + 2.0).await;
    agent.metric(RUNS, &[("probe", "c"), ("outcome", "ok")], |runs| runs >= 1.0).await;

    let (status, answer) = agent.reload().await;
    assert_eq!((status, &*answer), (StatusCode::OK, "probes: 0 added, 0 removed, 0 changed, 2 unchanged\n"));
}

#[tokio::test]
async fn a_bad_configuration_changes_nothing_and_says_so_everywhere() {
    let peer = Peer::start().await;
    let good = probes(&peer, &[("a", "100ms")]);
    let folder = Folder::new(&good);
    let agent = Agent::start(&folder).await;
    assert_eq!(agent.metrics().await.value(LOADED, &[]), Some(1.0), "the first load counts");
    let loaded_at = agent.metrics().await.value("forewarn_config_last_reload_success_timestamp_seconds", &[]);

    folder.write("forewarn.yml", &good.replace("every: 100ms", "evry: 100ms, labels: {note: hunter2}"));
    let (status, answer) = agent.reload().await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.contains("forewarn.yml:3:") && answer.contains("error: unknown key `evry`"), "{answer}");
    assert!(answer.contains("help: did you mean `every`?"), "{answer}");
    assert!(!answer.contains("hunter2"), "lines of the file stay here: {answer}");

    let entry = agent.log.entry("unknown key `evry`").await;
    assert_eq!((&entry["level"], &entry["hint"]), (&"ERROR".into(), &"did you mean `every`?".into()));
    assert!(entry["at"].as_str().unwrap().contains("forewarn.yml:3:"), "{entry}");
    let entry = agent.log.entry("the new configuration is bad; the old one goes on").await;
    assert_eq!((&entry["level"], &entry["errors"]), (&"ERROR".into(), &1.into()));

    let metrics = agent.metrics().await;
    assert_eq!(metrics.value(LOADED, &[]), Some(0.0));
    assert_eq!(metrics.value("forewarn_config_last_reload_success_timestamp_seconds", &[]), loaded_at);
    let runs = metrics.value(RUNS, &[("probe", "a"), ("outcome", "ok")]).unwrap();
    agent.metric(RUNS, &[("probe", "a"), ("outcome", "ok")], |now| now >= runs + 2.0).await;
    assert_eq!(agent.get("/-/ready").await.0, StatusCode::OK);

    folder.write("forewarn.yml", &good);
    agent.signal("HUP");
    agent.metric(LOADED, &[], |loaded| loaded == 1.0).await;
}

#[tokio::test]
async fn what_needs_a_restart_is_said() {
    let folder = Folder::new("probes: []\n");
    let agent = Agent::start(&folder).await;
    folder.write("forewarn.yml", "store: {url: other.db}\nprobes: []\n");
    assert_eq!(agent.reload().await.0, StatusCode::OK);
    let entry = agent.log.entry("this change takes effect at the next start").await;
    assert_eq!((&entry["level"], &entry["key"]), (&"WARN".into(), &"store.url".into()));
}

#[tokio::test]
async fn an_attempt_that_runs_during_a_reload_ends_and_counts() {
    let peer = Peer::start().await;
    let folder = Folder::new(&probes(&peer, &[("held", "100ms"), ("held-and-removed", "100ms")]));
    let agent = Agent::start(&folder).await;
    peer.asked("/held", 1).await;
    peer.asked("/held-and-removed", 1).await;
    // Changed, so that even its prober is another one; and slow enough that no second attempt comes.
    folder.write("forewarn.yml", &probes(&peer, &[("held", "1h")]));
    assert_eq!(agent.reload().await.1, "probes: 0 added, 1 removed, 1 changed, 0 unchanged\n");
    peer.release();
    agent.metric(RUNS, &[("probe", "held"), ("outcome", "ok")], |runs| runs == 1.0).await;
    assert_eq!(peer.requests("/held").len(), 1);
    assert!(!agent.metrics().await.mentions("held-and-removed"), "a late result brings no series back");
}

#[tokio::test]
async fn twenty_quick_reloads_lose_no_run_and_no_count() {
    let every = Duration::from_secs(1);
    let peer = Peer::start().await;
    let names: Vec<String> = (0..10).map(|number| format!("p{number}")).collect();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "1s")).collect();
    let folder = Folder::new(&probes(&peer, &all));
    let agent = Agent::start(&folder).await;
    for name in &names {
        peer.asked(&format!("/{name}"), 1).await;
    }
    let mut before = 0.0;
    for round in 0..20 {
        // Spread over the first probe's runs, so that reloads meet every part of the interval.
        if round % 5 == 4 {
            let path = format!("/{}", names[round / 5]);
            peer.asked(&path, peer.requests(&path).len() + 1).await;
        }
        let text = probes(&peer, &all).replace("timeout: 60s", &format!("timeout: {}s", 30 + round));
        folder.write("forewarn.yml", &text);
        assert_eq!(agent.reload().await.1, "probes: 0 added, 0 removed, 10 changed, 0 unchanged\n");
        let now = agent.metrics().await.sum(RUNS);
        assert!(now >= before, "a counter went from {before} back to {now}");
        before = now;
    }
    // One more run of each after the last reload.
    let paths: Vec<_> = names.iter().map(|name| format!("/{name}")).collect();
    let wanted: Vec<_> = paths.iter().map(|path| peer.requests(path).len() + 1).collect();
    for ((name, path), wanted) in names.iter().zip(&paths).zip(wanted) {
        let requests = peer.asked(path, wanted).await;
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let asked = requests.len() as f64;
        agent.metric(RUNS, &[("probe", name), ("outcome", "ok")], |runs| runs >= asked).await;
        // A starved machine starts a run late or leaves it out and says so; a reload would lose or double it in silence.
        // Lateness at the two ends moves the quotient by less than one.
        let slots = (requests[requests.len() - 1].at - requests[0].at).as_secs_f64() / every.as_secs_f64() + 1.0;
        let skipped = agent.metric(RUNS, &[("probe", name), ("outcome", "skipped")], |_| true).await;
        let counted = asked + skipped;
        assert!((counted - slots).abs() < 1.0, "{name}: {asked} runs and {skipped} left out in {slots:.2} slots");
    }
}
