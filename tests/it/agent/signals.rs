//! What signals do to a running agent: a friendly end within the grace, an end at once, a reload.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

use super::peer::Peer;
use super::{Agent, Folder, until};

/// One probe whose answer the peer holds back, and one that is quick, both ten times a second.
fn configuration(peer: &Peer, grace: &str) -> String {
    let (held, quick) = (peer.url("/held"), peer.url("/quick"));
    format!(
        "agent: {{grace: {grace}}}
defaults: {{every: 100ms, timeout: 60s}}
probes:
  - {{name: held, surface: pika/web, http: {{url: \"{held}\"}}}}
  - {{name: quick, surface: pika/web, http: {{url: \"{quick}\"}}}}
"
    )
}

/// An agent with an attempt under way.
async fn busy(grace: &str) -> (Agent, Peer, Folder) {
    let peer = Peer::start().await;
    let folder = Folder::new(&configuration(&peer, grace));
    let agent = Agent::start(&folder).await;
    assert_eq!(agent.get("/-/ready").await.0, StatusCode::OK);
    peer.asked("/held", 1).await;
    peer.asked("/quick", 3).await;
    (agent, peer, folder)
}

/// The log entry with which the agent ends.
fn last(log: &[String]) -> Value {
    serde_json::from_str(log.last().unwrap()).unwrap()
}

#[tokio::test]
async fn a_running_attempt_ends_in_its_own_time_and_nothing_new_starts() {
    for name in ["TERM", "INT"] {
        let (agent, peer, _folder) = busy("60s").await;
        agent.signal(name);
        let stopping = agent.log.entry("stopping").await;
        assert_eq!(stopping["signal"], format!("SIG{name}"));
        until("/-/ready says no", async || {
            (agent.get("/-/ready").await.0 == StatusCode::SERVICE_UNAVAILABLE).then_some(())
        })
        .await;
        assert_eq!(agent.get("/-/healthy").await.0, StatusCode::OK, "it still lives");
        let failed = [("probe", "held"), ("outcome", "failed")];
        assert_eq!(agent.metrics().await.value("forewarn_probe_runs_total", &failed), Some(0.0), "a last scrape");
        peer.release();
        let (status, log) = agent.end().await;
        assert_eq!(status.code(), Some(0), "{log:#?}");
        let last = last(&log);
        assert_eq!((&last["message"], &last["aborted"]), (&"stopped".into(), &0.into()), "{log:#?}");
        assert!(last["finished"].as_u64().unwrap() >= 1, "{log:#?}");
        assert_eq!(peer.requests("/held").len(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_attempt_that_outlasts_the_grace_is_aborted() {
    let (agent, peer, _folder) = busy("1s").await;
    let start = Instant::now();
    agent.signal("TERM");
    agent.log.entry("stopping").await;
    let before = peer.requests("/quick").len();
    let (status, log) = agent.end().await;
    let took = start.elapsed();
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(took >= Duration::from_secs(1), "the grace was given: {took:?}");
    assert!(took < Duration::from_secs(3), "and not much more: {took:?}");
    let last = last(&log);
    assert_eq!((&last["message"], &last["aborted"]), (&"stopped".into(), &1.into()), "{log:#?}");
    // In that second ten would have started; one may have been on its way.
    let after = peer.requests("/quick").len();
    assert!(after <= before + 1, "{before} requests before, {after} after");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let (agent, _peer, _folder) = busy("1h").await;
        agent.signal(first);
        agent.log.entry("stopping").await;
        agent.signal(second);
        let (status, log) = agent.end().await;
        assert_eq!(status.code(), Some(0), "{log:#?}");
        assert_eq!(last(&log)["message"], "stopped at once");
    }
}

#[tokio::test]
async fn a_hangup_reads_the_configuration_again() {
    let peer = Peer::start().await;
    let folder = Folder::new(&configuration(&peer, "1s"));
    let agent = Agent::start(&folder).await;
    let text = configuration(&peer, "1s").replace("name: quick", "name: renamed");
    folder.write("forewarn.yml", &text);
    agent.signal("HUP");
    let entry = agent.log.entry("configuration reloaded").await;
    assert_eq!(entry["difference"], "probes: 1 added, 1 removed, 0 changed, 1 unchanged");
    agent.metric("forewarn_probe_runs_total", &[("probe", "renamed"), ("outcome", "ok")], |runs| runs >= 1.0).await;
    assert!(!agent.metrics().await.mentions("quick"));
}
