//! The agent as a process: the real binary on real sockets, with real signals, scraped by a real Prometheus.
//!
//! Each test starts its own agent on port 0 in its own folder. This file is what they share. Nothing here sleeps for a
//! guessed time: [`until`] waits for what must come true, and fails when it does not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails, in its helpers too")]
#![allow(clippy::float_cmp, reason = "what is compared are counts, codes and flags")]

mod commands;
mod demo;
mod jobs;
mod listener;
mod nginx;
mod peer;
mod prometheus;
mod reload;
mod secrets;
mod signals;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// A folder with a configuration in it, and nothing else.
struct Folder(TempDir);

impl Folder {
    /// A folder whose `forewarn.yml` is `text`.
    fn new(text: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("forewarn.yml", text);
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }
}

/// The program, to be started in `folder` and killed when the test lets go of it.
fn forewarn(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forewarn"));
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Sends a signal to a process that this test has started.
fn signal(pid: u32, name: &str) {
    let sent = std::process::Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}: {sent}");
}

/// A running `forewarn run`, killed when dropped.
struct Agent {
    child: Child,
    log: Lines,
    address: SocketAddr,
    client: Client,
}

impl Agent {
    /// Runs the configuration of `folder`.
    async fn start(folder: &Folder) -> Self {
        Self::start_with(folder, |_| {}).await
    }

    /// The same with something changed about the command.
    async fn start_with(folder: &Folder, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = forewarn(folder.path());
        command.args(["run", "--listen", "127.0.0.1:0", "--log-format", "json"]);
        change(&mut command);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        let started = log.entry("runs").await;
        let address = started["address"].as_str().unwrap().parse().unwrap();
        Self { child, log, address, client: Client::new() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.client.get(self.url(path)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn reload(&self) -> (StatusCode, String) {
        let answer = self.client.post(self.url("/-/reload")).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn metrics(&self) -> Exposition {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, StatusCode::OK);
        Exposition(text)
    }

    /// Waits until a sample is there and `holds`.
    async fn metric(&self, name: &str, labels: &[(&str, &str)], holds: impl Fn(f64) -> bool) -> f64 {
        let what = format!("{name} {labels:?}");
        until(&what, async || self.metrics().await.value(name, labels).filter(|value| holds(*value))).await
    }

    fn signal(&self, name: &str) {
        signal(self.child.id().expect("it still runs"), name);
    }

    /// Waits for the end; gives what it said on the way.
    async fn end(mut self) -> (ExitStatus, Vec<String>) {
        let status = patient("the agent ends", self.child.wait()).await.unwrap();
        (status, self.log.all().await)
    }
}

/// The lines that a process writes, as they come.
struct Lines(watch::Receiver<Vec<String>>);

impl Lines {
    fn of(pipe: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (sender, receiver) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|lines| lines.push(line));
            }
        });
        Self(receiver)
    }

    /// Waits for the first line that has `text` in it.
    async fn line(&self, text: &str) -> String {
        let mut lines = self.0.clone();
        let is_there = |lines: &Vec<String>| lines.iter().any(|line| line.contains(text));
        let found = patient(text, lines.wait_for(is_there)).await;
        let found = found.map(|lines| lines.iter().find(|line| line.contains(text)).cloned());
        found.ok().flatten().unwrap_or_else(|| panic!("it ended without saying `{text}`: {:#?}", *self.0.borrow()))
    }

    /// Waits for the first log entry whose message has `text` in it.
    async fn entry(&self, text: &str) -> Value {
        serde_json::from_str(&self.line(text).await).expect("a log line is JSON")
    }

    /// Waits for the end of them.
    async fn all(mut self) -> Vec<String> {
        let _ = patient("the end of the output", self.0.wait_for(|_| false)).await;
        self.0.borrow().clone()
    }
}

/// An answer of `/metrics`.
struct Exposition(String);

impl Exposition {
    /// The sample with this name and (at least) these labels.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |line: &str| labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")));
        let mut samples = self.samples(name).filter(|line| has(line));
        let sample = samples.next()?;
        assert_eq!(samples.next(), None, "more than one {name} has the labels {labels:?}");
        sample.rsplit(' ').next()?.parse().ok()
    }

    /// The sum of the samples with this name, over all labels.
    fn sum(&self, name: &str) -> f64 {
        self.samples(name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    fn samples(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.lines().filter(move |line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
    }

    /// True when any series belongs to this probe.
    fn mentions(&self, probe: &str) -> bool {
        self.0.contains(&format!("probe=\"{probe}\""))
    }
}

/// Ports for programs that cannot listen on port 0. Taken from below those that the kernel gives out by itself, so that
/// no other test gets one of them before the program does. For one test only: a second one would get the same.
fn free_ports<const N: usize>() -> [u16; N] {
    let start = 12_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let mut free = (start..32_000).filter_map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).ok());
    // All are held until the last is found.
    let listeners: [_; N] = std::array::from_fn(|_| free.next().expect("a port is free"));
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Looks again and again until there is something.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(25));
    patient(what, async {
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    })
    .await
}

/// Waits for `future`, and fails the test when it takes absurdly long.
async fn patient<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain: {what}"))
}

/// Far more than anything here takes, on a machine that does ten other things.
const PATIENCE: Duration = Duration::from_secs(30);
