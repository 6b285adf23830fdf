//! The whole way: nginx is probed, the agent is scraped by a real Prometheus, and Prometheus is asked what it knows.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use url::Url;

use super::nginx::Nginx;
use super::{Agent, Exposition, Folder, free_ports, patient, until};

/// A running Prometheus, killed when dropped.
struct Prometheus {
    base: Url,
    client: Client,
    _process: Child,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes `agent` once a second.
    fn start(port: u16, agent: &Agent) -> Self {
        assert!(
            Path::new(PROMETHEUS).exists(),
            "{PROMETHEUS} is missing; install it with `apt-get install prometheus`"
        );
        let folder = tempfile::tempdir().unwrap();
        let configuration = format!(
            "global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: forewarn, static_configs: [{{targets: ['{}']}}]}}]
",
            agent.address
        );
        std::fs::write(folder.path().join("prometheus.yml"), configuration).unwrap();
        let process = Command::new(PROMETHEUS)
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let base = format!("http://127.0.0.1:{port}/").parse().unwrap();
        Self { base, client: Client::new(), _process: process, _folder: folder }
    }

    /// An answer of the API's; `None` while it is not ready.
    async fn api(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let mut url = self.base.join(&format!("api/v1/{path}")).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        let answer: Value = self.client.get(url).send().await.ok()?.json().await.ok()?;
        (answer["status"] == "success").then(|| answer["data"].clone())
    }

    /// The value that an expression has, if it has exactly one.
    async fn value(&self, expression: &str) -> Option<f64> {
        let data = self.api("query", &[("query", expression)]).await?;
        let [only] = data["result"].as_array()?.as_slice() else { return None };
        only["value"][1].as_str()?.parse().ok()
    }

    /// Waits until an expression has exactly one value, and it `holds`.
    async fn holds(&self, expression: &str, holds: impl Fn(f64) -> bool) {
        until(expression, async || self.value(expression).await.filter(|value| holds(*value))).await;
    }
}

/// Every host of [`Nginx`], each with what must come of it: success, status, reason.
const PROBES: [(&str, f64, Option<f64>, Option<&str>); 7] = [
    ("ok", 1.0, Some(200.0), None),
    ("missing", 0.0, Some(404.0), Some("http_status")),
    ("broken", 0.0, Some(503.0), Some("unavailable")),
    ("slow", 0.0, None, Some("timeout")),
    ("good", 1.0, Some(200.0), None),
    ("expired", 0.0, None, Some("tls")),
    ("wrong", 0.0, None, Some("tls")),
];

fn configuration(nginx: &Nginx) -> String {
    let mut text = String::from("defaults: {every: 1s, timeout: 5s, labels: {env: test}}\nprobes:\n");
    for (name, ..) in PROBES {
        let is_tls = matches!(name, "good" | "expired" | "wrong");
        let (scheme, port) = if is_tls { ("https", nginx.tls_port) } else { ("http", nginx.port) };
        let timeout = if name == "slow" { "timeout: 500ms, " } else { "" };
        let rest = "resolve: {pin: 127.0.0.1}, tls: {ca: \"${file:ca.pem}\"}";
        let http = format!("http: {{url: \"{scheme}://{name}.test:{port}/\", {rest}}}");
        let _ = writeln!(text, "  - {{name: {name}, surface: pika/web, {timeout}{http}}}");
    }
    text
}

