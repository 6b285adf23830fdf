//! `forewarn demo` as a process: each fault shows in the metrics under the right reason, and goes away.

use std::process::Stdio;

use forewarn::demo::fault::{Fault, TABLE};
use futures_util::future::join_all;
use reqwest::{Client, StatusCode};
use tokio::process::Child;

use super::{Exposition, Lines, forewarn, patient, signal, until};

/// A running `forewarn demo`, killed when dropped.
struct Demo {
    child: Child,
    faults: String,
    metrics: String,
    client: Client,
    output: Lines,
}

impl Demo {
    async fn start() -> Self {
        let mut command = forewarn(&std::env::temp_dir());
        command.args(["demo", "--listen", "127.0.0.1:0", "--service", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = Lines::of(child.stdout.take().unwrap());
        let metrics = address(&output.line("metrics ").await);
        let faults = address(&output.line("faults ").await);
        Self { child, faults, metrics, client: Client::new(), output }
    }

    async fn switch(&self, fault: Fault, on: bool) {
        let url = format!("{}/{}", self.faults, fault.row().name);
        let form = format!("on={on}");
        let request = self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        assert_eq!(request.header("accept", "application/json").send().await.unwrap().status(), StatusCode::OK);
    }

    async fn scrape(&self) -> Exposition {
        Exposition(self.client.get(&self.metrics).send().await.unwrap().text().await.unwrap())
    }

    /// Waits for a new successful attempt of each probe.
    async fn all_well(&self, probes: &[&str]) {
        let runs = |metrics: &Exposition, probe: &str| metrics.value(RUNS, &[("probe", probe), ("outcome", "ok")]);
        let before = self.scrape().await;
        until("all is well", async || {
            let now = self.scrape().await;
            probes.iter().all(|probe| runs(&now, probe) > runs(&before, probe)).then_some(())
        })
        .await;
    }
}

const RUNS: &str = "forewarn_probe_runs_total";

fn address(line: &str) -> String {
    line.split(' ').next_back().unwrap().to_owned()
}

/// A probe that a fault makes fail, and the reason under which it does; none where that is not tried here.
const fn symptom(fault: Fault) -> Option<(&'static str, &'static str)> {
    Some(match fault {
        Fault::Slow => ("reverie-home", "slow"),
        Fault::Reset => ("reverie-home", "network"),
        Fault::Hang => ("reverie-home", "timeout"),
        Fault::Truncated => ("reverie-home", "truncated"),
        Fault::Unavailable => ("reverie-style", "unavailable"),
        Fault::RateLimited => ("reverie-health", "rate_limited"),
        Fault::RedirectLoop => ("reverie-library", "redirect"),
        Fault::AuthRefused => ("reverie-sign-in", "auth"),
        Fault::WrongBody => ("reverie-home", "assertion"),
        Fault::JavascriptError => ("reverie-bundle", "assertion"),
        Fault::KeyRefused => ("reverie-generate", "auth"),
        Fault::NoVideo => ("reverie-generate", "no_output"),
        Fault::CutFile => ("reverie-download", "truncated"),
        Fault::LibraryStale => ("reverie-saved", "stale"),
        // The others of these parts take longer, and are held by the tests of the demo's probes.
        _ => return None,
    })
}

/// One fault after the other would take a minute; each gets a demo of its own.
#[tokio::test]
async fn every_fault_shows_under_its_reason_and_goes_away() {
    let watched: Vec<_> = TABLE.iter().filter_map(|row| Some((row, symptom(row.fault)?))).collect();
    assert_eq!(watched.len(), 14);
    join_all(watched.into_iter().map(async |(row, (probe, reason))| {
        let demo = Demo::start().await;
        demo.all_well(&[probe]).await;
        assert_eq!(demo.scrape().await.sum("forewarn_probe_failures_total"), 0.0, "nothing is broken yet");

        demo.switch(row.fault, true).await;
        let labels = [("probe", probe), ("reason", reason), ("blame", "target")];
        until(row.name, async || demo.scrape().await.value("forewarn_probe_failures_total", &labels)).await;
        let metrics = demo.scrape().await;
        let success = metrics.value("probe_success", &[("probe", probe)]);
        assert_eq!(success, Some(0.0), "{}", row.name);
        let failures = metrics.samples("forewarn_probe_failures_total").filter(|line| line.contains(probe));
        assert_eq!(failures.count(), 1, "{} shows under no other reason:\n{}", row.name, metrics.0);

        demo.switch(row.fault, false).await;
        demo.all_well(&[probe]).await;
    }))
    .await;
}

#[tokio::test]
async fn it_ends_on_a_signal_with_a_line_of_what_it_saw() {
    let mut demo = Demo::start().await;
    demo.all_well(&["reverie-home", "reverie-account"]).await;
    signal(demo.child.id().unwrap(), "INT");
    let status = patient("the demo ends", demo.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    let output = demo.output.all().await;
    assert!(output.last().unwrap().contains(" ok"), "{output:#?}");
    assert!(output.iter().all(|line| !line.contains('\u{1b}')), "no escapes where no terminal is: {output:#?}");
}
