//! The exposition as scrapers meet it: exact text, strict parsing, Debian's `promtool`.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not reach their helpers")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use forewarn::metrics::{Metrics, MetricsError, ProbeSeries, Scrape, reference};
use forewarn::model::measure::{Fact, Form, Info, Kind, Label, Measure, Metric, Series, Source};
use forewarn::model::outcome::{Failure, Outcome};
use forewarn::model::reason::{Blame, Reason};
use forewarn::model::result::{Findings, Identity, ProbeResult, Trigger};
use futures_util::StreamExt as _;

const OPEN_METRICS: Option<&str> = Some("application/openmetrics-text;version=1.0.0");

static PHASES: Metric = Metric {
    name: "probe_parcel_duration_seconds",
    help: "How long each phase took, e.g. \"drive\"; \\ separates.",
    form: Form::Gauge,
};
static WEIGHT: Metric = Metric { name: "probe_parcel_weight_grams", help: "The weight.", form: Form::Gauge };
static SPENT: Metric = Metric { name: "forewarn_parcel_spent_total", help: "Money spent.", form: Form::Counter };
static STAGES: Metric =
    Metric { name: "forewarn_parcel_stage_seconds", help: "Stages.", form: Form::Histogram(&[0.5, 1.0]) };
static STAMP: Metric = Metric { name: "probe_parcel_stamp_info", help: "The stamp.", form: Form::Gauge };

const fn phase(metric: &'static Metric, label: &'static str, name: &'static str) -> Series {
    Series { metric, label: Some(Label::Value(label, name)), from: Source::Phase(name) }
}

static PARCEL: Kind = Kind {
    name: "parcel",
    about: "Sends a parcel.",
    phases: &["pack", "drive"],
    measures: &[Measure::number("weight", "grams"), Measure::number("spent", "money")],
    facts: &[Fact { key: "country", about: "country" }, Fact { key: "motif", about: "picture" }],
    series: &[
        phase(&PHASES, "phase", "pack"),
        phase(&PHASES, "phase", "drive"),
        Series { metric: &WEIGHT, label: None, from: Source::Measure("weight") },
        Series { metric: &SPENT, label: Some(Label::Value("unit", "EUR")), from: Source::Measure("spent") },
        phase(&STAGES, "stage", "drive"),
    ],
    infos: &[Info { metric: &STAMP, labels: &[("country", "country"), ("motif", "motif")] }],
};

static PLAIN: Kind =
    Kind { name: "plain", about: "Nothing.", phases: &[], measures: &[], facts: &[], series: &[], infos: &[] };

fn metrics(probes: impl IntoIterator<Item = ProbeSeries>) -> Metrics {
    let metrics = Metrics::new(&[&PARCEL, &PLAIN], &[("version", "1.2.3")]).unwrap();
    metrics.replace(probes);
    metrics
}

fn probe(name: &str) -> ProbeSeries {
    ProbeSeries {
        identity: Identity {
            probe: name.parse().unwrap(),
            surface: "post/counter".parse().unwrap(),
            region: "eu".into(),
        },
        kind: &PARCEL,
        labels: BTreeMap::new(),
        timeout: Duration::from_secs(10),
        settings: Vec::new(),
    }
}

fn result(probe: &ProbeSeries, outcome: Outcome, findings: Findings) -> ProbeResult {
    ProbeResult {
        identity: probe.identity.clone(),
        kind: probe.kind,
        trigger: Trigger::Schedule,
        scheduled_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        started_at: "2026-01-01T00:00:00.25Z".parse().unwrap(),
        lag: Duration::from_millis(2),
        took: Duration::from_millis(1500),
        timeout: probe.timeout,
        outcome,
        findings,
    }
}

fn delivered() -> Findings {
    Findings {
        phases: vec![("pack", Duration::from_millis(500)), ("drive", Duration::from_secs(1))],
        measures: vec![("weight", 1200.5), ("spent", 0.75)],
        facts: vec![("country", "C\\te".into()), ("motif", "a \"bee\"\nin flight".into())],
        steps: Vec::new(),
    }
}

fn unavailable() -> Outcome {
    Outcome::Failed(Failure::new(Reason::Unavailable, "closed"))
}

async fn bytes(scrape: Scrape) -> Vec<Bytes> {
    scrape.body.map(|chunk| chunk.unwrap()).collect().await
}

