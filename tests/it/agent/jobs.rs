//! Paid jobs and what may happen to an agent meanwhile: it is killed, stopped, reloaded, and the budget holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode as Status;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::{Agent, Folder, until};

/// A service that takes jobs and ends them when the test says so.
#[derive(Clone, Default)]
struct Jobs(Arc<Book>);

#[derive(Default)]
struct Book {
    state: Mutex<Seen>,
    /// Lets held submissions be answered.
    answer: Notify,
}

#[derive(Default)]
struct Seen {
    /// Submissions are not answered.
    holds: bool,
    submitted: usize,
    states: BTreeMap<usize, &'static str>,
    cancelled: Vec<usize>,
    asked: usize,
}

impl Jobs {
    /// The service, and its address.
    async fn start() -> (Self, String) {
        let jobs = Self::default();
        let router = Router::new()
            .route("/jobs", post(submit))
            .route("/jobs/{id}", get(status).delete(cancel))
            .with_state(jobs.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (jobs, url)
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.state.lock().unwrap())
    }

    /// Waits until `holds`.
    async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        until(what, async || self.seen(|seen| holds(seen)).then_some(())).await;
    }

    fn end_all(&self) {
        self.seen(|seen| seen.states.values_mut().for_each(|state| *state = "done"));
    }
}

async fn submit(State(jobs): State<Jobs>) -> Json<Value> {
    let (id, holds) = jobs.seen(|seen| {
        seen.submitted += 1;
        let id = seen.submitted;
        seen.states.insert(id, "queued");
        (id, seen.holds)
    });
    if holds {
        jobs.0.answer.notified().await;
    }
    Json(json!({"id": id}))
}

async fn status(State(jobs): State<Jobs>, Path(id): Path<usize>) -> (Status, Json<Value>) {
    let state = jobs.seen(|seen| {
        seen.asked += 1;
        seen.states.get(&id).copied()
    });
    match state {
        Some(state) => (Status::OK, Json(json!({"status": state, "position": 7}))),
        None => (Status::NOT_FOUND, Json(json!({"detail": "no such job"}))),
    }
}

async fn cancel(State(jobs): State<Jobs>, Path(id): Path<usize>) -> Status {
    jobs.seen(|seen| seen.cancelled.push(id));
    Status::NO_CONTENT
}

