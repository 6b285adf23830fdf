//! One scrape of 10,000 probes, through our stream and through a registry of the `prometheus` crate with the same series.
//!
//! `cargo bench --bench scrape` prints medians of seven runs and the ratio, and fails when the ratio is under 20 or the
//! stream is not flat in memory. It measures rendering alone: no network, no compression unless it says so.
//! Linux only: memory is read from `/proc`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::time::Duration;

use forewarn::metrics::{Metrics, ProbeSeries};
use forewarn::model::measure::{Fact, Form, Info, Kind, Label, Measure, Metric, Series, Source};
use forewarn::model::outcome::Outcome;
use forewarn::model::result::{Findings, Identity, ProbeResult, Trigger};
use futures_util::StreamExt as _;
use prometheus::{CounterVec, Encoder as _, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder};
use tokio::runtime::Runtime;
use tokio::time::Instant;

const PROBES: usize = 10_000;
const RUNS: usize = 7;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let metrics = Metrics::new(&[&WEB], &[("version", "bench")]).unwrap();
    let probes: Vec<_> = (0..PROBES).map(probe).collect();
    let before = resident();
    metrics.replace(probes.iter().cloned());
    let idle = resident() - before;
    for (number, probe) in probes.iter().enumerate() {
        metrics.record(&result(probe, number));
    }
    println!("{PROBES} probes hold {} before their first run, {} after", mib(idle), mib(resident() - before));

    let (stream, stream_peak, bytes) = measure(|| stream(&runtime, &metrics, None));
    let (packed, packed_peak, packed_bytes) = measure(|| stream_packed(&runtime, &metrics));
    let text = collect(&runtime, &metrics);
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    let before = resident();
    let registry = registry(&text);
    let held = resident() - before;
    drop(text);
    let (crates, crates_peak, crates_bytes) = measure(|| encode(&registry));

    println!("{samples} series, {bytes} bytes; medians of {RUNS} runs, and the memory that a scrape adds:");
    println!("  stream                {:>8.1} ms  {:>10}", millis(stream), mib(stream_peak));
    println!("  stream, gzip          {:>8.1} ms  {:>10}  {packed_bytes} bytes", millis(packed), mib(packed_peak));
    println!(
        "  prometheus crate      {:>8.1} ms  {:>10}  {crates_bytes} bytes, registry holds {}",
        millis(crates),
        mib(crates_peak),
        mib(held)
    );
    let ratio = crates.as_secs_f64() / stream.as_secs_f64();
    println!("ratio {ratio:.1}");
    assert!(ratio >= 20.0, "the stream must be at least 20 times faster, is {ratio:.1} times");
    assert!(stream_peak < 4 << 20, "the stream must be flat in memory, took {}", mib(stream_peak));
}

fn stream(runtime: &Runtime, metrics: &Metrics, encoding: Option<&str>) -> usize {
    runtime.block_on(async {
        let mut body = metrics.scrape(None, encoding).body;
        let mut bytes = 0;
        while let Some(chunk) = body.next().await {
            bytes += black_box(chunk.unwrap()).len();
        }
        bytes
    })
}

fn stream_packed(runtime: &Runtime, metrics: &Metrics) -> usize {
    stream(runtime, metrics, Some("gzip"))
}

/// The part of a scrape that is about probes.
fn collect(runtime: &Runtime, metrics: &Metrics) -> String {
    let chunks: Vec<_> = runtime.block_on(metrics.scrape(None, None).body.map(|chunk| chunk.unwrap()).collect());
    let text = String::from_utf8(chunks.concat()).unwrap();
    text.split_once("# HELP forewarn_build_info").unwrap().0.to_owned()
}

fn encode(registry: &Registry) -> usize {
    let mut out = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut out).unwrap();
    black_box(out).len()
}

/// Median time, highest rise of resident memory, and what the last run gave.
fn measure(mut run: impl FnMut() -> usize) -> (Duration, usize, usize) {
    let mut times = Vec::new();
    let (mut peak, mut bytes) = (0, 0);
    for _ in 0..RUNS {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = resident();
        let start = Instant::now();
        bytes = run();
        times.push(start.elapsed());
        peak = peak.max(status("VmHWM:").saturating_sub(before));
    }
    times.sort_unstable();
    (times[RUNS / 2], peak, bytes)
}

fn resident() -> usize {
    status("VmRSS:")
}

