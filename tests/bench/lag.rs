//! How punctual the schedule is and what it costs: 10,000 jobs every 10 s for 30 s of real time.
//!
//! Run with `cargo bench --bench lag`. Reads CPU and memory from `/proc`, so Linux only; only the first figure for memory
//! counts, as later jobs live where the first ones did. Measures no probe: attempts do nothing, or wait a millisecond.
//!
//! Most of the CPU goes into waking up, about once a millisecond, so an attempt costs less the more there are.

#![allow(clippy::print_stdout, reason = "a benchmark reports to a terminal")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forewarn::base::bounded::read_file;
use forewarn::base::clock::Clock;
use forewarn::model::measure::Kind;
use forewarn::model::outcome::Outcome;
use forewarn::model::result::{Findings, Identity, ProbeResult};
use forewarn::schedule::cadence::{Cadence, When};
use forewarn::schedule::runner::{Firing, Job, Limits, Run, Scheduler, Sink, Skipped};
use forewarn::schedule::settings::Overlap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    measure("nothing to do, every 10 s", Duration::from_secs(10), Duration::ZERO).await?;
    measure("waiting 1 ms, every 10 s", Duration::from_secs(10), Duration::from_millis(1)).await?;
    measure("waiting 1 ms, every 2 s", Duration::from_secs(2), Duration::from_millis(1)).await
}

async fn measure(what: &str, every: Duration, takes: Duration) -> anyhow::Result<()> {
    let lags = Arc::new(Lags::default());
    let memory = resident_kib()?;
    let limits = Limits { concurrency: 1_000, per_host: 10 };
    let scheduler = Scheduler::start(limits, Clock::system(), Arc::clone(&lags) as Arc<dyn Sink>);
    scheduler.replace((0..JOBS).map(|number| job(number, every, takes)).collect::<anyhow::Result<_>>()?);
    // The jobs' making, which is no part of keeping to them.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let per_job = resident_kib()?.saturating_sub(memory) * 1_024 / JOBS;
    let (cpu, before) = (cpu_ticks()?, lags.take().len());
    tokio::time::sleep(SPAN).await;
    let cpu = (cpu_ticks()? - cpu) * MICROS_PER_TICK;
    let mut lags = lags.take();
    scheduler.stop(Duration::from_secs(1)).await;

    lags.sort_unstable();
    println!("{what}");
    println!("  {} attempts in {SPAN:?} ({before} before), {per_job} B resident per new job", lags.len());
    println!("  {} ms of CPU, {} µs per attempt", cpu / 1_000, cpu / (lags.len().max(1) as u64));
    if let [.., max] = lags.as_slice() {
        let quantile = |per_mille: usize| lags[(lags.len() * per_mille / 1_000).min(lags.len() - 1)];
        println!("  lag: p50 {:?}, p99 {:?}, p99.9 {:?}, max {max:?}", quantile(500), quantile(990), quantile(999));
    }
    Ok(())
}

fn job(number: u64, every: Duration, takes: Duration) -> anyhow::Result<Job> {
    let identity =
        Identity { probe: format!("probe-{number}").parse()?, surface: "pika/web".parse()?, region: "eu".into() };
    let cadence = Cadence {
        when: When::Every(every),
        timeout: Duration::from_secs(5),
        overlap: Overlap::Skip,
        confirm: None,
        first_look: true,
    };
    let run = Arc::new(Idle { takes, identity: identity.clone() });
    Ok(Job { identity, cadence, host: Some(format!("host-{}", number % 1_000).into()), run })
}

struct Idle {
    takes: Duration,
    identity: Identity,
}

impl Run for Idle {
    fn run(&self, firing: Firing) -> BoxFuture<'static, ProbeResult> {
        let (identity, takes) = (self.identity.clone(), self.takes);
        async move {
            if !takes.is_zero() {
                tokio::time::sleep(takes).await;
            }
            ProbeResult {
                identity,
                kind: &KIND,
                trigger: firing.trigger,
                scheduled_at: firing.scheduled_at,
                started_at: firing.scheduled_at,
                lag: firing.lag,
                took: takes,
                timeout: firing.timeout,
                outcome: Outcome::Ok,
                findings: Findings::default(),
            }
        }
        .boxed()
    }
}

#[derive(Default)]
struct Lags(Mutex<Vec<Duration>>);

impl Lags {
    fn take(&self) -> Vec<Duration> {
        self.0.lock().map(|mut lags| std::mem::take(&mut *lags)).unwrap_or_default()
    }
}

impl Sink for Lags {
    fn ended(&self, result: ProbeResult) {
        if let Ok(mut lags) = self.0.lock() {
            lags.push(result.lag);
        }
    }

    fn skipped(&self, identity: &Identity, why: Skipped, count: u64) {
        println!("  {} skipped: {} {count}", identity.probe, why.as_str());
    }

    fn confirmed(&self, _: &Identity, _: bool) {}
}

/// Resident memory of this process.
fn resident_kib() -> anyhow::Result<u64> {
    let status = String::from_utf8(read_file(Path::new("/proc/self/status"), 64 * 1_024)?)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.and_then(|line| line.split_whitespace().next()).unwrap_or("0").parse()?)
}

/// User and system time of this process.
fn cpu_ticks() -> anyhow::Result<u64> {
    let stat = String::from_utf8(read_file(Path::new("/proc/self/stat"), 64 * 1_024)?)?;
    // The fields after the command's name, which may itself hold blanks: state is the first, utime the 12th.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    Ok(fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?)
}

static KIND: Kind =
    Kind { name: "idle", about: "Nothing.", phases: &[], measures: &[], facts: &[], series: &[], infos: &[] };

const JOBS: u64 = 10_000;
const SPAN: Duration = Duration::from_secs(30);
/// `USER_HZ` is 100 on every Linux that matters here.
const MICROS_PER_TICK: u64 = 10_000;