async fn text(metrics: &Metrics, accept: Option<&str>) -> String {
    String::from_utf8(bytes(metrics.scrape(accept, None)).await.concat()).unwrap()
}

/// The part of a scrape that is about probes: the process's own figures differ from run to run.
async fn of_probes(metrics: &Metrics, accept: Option<&str>) -> String {
    let text = text(metrics, accept).await;
    text.split_once("# HELP forewarn_build_info").unwrap().0.to_owned()
}

async fn has(metrics: &Metrics, line: &str) -> bool {
    text(metrics, None).await.lines().any(|have| have == line)
}

#[tokio::test]
async fn golden_text() {
    let (quiet, busy) = (probe("quiet"), probe("busy"));
    let metrics = metrics([busy.clone(), ProbeSeries { kind: &PLAIN, ..quiet }]);
    metrics.record(&result(&busy, unavailable(), Findings::default()));
    metrics.record(&result(&busy, Outcome::Ok, delivered()));
    metrics.skipped(&busy.identity.probe, "overlap", 1);
    compare("exposition.txt", &of_probes(&metrics, None).await, include_str!("golden/exposition.txt"));
}

#[tokio::test]
async fn golden_open_metrics() {
    let busy = probe("busy");
    let metrics = metrics([busy.clone()]);
    metrics.record(&result(&busy, Outcome::Ok, delivered()));
    let open = of_probes(&metrics, OPEN_METRICS).await;
    compare("exposition.openmetrics.txt", &open, include_str!("golden/exposition.openmetrics.txt"));
    let samples =
        |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(samples(&open), samples(&of_probes(&metrics, None).await), "samples must not depend on the format");
    assert!(text(&metrics, OPEN_METRICS).await.ends_with("\n# EOF\n"));
}

#[tokio::test]
async fn before_its_first_run_a_probe_has_counters_and_no_gauges() {
    let text = of_probes(&metrics([probe("new")]), None).await;
    let names: BTreeSet<_> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('{').next()).collect();
    let expected = [
        "forewarn_parcel_spent_total",
        "forewarn_parcel_stage_seconds_bucket",
        "forewarn_parcel_stage_seconds_count",
        "forewarn_parcel_stage_seconds_sum",
        "forewarn_probe_confirmations_total",
        "forewarn_probe_run_duration_seconds_bucket",
        "forewarn_probe_run_duration_seconds_count",
        "forewarn_probe_run_duration_seconds_sum",
        "forewarn_probe_runs_total",
        "probe_timeout_seconds",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    assert!(text.lines().filter(|line| line.contains("_total{")).all(|line| line.ends_with(" 0")));
}

#[tokio::test]
async fn a_failed_attempt_takes_back_what_it_did_not_reach() {
    let busy = probe("busy");
    let metrics = metrics([busy.clone()]);
    metrics.record(&result(&busy, Outcome::Ok, delivered()));
    let packed = Findings { phases: vec![("pack", Duration::from_millis(250))], ..Findings::default() };
    metrics.record(&result(&busy, unavailable(), packed));
    let text = of_probes(&metrics, None).await;
    assert!(text.contains("phase=\"pack\"} 0.25\n"));
    for gone in ["phase=\"drive\"", "probe_parcel_weight_grams", "probe_parcel_stamp_info"] {
        assert!(!text.contains(gone), "{gone} is stale in:\n{text}");
    }
    // What adds up stays.
    assert!(text.contains("unit=\"EUR\"} 0.75\n"));
    assert!(text.contains("stage=\"drive\"} 1\n"));
}