/// A line of `/proc/self/status`, in bytes.
fn status(key: &str) -> usize {
    let text = std::io::read_to_string(std::fs::File::open("/proc/self/status").unwrap()).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mib(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A registry with the series of `text`, which is ours and so needs no careful parser.
fn registry(text: &str) -> Registry {
    let registry = Registry::new();
    let mut gauges: HashMap<String, GaugeVec> = HashMap::new();
    let mut counters: HashMap<String, CounterVec> = HashMap::new();
    let mut histograms: HashMap<String, HistogramVec> = HashMap::new();
    let mut kind = "";
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            kind = comment.strip_prefix("TYPE").map_or(kind, |rest| rest.rsplit(' ').next().unwrap());
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.strip_suffix('}').unwrap().split_once('{').unwrap();
        let pairs: Vec<_> = labels.split(',').map(|pair| pair.split_once('=').unwrap()).collect();
        let names: Vec<_> = pairs.iter().map(|(name, _)| *name).collect();
        let values: Vec<_> = pairs.iter().map(|(_, value)| value.trim_matches('"')).collect();
        let value: f64 = value.parse().unwrap();
        match kind {
            "gauge" => {
                let vec = gauges.entry(name.to_owned()).or_insert_with(|| {
                    let vec = GaugeVec::new(Opts::new(name, "The same."), &names).unwrap();
                    registry.register(Box::new(vec.clone())).unwrap();
                    vec
                });
                vec.with_label_values(&values).set(value);
            }
            "counter" => {
                let vec = counters.entry(name.to_owned()).or_insert_with(|| {
                    let vec = CounterVec::new(Opts::new(name, "The same."), &names).unwrap();
                    registry.register(Box::new(vec.clone())).unwrap();
                    vec
                });
                vec.with_label_values(&values).inc_by(value);
            }
            _ => {
                // The sum of one observation is the observation.
                let Some(name) = name.strip_suffix("_sum") else { continue };
                let vec = histograms.entry(name.to_owned()).or_insert_with(|| {
                    let opts = HistogramOpts::new(name, "The same.").buckets(bounds(text, name));
                    let vec = HistogramVec::new(opts, &names).unwrap();
                    registry.register(Box::new(vec.clone())).unwrap();
                    vec
                });
                vec.with_label_values(&values).observe(value);
            }
        }
    }
    registry
}

/// The bucket bounds of a histogram's first series.
fn bounds(text: &str, name: &str) -> Vec<f64> {
    let bucket = format!("{name}_bucket{{");
    let texts = text.lines().skip_while(|line| !line.starts_with(&bucket)).take_while(|line| !line.contains("+Inf"));
    texts.map(|line| line.rsplit('"').nth(1).unwrap().parse().unwrap()).collect()
}

fn probe(number: usize) -> ProbeSeries {
    ProbeSeries {
        identity: Identity {
            probe: format!("shop-web-{number:05}").parse().unwrap(),
            surface: format!("shop-{}/web", number % 100).parse().unwrap(),
            region: "eu-west-1".into(),
        },
        kind: &WEB,
        labels: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
        timeout: Duration::from_secs(10),
        settings: Vec::new(),
    }
}

fn result(probe: &ProbeSeries, number: usize) -> ProbeResult {
    let micros = |base: u64| Duration::from_micros(base + u64::try_from(number).unwrap() % 977);
    ProbeResult {
        identity: probe.identity.clone(),
        kind: probe.kind,
        trigger: Trigger::Schedule,
        scheduled_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        started_at: "2026-01-01T00:00:00.123456Z".parse().unwrap(),
        lag: Duration::from_micros(700),
        took: micros(31_000),
        timeout: probe.timeout,
        outcome: Outcome::Ok,
        findings: Findings {
            phases: WEB
                .phases
                .iter()
                .zip([1_000, 2_000, 9_000, 15_000, 4_000])
                .map(|(name, base)| (*name, micros(base)))
                .collect(),
            measures: WEB
                .measures
                .iter()
                .zip([200.0, 13_371.0, 0.0, 1.0, 1.1, 4.0, 1_798_761_600.0])
                .map(|(measure, value)| (measure.key, value))
                .collect(),
            facts: vec![("tls_version", "TLS 1.3".to_owned())],
            steps: Vec::new(),
        },
    }
}

/// About what an HTTP probe exports.
static WEB: Kind = Kind {
    name: "web",
    about: "About what an HTTP probe exports.",
    phases: &["resolve", "connect", "tls", "processing", "transfer"],
    measures: &[
        Measure::number("status", ""),
        Measure::number("length", ""),
        Measure::number("redirects", ""),
        Measure::number("tls", ""),
        Measure::number("version", ""),
        Measure::number("ip", ""),
        Measure::number("expiry", ""),
    ],
    facts: &[Fact { key: "tls_version", about: "" }],
    series: &[
        phase("resolve"),
        phase("connect"),
        phase("tls"),
        phase("processing"),
        phase("transfer"),
        measure_of(&STATUS, "status"),
        measure_of(&LENGTH, "length"),
        measure_of(&REDIRECTS, "redirects"),
        measure_of(&TLS, "tls"),
        measure_of(&VERSION, "version"),
        measure_of(&IP, "ip"),
        measure_of(&EXPIRY, "expiry"),
    ],
    infos: &[Info { metric: &TLS_VERSION, labels: &[("version", "tls_version")] }],
};

static PHASES: Metric = gauge("probe_http_duration_seconds");
static STATUS: Metric = gauge("probe_http_status_code");
static LENGTH: Metric = gauge("probe_http_content_length");
static REDIRECTS: Metric = gauge("probe_http_redirects");
static TLS: Metric = gauge("probe_http_ssl");
static VERSION: Metric = gauge("probe_http_version");
static IP: Metric = gauge("probe_ip_protocol");
static EXPIRY: Metric = gauge("probe_ssl_earliest_cert_expiry");
static TLS_VERSION: Metric = gauge("probe_tls_version_info");

const fn gauge(name: &'static str) -> Metric {
    Metric { name, help: "The same.", form: Form::Gauge }
}

const fn phase(name: &'static str) -> Series {
    Series { metric: &PHASES, label: Some(Label::Value("phase", name)), from: Source::Phase(name) }
}

const fn measure_of(metric: &'static Metric, key: &'static str) -> Series {
    Series { metric, label: None, from: Source::Measure(key) }
}
