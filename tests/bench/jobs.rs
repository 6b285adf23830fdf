//! Ten thousand outstanding jobs, each asked about every two seconds: how late the questions are, and what they take.
//!
//! Run with `cargo bench --bench jobs`. The agent is the real program; the service is this one, started once more. Fails
//! above its targets: a lag of 10 ms at the 99th percentile and 200 MiB resident. Linux only.

#![allow(clippy::print_stdout, reason = "a benchmark reports to a terminal")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on ends")]
#![allow(clippy::disallowed_methods, reason = "real time is what is measured")]

mod common;

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use common::{Process, free_port, get as fetch, wait_for};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some(SERVE) => serve(std::env::args().nth(2).unwrap().parse().unwrap()),
        _ => measure(),
    }
}

fn measure() {
    let (service_port, agent_port) = (free_port(), free_port());
    let _service =
        Process::start(Command::new(std::env::current_exe().unwrap()).args([SERVE, &service_port.to_string()]));
    wait_for(service_port);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("forewarn.yml"), configuration(service_port)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_forewarn"));
    command.current_dir(folder.path()).args(["run", "--log-level", "error", "--listen"]);
    let agent = Process::start(command.arg(format!("127.0.0.1:{agent_port}")));
    wait_for(agent_port);

    let start = Instant::now();
    while outstanding(agent_port) < f64::from(JOBS) {
        assert!(start.elapsed() < Duration::from_secs(600), "{} jobs after 10 minutes", outstanding(agent_port));
        std::thread::sleep(Duration::from_secs(1));
    }
    println!("{JOBS} jobs outstanding after {:.0} s", start.elapsed().as_secs_f64());
    // What the submissions took is no part of following.
    std::thread::sleep(Duration::from_secs(5));
    let (before, cpu, asked) = (lags(agent_port), agent.cpu(), polls(service_port));
    std::thread::sleep(SPAN);
    let (after, cpu, asked) = (lags(agent_port), agent.cpu() - cpu, polls(service_port) - asked);
    let resident = agent.resident_mib();
    let p99 = quantile(&before, &after, 0.99);
    println!("{asked} questions in {SPAN:?}, {:.0} µs of CPU each", cpu * 1e6 / f64::from(asked));
    println!("lag: p50 below {} ms, p99 below {} ms", quantile(&before, &after, 0.5) * 1e3, p99 * 1e3);
    println!("{resident:.1} MiB resident, {:.1} KiB a job", resident * 1024.0 / f64::from(JOBS));
    assert!(p99 <= 0.010, "the lag's 99th percentile is above 10 ms");
    assert!(resident < 200.0, "more than 200 MiB");
}

fn configuration(port: u16) -> String {
    let mut text = String::from("agent: {concurrency: 20000}\nprobes:\n");
    for number in 0..JOBS {
        let _ = writeln!(
            text,
            "  - {{name: job-{number}, surface: studio/generation, every: 1m, timeout: 1h, generation: {{\
               submit: {{method: POST, url: \"http://127.0.0.1:{port}/jobs\", json: {{prompt: a red kite}}}}, \
               job: {{id: $.id}}, poll: {{url: \"http://127.0.0.1:{port}/jobs/{{id}}\", every: 2s}}, \
               state: {{from: $.status, queued: queued, succeeded: done}}, position: $.position}}}}"
        );
    }
    text
}

/// Jobs that never end.
fn serve(port: u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (jobs, polls) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&polls);
        let status = move |Path(id): Path<u64>| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move { Json(json!({"status": "queued", "position": id})) }
        };
        let submit = move || {
            let id = jobs.fetch_add(1, Ordering::Relaxed);
            async move { Json::<Value>(json!({"id": id, "status": "queued"})) }
        };
        let count = move || async move { polls.load(Ordering::Relaxed).to_string() };
        let router =
            Router::new().route("/jobs", post(submit)).route("/jobs/{id}", get(status)).route("/polls", get(count));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        axum::serve(listener, router).await.unwrap();
    });
}

fn polls(port: u16) -> u32 {
    fetch(port, "/polls").parse().unwrap()
}

fn outstanding(port: u16) -> f64 {
    samples(&fetch(port, "/metrics"), "forewarn_generation_outstanding_jobs{").map(|(_, value)| value).sum()
}

/// The lag's buckets: upper bound and cumulative count.
fn lags(port: u16) -> Vec<(f64, f64)> {
    let text = fetch(port, "/metrics");
    let bound = |labels: &str| labels.split("le=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    samples(&text, "forewarn_job_poll_lag_seconds_bucket{")
        .map(|(labels, count)| (bound(labels).parse().unwrap_or(f64::INFINITY), count))
        .collect()
}

fn samples<'text>(text: &'text str, open: &'text str) -> impl Iterator<Item = (&'text str, f64)> {
    text.lines().filter_map(move |line| {
        let (labels, value) = line.strip_prefix(open)?.rsplit_once(' ')?;
        Some((labels, value.parse().ok()?))
    })
}

/// The upper bound of the bucket in which this share of what came between two scrapes ends.
fn quantile(before: &[(f64, f64)], after: &[(f64, f64)], share: f64) -> f64 {
    let grown: Vec<_> =
        before.iter().zip(after).map(|((bound, before), (_, after))| (*bound, after - before)).collect();
    let all = grown.last().unwrap().1;
    grown.iter().find(|(_, count)| *count >= all * share).unwrap().0
}

const SERVE: &str = "serve";
const JOBS: u32 = 10_000;
const SPAN: Duration = Duration::from_secs(30);