#[tokio::test]
async fn outcomes_are_counted_by_kind_reason_and_blame() {
    let busy = probe("busy");
    let labels = "probe=\"busy\",service=\"post\",surface=\"counter\",region=\"eu\"";
    let metrics = metrics([busy.clone()]);
    let slow = Failure::new(Reason::Slow, "slow");
    for outcome in [
        Outcome::Ok,
        Outcome::Degraded(slow),
        unavailable(),
        unavailable(),
        Outcome::Failed(Failure::new(Reason::Dns, "no").blaming(Blame::Path)),
    ] {
        metrics.record(&result(&busy, outcome, Findings::default()));
    }
    metrics.skipped(&busy.identity.probe, "overlap", 1);
    metrics.skipped(&busy.identity.probe, "late", 1);
    metrics.skipped(&busy.identity.probe, "overlap", 1);
    metrics.confirmed(&busy.identity.probe, true);
    metrics.confirmed(&busy.identity.probe, false);
    metrics.confirmed(&busy.identity.probe, false);
    for (sample, value) in [
        ("forewarn_probe_runs_total{L,outcome=\"ok\"}", 1),
        ("forewarn_probe_runs_total{L,outcome=\"degraded\"}", 1),
        ("forewarn_probe_runs_total{L,outcome=\"failed\"}", 3),
        ("forewarn_probe_runs_total{L,outcome=\"skipped\"}", 3),
        ("forewarn_probe_failures_total{L,reason=\"dns\",blame=\"path\"}", 1),
        ("forewarn_probe_failures_total{L,reason=\"unavailable\",blame=\"target\"}", 2),
        ("forewarn_probe_runs_skipped_total{L,why=\"late\"}", 1),
        ("forewarn_probe_runs_skipped_total{L,why=\"overlap\"}", 2),
        ("forewarn_probe_confirmations_total{L,result=\"recovered\"}", 1),
        ("forewarn_probe_confirmations_total{L,result=\"confirmed\"}", 2),
        ("forewarn_probe_run_duration_seconds_count{L}", 5),
        ("probe_success{L}", 0),
        ("forewarn_schedule_lag_seconds_count", 5),
    ] {
        let line = format!("{} {value}", sample.replace('L', labels));
        assert!(has(&metrics, &line).await, "no line `{line}`");
    }
    let failures = text(&metrics, None).await.lines().filter(|line| line.contains("failures_total{")).count();
    assert_eq!(failures, 2, "a degraded attempt is no failure");
}

#[tokio::test]
async fn an_attempt_on_demand_has_no_lag() {
    let busy = probe("busy");
    let metrics = metrics([busy.clone()]);
    metrics.record(&ProbeResult { trigger: Trigger::Demand, ..result(&busy, Outcome::Ok, delivered()) });
    assert!(has(&metrics, "forewarn_schedule_lag_seconds_count 0").await);
}

#[tokio::test]
async fn reloading_keeps_counters_of_unchanged_probes_only() {
    let (kept, gone, moved) = (probe("kept"), probe("gone"), probe("moved"));
    let metrics = metrics([gone.clone(), kept.clone(), moved.clone()]);
    for probe in [&kept, &gone, &moved] {
        metrics.record(&result(probe, Outcome::Ok, delivered()));
    }
    let relabelled = ProbeSeries { labels: BTreeMap::from([("env".into(), "prod".into())]), ..moved };
    metrics.replace([ProbeSeries { timeout: Duration::from_millis(2500), ..kept.clone() }, relabelled.clone()]);
    // It was running when the configuration changed.
    metrics.record(&result(&gone, Outcome::Ok, delivered()));
    metrics.skipped(&gone.identity.probe, "overlap", 1);

    let text = of_probes(&metrics, None).await;
    assert!(!text.contains("gone"), "{text}");
    let ours = |name: &str| format!("probe=\"{name}\",service=\"post\",surface=\"counter\",region=\"eu\"");
    for line in [
        format!("forewarn_probe_runs_total{{{},outcome=\"ok\"}} 1", ours("kept")),
        format!("probe_success{{{}}} 1", ours("kept")),
        format!("probe_timeout_seconds{{{}}} 2.5", ours("kept")),
        format!("forewarn_probe_runs_total{{{},env=\"prod\",outcome=\"ok\"}} 0", ours("moved")),
        "forewarn_probes 2".to_owned(),
    ] {
        assert!(has(&metrics, &line).await, "no line `{line}`");
    }
    assert!(!text.contains(&format!("probe_success{{{}", ours("moved"))));

    metrics.replace([ProbeSeries { kind: &PLAIN, ..kept.clone() }]);
    metrics.record(&result(&kept, Outcome::Ok, delivered()));
    let line = format!("forewarn_probe_runs_total{{{},outcome=\"ok\"}} 0", ours("kept"));
    assert!(has(&metrics, &line).await, "another type starts anew, and results of the old type are not its own");
}

#[tokio::test]
async fn of_two_probes_with_one_name_the_first_counts() {
    let other = ProbeSeries { kind: &PLAIN, ..probe("same") };
    let text = of_probes(&metrics([probe("same"), other]), None).await;
    assert_eq!(text.matches("probe_timeout_seconds{").count(), 1);
    assert!(text.contains("forewarn_parcel_spent_total{"));
}