#[tokio::test]
async fn a_prometheus_that_scrapes_the_agent_knows_what_the_probes_saw() {
    let [port, tls_port, prometheus_port] = free_ports();
    let nginx = Nginx::start([port, tls_port]).await;
    let folder = Folder::new(&configuration(&nginx));
    folder.write("ca.pem", &nginx.authority);
    let agent = Agent::start(&folder).await;
    let prometheus = Prometheus::start(prometheus_port, &agent);
    prometheus.holds("up{job=\"forewarn\"}", |up| up == 1.0).await;
    for (probe, success, status, reason) in PROBES {
        prometheus.holds(&format!("probe_success{{probe=\"{probe}\"}}"), |value| value == success).await;
        let code = format!("probe_http_status_code{{probe=\"{probe}\"}}");
        match status {
            Some(status) => prometheus.holds(&code, |value| value == status).await,
            None => assert_eq!(prometheus.value(&code).await, None, "{probe} had no answer"),
        }
        let failures = format!("sum(forewarn_probe_failures_total{{probe=\"{probe}\"}})");
        match reason {
            Some(reason) => {
                let labels = format!("probe=\"{probe}\", reason=\"{reason}\", blame=\"target\", env=\"test\"");
                let growing = format!("increase(forewarn_probe_failures_total{{{labels}}}[1m])");
                prometheus.holds(&growing, |value| value >= 1.0).await;
            }
            None => assert_eq!(prometheus.value(&failures).await, None, "{probe} never failed"),
        }
    }
    prometheus.holds("probe_ssl_earliest_cert_expiry{probe=\"good\"} - time()", |left| left > 1e9).await;
    // Known although, and because, the handshake failed.
    prometheus.holds("probe_ssl_earliest_cert_expiry{probe=\"expired\"} - time()", |left| left < 0.0).await;
    let quantile = "histogram_quantile(0.9, rate(forewarn_probe_run_duration_seconds_bucket{probe=\"ok\"}[1m]))";
    prometheus.holds(quantile, |seconds| seconds > 0.0 && seconds < 5.0).await;
    prometheus.holds("increase(forewarn_probe_runs_total{probe=\"ok\", outcome=\"ok\"}[1m])", |runs| runs > 1.0).await;

    assert_scraped_well(&prometheus).await;
    assert_promtool_is_silent(&agent.metrics().await.0).await;
}

/// Nothing about the scrapes themselves is amiss, and they are in `OpenMetrics`.
async fn assert_scraped_well(prometheus: &Prometheus) {
    let targets = prometheus.api("targets", &[]).await.unwrap();
    let target = &targets["activeTargets"][0];
    assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()), "{target}");

    let metadata = prometheus.api("metadata", &[]).await.unwrap();
    // In OpenMetrics a counter's family has no `_total`; in the older text format it has.
    let runs = &metadata["forewarn_probe_runs"][0];
    assert_eq!(runs["type"], "counter", "OpenMetrics was negotiated: {metadata}");
    assert_eq!(runs["help"], "Attempts by outcome; skipped ones were due and not made.");
    assert_eq!(metadata["probe_success"][0]["type"], "gauge");
    assert_eq!(metadata["forewarn_probe_run_duration_seconds"][0]["type"], "histogram");
    let known = metadata.as_object().unwrap();
    for (name, entry) in known.iter().filter(|(name, _)| name.starts_with("probe_") || name.starts_with("forewarn_")) {
        assert!(!entry[0]["help"].as_str().unwrap().is_empty() && entry[0]["type"] != "unknown", "{name}: {entry}");
    }

    let own = prometheus.client.get(prometheus.base.join("metrics").unwrap()).send().await.unwrap();
    let own = Exposition(own.text().await.unwrap());
    for trouble in ["sample_duplicate_timestamp", "sample_out_of_order", "sample_out_of_bounds"] {
        assert_eq!(own.value(&format!("prometheus_target_scrapes_{trouble}_total"), &[]), Some(0.0));
    }
}

/// The linter that comes with Prometheus has nothing to say about the whole exposition.
async fn assert_promtool_is_silent(metrics: &str) {
    assert!(Path::new(PROMTOOL).exists(), "{PROMTOOL} is missing; install it with `apt-get install prometheus`");
    let mut promtool = Command::new(PROMTOOL)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).await.unwrap();
    let output = patient("promtool ends", promtool.wait_with_output()).await.unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!((output.status.code(), &*said), (Some(0), ""), "on:\n{metrics}");
}

const PROMETHEUS: &str = "/usr/bin/prometheus";
const PROMTOOL: &str = "/usr/bin/promtool";