/// A probe that may spend one job a day, asked for every second.
fn configuration(url: &str) -> String {
    format!(
        "probes:
  - name: paid
    surface: studio/generation
    every: 1s
    timeout: 5m
    generation:
      submit: {{method: POST, url: \"{url}/jobs\", json: {{prompt: a red kite}}}}
      job: {{id: $.id}}
      poll: {{url: \"{url}/jobs/{{id}}\", every: 250ms}}
      state: {{from: $.status, queued: queued, running: running, succeeded: done}}
      position: $.position
      cancel: {{method: DELETE, url: \"{url}/jobs/{{id}}\"}}
      budget: {{per_run: 0.20, unit: USD, per_day: 0.20}}
"
    )
}

const RUNS: &str = "forewarn_probe_runs_total";
const FAILURES: &str = "forewarn_probe_failures_total";
const OUTSTANDING: &str = "forewarn_generation_outstanding_jobs";
const SPENT: [(&str, &str); 3] = [("probe", "paid"), ("reason", "budget"), ("blame", "agent")];

#[tokio::test]
async fn a_job_in_flight_survives_kill_nine_and_the_budget_holds() {
    let (jobs, url) = Jobs::start().await;
    let folder = Folder::new(&configuration(&url));
    let agent = Agent::start(&folder).await;
    jobs.until("the job is followed", |seen| seen.submitted == 1 && seen.asked >= 2).await;
    assert_eq!(agent.metrics().await.value(OUTSTANDING, &[("probe", "paid")]), Some(1.0));
    agent.signal("KILL");
    agent.end().await;

    let agent = Agent::start(&folder).await;
    agent.log.entry("an earlier agent left a job of this probe; it is taken over now").await;
    let asked = jobs.seen(|seen| seen.asked);
    jobs.until("the job is picked up", |seen| seen.asked >= asked + 2).await;
    jobs.end_all();
    agent.metric(RUNS, &[("probe", "paid"), ("outcome", "ok")], |runs| runs == 1.0).await;
    agent.metric(FAILURES, &SPENT, |failures| failures >= 2.0).await;
    jobs.seen(|seen| {
        assert_eq!((seen.submitted, seen.cancelled.len()), (1, 0), "one job, paid once, and not given up");
    });
}

#[tokio::test]
async fn a_submission_that_was_cut_off_stays_counted() {
    let (jobs, url) = Jobs::start().await;
    jobs.seen(|seen| seen.holds = true);
    let folder = Folder::new(&configuration(&url));
    let agent = Agent::start(&folder).await;
    jobs.until("the submission is under way", |seen| seen.submitted == 1).await;
    agent.signal("KILL");
    agent.end().await;

    let agent = Agent::start(&folder).await;
    agent.log.entry("the agent ended while a job was being submitted").await;
    agent.metric(FAILURES, &SPENT, |failures| failures >= 2.0).await;
    jobs.seen(|seen| assert_eq!(seen.submitted, 1));
}

#[tokio::test]
async fn a_stop_cancels_the_job_and_forgets_it() {
    let (jobs, url) = Jobs::start().await;
    let folder = Folder::new(&configuration(&url));
    let agent = Agent::start(&folder).await;
    jobs.until("the job is followed", |seen| seen.asked >= 1).await;
    agent.signal("TERM");
    let (status, log) = agent.end().await;
    assert_eq!(status.code(), Some(0), "{log:#?}");
    jobs.seen(|seen| assert_eq!(seen.cancelled, [1]));
    let beside =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let beside: Vec<_> = beside.filter(|name| name.starts_with("forewarn.db-")).collect();
    assert!(beside.is_empty(), "a store that was closed is one file: {beside:?}");

    let agent = Agent::start(&folder).await;
    agent.metric(FAILURES, &SPENT, |failures| failures >= 2.0).await;
    jobs.seen(|seen| assert_eq!(seen.submitted, 1, "what was cancelled may have cost, so it stays counted"));
}

#[tokio::test]
async fn a_reload_lets_a_job_go_on_and_a_removal_cancels_it() {
    let (jobs, url) = Jobs::start().await;
    let text = configuration(&url);
    let folder = Folder::new(&text);
    let agent = Agent::start(&folder).await;
    jobs.until("the job is followed", |seen| seen.asked >= 1).await;
    let place = agent.metric("forewarn_generation_queue_position", &[("probe", "paid")], |place| place > 0.0).await;
    assert_eq!(place, 7.0);
    agent.metric("forewarn_generation_oldest_job_age_seconds", &[("probe", "paid")], |age| age > 0.3).await;

    folder.write("forewarn.yml", &text.replace("every: 250ms", "every: 300ms"));
    agent.reload().await;
    let asked = jobs.seen(|seen| seen.asked);
    jobs.until("the job goes on", |seen| seen.asked >= asked + 3).await;
    jobs.seen(|seen| assert_eq!((seen.submitted, seen.cancelled.len()), (1, 0)));

    folder.write("forewarn.yml", "probes: []\n");
    agent.reload().await;
    jobs.until("the job is cancelled", |seen| seen.cancelled == [1]).await;
}

/// However fast they are asked for, however they overlap, and whichever of the two probes asks.
#[tokio::test]
async fn overlapping_probes_that_share_an_account_keep_to_it() {
    let (jobs, url) = Jobs::start().await;
    let one = configuration(&url).replace("every: 1s", "every: 100ms\n    overlap: allow").replace(
        "budget: {per_run: 0.20, unit: USD, per_day: 0.20}",
        "budget: {per_run: 0.20, unit: USD, per_day: 1, account: studio}",
    );
    let other = one.replace("probes:\n", "").replace("name: paid", "name: dear");
    let folder = Folder::new(&format!("{one}{other}"));
    let agent = Agent::start(&folder).await;
    jobs.until("all that may be is spent", |seen| seen.submitted == 5).await;
    for probe in ["paid", "dear"] {
        let exhausted = [("probe", probe), ("reason", "budget")];
        agent.metric(FAILURES, &exhausted, |failures| failures >= 5.0).await;
    }
    assert_eq!(jobs.seen(|seen| seen.submitted), 5, "five times 0.20 USD, and not a cent more");
    assert_eq!(agent.metrics().await.sum(OUTSTANDING), 5.0);
    folder.write(
        "forewarn.yml",
        &format!("agent: {{budget: {{USD: 0.5}}}}\n{one}{other}").replace("per_day: 1,", "per_day: 9,"),
    );
    agent.reload().await;
    let before = agent.metrics().await.sum(FAILURES);
    until("more is refused", async || (agent.metrics().await.sum(FAILURES) >= before + 5.0).then_some(())).await;
    assert_eq!(jobs.seen(|seen| seen.submitted), 5, "the agent's own budget counts what was spent before it was given");
}

#[tokio::test]
async fn an_interrupt_of_one_attempt_cancels_its_job() {
    let (jobs, url) = Jobs::start().await;
    let folder = Folder::new(&configuration(&url));
    let mut command = super::forewarn(folder.path());
    let child = command.args(["probe", "paid", "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    jobs.until("the job is followed", |seen| seen.asked >= 1).await;
    super::signal(child.id().unwrap(), "INT");
    let output = super::patient("the attempt ends", child.wait_with_output()).await.unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&result["failure"]["reason"], &result["failure"]["blame"]),
        (&"skipped".into(), &"agent".into()),
        "{result}"
    );
    jobs.seen(|seen| assert_eq!(seen.cancelled, [1]));
}

#[tokio::test]
async fn a_job_whose_probe_is_gone_is_told_of() {
    let (jobs, url) = Jobs::start().await;
    let folder = Folder::new(&configuration(&url));
    let agent = Agent::start(&folder).await;
    jobs.until("the job is followed", |seen| seen.asked >= 1).await;
    agent.signal("KILL");
    agent.end().await;

    folder.write("forewarn.yml", "probes: []\n");
    let agent = Agent::start(&folder).await;
    let entry = agent.log.entry("its probe is not here").await;
    assert_eq!((entry["probe"].as_str(), entry["job"].as_str()), (Some("paid"), Some("1")), "{entry}");

    // It comes back with the probe, here by a reload.
    folder.write("forewarn.yml", &configuration(&url));
    let asked = jobs.seen(|seen| seen.asked);
    agent.reload().await;
    jobs.until("the job is picked up", |seen| seen.asked >= asked + 2).await;
    jobs.seen(|seen| assert_eq!(seen.submitted, 1));
}