#[tokio::test]
async fn users_labels_are_sorted_escaped_and_never_hide_ours() {
    let labels = [("zone", "a\"b\\c\nd"), ("env", "prod"), ("probe", "evil"), ("reason", "evil"), ("a-b", "evil")];
    let labels = labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let text = of_probes(&metrics([ProbeSeries { labels, ..probe("busy") }]), None).await;
    assert!(text.contains(r#"region="eu",env="prod",zone="a\"b\\c\nd"} 10"#), "{text}");
    assert!(!text.contains("evil"));
}

#[tokio::test]
async fn an_agent_without_probes_still_tells_about_itself() {
    let metrics = metrics([]);
    let text = text(&metrics, None).await;
    assert!(text.starts_with("# HELP forewarn_build_info "), "{text}");
    assert!(text.contains("\nforewarn_build_info{version=\"1.2.3\"} 1\n"));
    assert!(text.contains("\nforewarn_config_last_reload_successful 0\n"));
}

#[tokio::test]
async fn reloads_are_told() {
    let metrics = metrics([]);
    metrics.reloaded(true, "2026-01-01T00:00:00.5Z".parse().unwrap());
    metrics.reloaded(false, "2026-01-01T00:01:00Z".parse().unwrap());
    assert!(has(&metrics, "forewarn_config_last_reload_successful 0").await);
    assert!(has(&metrics, "forewarn_config_last_reload_success_timestamp_seconds 1767225600.5").await);
}

#[tokio::test]
async fn a_large_scrape_comes_in_chunks_and_gzip_gives_the_same_bytes() {
    let probes: Vec<_> = (0..500).map(|number| probe(&format!("p-{number}"))).collect();
    let metrics = metrics(probes.iter().cloned());
    for probe in &probes {
        metrics.record(&result(probe, Outcome::Ok, delivered()));
    }
    let chunks = bytes(metrics.scrape(None, None)).await;
    assert!(chunks.len() > 10, "{} chunks", chunks.len());
    assert!(chunks.iter().all(|chunk| chunk.len() < 72 * 1024 && chunk.ends_with(b"\n")));

    let scrape = metrics.scrape(None, Some("gzip"));
    assert_eq!(scrape.content_encoding, Some("gzip"));
    let packed = bytes(scrape).await.concat();
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&*packed).read_to_string(&mut unpacked).unwrap();
    let plain = String::from_utf8(chunks.concat()).unwrap();
    let stable =
        |text: &str| text.lines().filter(|line| !line.contains("process_")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(stable(&unpacked), stable(&plain));
    assert!(packed.len() * 10 < plain.len());
}

#[test]
fn between_two_chunks_other_tasks_may_run() {
    let metrics = metrics((0..200).map(|number| probe(&format!("p-{number}"))));
    for encoding in [None, Some("gzip")] {
        let mut body = metrics.scrape(None, encoding).body;
        let mut context = Context::from_waker(Waker::noop());
        let (mut rested, mut chunks) = (true, 0);
        loop {
            match body.poll_next_unpin(&mut context) {
                Poll::Ready(Some(chunk)) => {
                    assert!(rested, "two chunks in a row");
                    assert!(!chunk.unwrap().is_empty());
                    (rested, chunks) = (false, chunks + 1);
                }
                Poll::Ready(None) => break,
                Poll::Pending => rested = true,
            }
        }
        assert!(chunks >= 1);
        assert!(matches!(body.poll_next_unpin(&mut context), Poll::Ready(None)), "it stays at its end");
    }
}

#[tokio::test]
async fn the_answer_says_what_it_is() {
    let metrics = metrics([]);
    let told = |accept, encoding| {
        let scrape = metrics.scrape(accept, encoding);
        (scrape.content_type, scrape.content_encoding)
    };
    assert_eq!(told(None, None), ("text/plain; version=0.0.4; charset=utf-8", None));
    assert_eq!(
        told(OPEN_METRICS, Some("gzip")),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", Some("gzip"))
    );
    // The server takes the body as it is, and moves it between threads.
    let body = axum::body::Body::from_stream(metrics.scrape(None, None).body);
    let sent = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    assert!(sent.starts_with(b"# HELP forewarn_build_info "));
}

#[tokio::test]
async fn a_scrape_shows_the_moment_when_it_was_asked_for() {
    let probes: Vec<_> = (0..200).map(|number| probe(&format!("p-{number}"))).collect();
    let metrics = metrics(probes.iter().cloned());
    let mut body = metrics.scrape(None, None).body;
    let first = body.next().await.unwrap().unwrap();
    // The scraper is slow; meanwhile everything changes.
    for probe in &probes {
        metrics.record(&result(probe, Outcome::Ok, delivered()));
    }
    metrics.replace([]);
    let rest: Vec<Bytes> = body.map(|chunk| chunk.unwrap()).collect().await;
    let text = String::from_utf8([vec![first], rest].concat().concat()).unwrap();
    assert_eq!(text.matches("outcome=\"ok\"} 0\n").count(), 200);
    assert!(!text.contains("probe_success"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_that_arrive_during_scrapes_are_never_half_counted() {
    let probes: Vec<_> = (0..20).map(|number| probe(&format!("p-{number}"))).collect();
    let metrics = Arc::new(metrics(probes.iter().cloned()));
    let recorder = tokio::spawn({
        let (metrics, probes) = (Arc::clone(&metrics), probes.clone());
        async move {
            for round in 0..200 {
                for probe in &probes {
                    let outcome = if round % 2 == 0 { Outcome::Ok } else { unavailable() };
                    metrics.record(&result(probe, outcome, delivered()));
                }
                tokio::task::yield_now().await;
            }
        }
    });
    while !recorder.is_finished() {
        let samples = parse(&text(&metrics, None).await);
        for probe in &probes {
            let sum = |name: &str| -> f64 {
                let own = format!("probe=\"{}\"", probe.identity.probe);
                samples
                    .iter()
                    .filter(|(series, _)| series.starts_with(name) && series.contains(&own))
                    .map(|(_, v)| v)
                    .sum()
            };
            let runs = sum("forewarn_probe_runs_total{");
            assert!((runs - sum("forewarn_probe_run_duration_seconds_count{")).abs() < 0.5);
            assert!((runs - sum("forewarn_parcel_stage_seconds_count{")).abs() < 0.5);
        }
    }
    recorder.await.unwrap();
    assert_eq!(text(&metrics, None).await.matches("outcome=\"ok\"} 100\n").count(), 20);
}

#[tokio::test]
async fn every_line_parses_and_every_family_stands_together() {
    let metrics = crowded();
    let plain = text(&metrics, None).await;
    let open = text(&metrics, OPEN_METRICS).await;
    let (plain, open) = (parse(&plain), parse(open.strip_suffix("# EOF\n").unwrap()));
    assert!(plain.len() > 500);
    assert_eq!(plain.keys().collect::<Vec<_>>(), open.keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn promtool_finds_nothing_to_say() {
    let text = text(&crowded(), None).await;
    let (status, said) = promtool(&["check", "metrics"], &text);
    assert!(status, "{said}");
    assert_eq!(said, "");
}

#[tokio::test]
async fn promtool_takes_open_metrics_into_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("metrics"), folder.path().join("blocks"));
    // This command's parser is the server's; it insists on timestamps, which a scrape has not.
    let open = text(&crowded(), OPEN_METRICS).await;
    let stamp = |line: &str| if line.starts_with('#') { "\n" } else { " 1767225600\n" };
    let stamped = open.lines().flat_map(|line| [line, stamp(line)]);
    std::fs::write(&input, stamped.collect::<String>()).unwrap();
    let paths = [&input, &output].map(|path| path.to_str().unwrap().to_owned());
    let (status, said) = promtool(&["tsdb", "create-blocks-from", "openmetrics", &paths[0], &paths[1]], "");
    assert!(status, "{said}");
}

#[test]
fn the_reference_lists_every_metric_once() {
    let page = reference(&[&PARCEL, &PLAIN]).unwrap();
    for row in [
        "| `probe_success` | gauge |  | all | Whether the last attempt succeeded: 1 for ok and degraded, 0 for failed. |",
        "| `forewarn_parcel_stage_seconds` | histogram | `stage` = drive | parcel | Stages. Buckets: 0.5, 1.0. |",
        "| `probe_parcel_duration_seconds` | gauge | `phase` = pack, drive | parcel | How long each phase took, e.g. \"drive\"; \\ separates. |",
        "| `probe_parcel_stamp_info` | gauge | `country`; `motif` | parcel | The stamp. |",
        "| `forewarn_build_info` | gauge | `version` | Which build of Forewarn runs; always 1. |",
    ] {
        assert!(page.lines().any(|line| line == row), "no row {row} in:\n{page}");
    }
    let names: Vec<_> =
        page.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len());
}

#[test]
fn a_type_cannot_take_the_agents_names() {
    static BUILD: Metric = Metric { name: "forewarn_build_info", help: "Mine.", form: Form::Gauge };
    static THIEF: Kind = Kind {
        name: "thief",
        about: "Takes names.",
        phases: &[],
        measures: &[],
        facts: &[Fact { key: "country", about: "country" }],
        series: &[],
        infos: &[Info { metric: &BUILD, labels: &[("country", "country")] }],
    };
    let error = Metrics::new(&[&THIEF], &[]).unwrap_err();
    assert!(matches!(error, MetricsError::Clash(name) if name == "forewarn_build_info"));
}

/// Twelve probes with all that can happen to a probe.
fn crowded() -> Metrics {
    let labels = BTreeMap::from([("zone".to_owned(), "a\"b\\c\nd} 1 # ü\u{0}\r".to_owned())]);
    let probes: Vec<_> =
        (0..12).map(|number| ProbeSeries { labels: labels.clone(), ..probe(&format!("p-{number}")) }).collect();
    let metrics = metrics(probes.iter().cloned());
    for (number, probe) in probes.iter().enumerate() {
        for reason in Reason::ALL.iter().skip(number) {
            metrics.record(&result(probe, Outcome::Failed(Failure::new(*reason, "x")), Findings::default()));
        }
        metrics.record(&result(probe, Outcome::Ok, delivered()));
        metrics.skipped(&probe.identity.probe, "queue_full", 1);
    }
    let odd = Findings { measures: vec![("weight", 1e-7), ("spent", f64::NAN)], ..delivered() };
    metrics.record(&result(&probes[3], Outcome::Ok, odd));
    metrics.record(&result(&probes[4], Outcome::Ok, Findings { measures: vec![("weight", 1e21)], ..delivered() }));
    metrics
}

/// Compares with the golden file; with `UPDATE=1` writes it instead.
fn compare(name: &str, text: &str, golden: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(format!("{}/tests/it/golden/{name}", env!("CARGO_MANIFEST_DIR")), text).unwrap();
    } else {
        assert_eq!(text, golden, "tests/it/golden/{name} differs; if that is meant, run the tests with UPDATE=1");
    }
}

fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run promtool ({error}); install Debian's package `prometheus`"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// A strict reader of the exposition: every series once, every family in one piece after its header, no stray bytes.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut finished = BTreeSet::new();
    let mut family = "";
    assert!(text.ends_with('\n'));
    for line in text.strip_suffix('\n').unwrap_or_default().split('\n') {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (keyword, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            match keyword {
                "HELP" => {
                    family = name;
                    assert!(finished.insert(name), "{name} comes twice");
                }
                "TYPE" => assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}"),
                "UNIT" => assert!(name.ends_with(rest), "{line}"),
                _ => panic!("{line}"),
            }
            assert_eq!(name, family, "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line:?}"));
        let name = series.split('{').next().unwrap_or_default();
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line:?} does not belong to {family}"));
        assert!(["", "_total", "_bucket", "_sum", "_count"].contains(&suffix), "{line}");
        if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
            parse_labels(labels);
        }
        let value = value.parse().unwrap_or_else(|_| panic!("no number in {line:?}"));
        assert!(samples.insert(series.to_owned(), value).is_none(), "{series} comes twice");
    }
    samples
}

fn parse_labels(labels: &str) {
    let mut rest =
        labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_else(|| panic!("{labels}"));
    let mut names = BTreeSet::new();
    while !rest.is_empty() {
        let (name, tail) = rest.split_once("=\"").unwrap_or_else(|| panic!("{labels}"));
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{labels}");
        assert!(names.insert(name), "{name} comes twice in {labels}");
        let mut escaped = false;
        let end = tail.bytes().position(|byte| {
            let closing = byte == b'"' && !escaped;
            assert!(!escaped || matches!(byte, b'"' | b'\\' | b'n'), "{labels}");
            escaped = byte == b'\\' && !escaped;
            closing
        });
        rest = &tail[end.unwrap_or_else(|| panic!("{labels}")) + 1..];
        if let Some(next) = rest.strip_prefix(',') {
            assert!(!next.is_empty(), "{labels}");
            rest = next;
        } else {
            assert!(rest.is_empty(), "{labels}");
        }
    }
}
