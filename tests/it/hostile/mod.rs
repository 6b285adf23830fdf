//! The `http` probe against peers that mean harm: each attempt ends in time, with the right reason, and stays small.
//!
//! The peers are rows of tables, played by one test for what comes of them and by another for what they cost.

mod cost;
mod http1;
mod http2;
mod secrets;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use forewarn::model::outcome::Outcome;
use forewarn::model::reason::{Blame, Reason};
use forewarn::model::result::ProbeResult;
use rustls::ServerConfig;
use serde_json::{Value, json};

use crate::peers::probing::{attempt_within, prober};
use crate::peers::tcp::{Act, Peer, Script};

/// A peer that means harm, and what must come of it.
struct Row {
    name: &'static str,
    acts: Arc<[Act]>,
    tls: Option<ServerConfig>,
    https: bool,
    settings: Value,
    expected: Expected,
}

enum Expected {
    /// Nothing is wrong with it after all.
    Passes,
    /// It fails so, with these words in the sentence.
    Fails(Reason, &'static str),
    /// Nothing ends it but the deadline, in this phase.
    TimesOut(&'static str),
}

/// A peer that must make the attempt fail.
fn row(name: &'static str, acts: impl Into<Vec<Act>>, reason: Reason, words: &'static str) -> Row {
    Row {
        name,
        acts: acts.into().into(),
        tls: None,
        https: false,
        settings: json!({}),
        expected: Expected::Fails(reason, words),
    }
}

/// A peer that only seems to mean harm.
fn harmless(name: &'static str, acts: impl Into<Vec<Act>>) -> Row {
    Row { expected: Expected::Passes, ..row(name, acts, Reason::Protocol, "") }
}

/// A peer that only the deadline ends.
fn endless(name: &'static str, acts: impl Into<Vec<Act>>, phase: &'static str) -> Row {
    Row { expected: Expected::TimesOut(phase), ..row(name, acts, Reason::Timeout, "") }
}

impl Row {
    fn with(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }

    /// Asked by `https://`, whatever it speaks.
    fn asked_securely(mut self) -> Self {
        self.https = true;
        self
    }

    /// Speaks TLS itself.
    fn in_tls(mut self, config: ServerConfig) -> Self {
        self.tls = Some(config);
        self.asked_securely()
    }

    fn timeout(&self) -> Duration {
        match self.expected {
            Expected::TimesOut(_) => Duration::from_millis(300),
            _ => Duration::from_secs(20),
        }
    }

    async fn play(&self) -> ProbeResult {
        let peer = Peer::start(self.tls.clone(), Script::Acts(Arc::clone(&self.acts))).await;
        let mut settings = self.settings.clone();
        settings["url"] = if self.https { peer.secure_url("/") } else { peer.url("/") }.into();
        let result = attempt_within(&*prober(settings), self.timeout()).await;
        // What the attempt opened is closed although the peer would go on.
        peer.ended(peer.connections()).await;
        result
    }

    /// What is wrong with the result, if anything.
    fn complaint(&self, result: &ProbeResult) -> Option<String> {
        let as_expected = match (&self.expected, &result.outcome) {
            (Expected::Passes, outcome) => *outcome == Outcome::Ok,
            (Expected::Fails(reason, words), Outcome::Failed(failure)) => {
                (failure.reason, failure.blame) == (*reason, Blame::Target) && failure.detail.contains(words)
            }
            (Expected::TimesOut(phase), Outcome::Failed(failure)) => {
                failure.reason == Reason::Timeout
                    && failure.detail.contains(&format!("in phase {phase},"))
                    && result.took < self.timeout() * 4
            }
            _ => false,
        };
        // Nothing that a peer sent may move a terminal's cursor or fill a log.
        let json = serde_json::to_string(result).unwrap();
        let is_tame = json.len() < 16_384 && !json.contains("\\u001b");
        let outcome = &result.outcome;
        (!as_expected || !is_tame).then(|| format!("{}: {outcome:?} after {:?}", self.name, result.took))
    }
}

/// Every row of every table.
fn rows() -> Vec<Row> {
    [http1::rows(), http2::rows(), tls::rows()].into_iter().flatten().collect()
}

async fn play(rows: Vec<Row>) {
    assert!(rows.len() >= 5, "a table has gone missing");
    let mut complaints = Vec::new();
    for row in rows {
        let result = row.play().await;
        complaints.extend(row.complaint(&result));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn http1_peers() {
    play(http1::rows()).await;
}

#[tokio::test]
async fn http2_peers() {
    play(http2::rows()).await;
}

#[tokio::test]
async fn tls_peers() {
    play(tls::rows()).await;
}
