//! An hour in the life of an agent: `cargo bench --bench soak [-- MINUTES]`.
//!
//! Fifty probes of nginx (200, 404, 503, slow, TLS good, expired, wrong name), a real Prometheus scraping, a reload every
//! minute by SIGHUP and by POST in turn, between two configurations that differ in two probes. Fails on a counter reset,
//! a lost run, a left-out run, a growing process, or lag above its target. Needs nginx-light and prometheus from Debian.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has failed"
)]
#![allow(clippy::disallowed_methods, reason = "real time is what is measured")]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Process, free_port, get, request, wait_for};
use serde_json::Value;

fn main() {
    let minutes = std::env::args().skip(1).find_map(|argument| argument.parse::<u64>().ok()).unwrap_or(60);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let site = Site::start(folder);
    let agent = Agent::start(folder, &site);
    let prometheus = Prometheus::start(folder, agent.port);
    let start = Instant::now();
    let began = now();
    let mut figures = Vec::new();
    for minute in 1..=minutes {
        std::thread::sleep((start + Duration::from_secs(minute * 60)).saturating_duration_since(Instant::now()));
        agent.reload(folder, &site, minute);
        figures.push((agent.process.resident_mib(), agent.files()));
        let (memory, files) = figures[figures.len() - 1];
        println!("minute {minute}: {memory:.1} MiB, {files} files, {:.1} s of CPU", agent.process.cpu());
    }
    report(&agent, &prometheus, &figures, began, minutes);
}

fn report(agent: &Agent, prometheus: &Prometheus, figures: &[(f64, usize)], began: f64, minutes: u64) {
    let text = get(agent.port, "/metrics");
    let ended = now();
    let mut lost = Vec::new();
    let mut runs = 0.0;
    for probe in 0..PROBES {
        let counted = sum(&text, "forewarn_probe_runs_total", &format!("probe=\"probe-{probe}\""));
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let expected = (ended - began) / every(probe) as f64;
        // The first look may add a run, and the ends of the span cut off less than one interval each.
        if counted < expected - 2.0 || counted > expected + 2.0 {
            lost.push(format!("probe-{probe}: {counted} runs, expected {expected:.1}"));
        }
        runs += counted;
    }
    let skipped = sum(&text, "forewarn_probe_runs_total", "outcome=\"skipped\"");
    let left_out = |probe: usize| sum(&text, "forewarn_probe_runs_skipped_total", &format!("probe=\"probe-{probe}\""));
    let resets = prometheus.value(&format!("sum(resets(forewarn_probe_runs_total{{probe!=\"extra\"}}[{minutes}m]))"));
    let gaps = prometheus.value(&format!("count_over_time(up[{minutes}m]) - sum_over_time(up[{minutes}m])"));
    let reloads = sum(&text, "forewarn_config_last_reload_successful", "");
    let (p50, p99) = (quantile(&text, 0.5), quantile(&text, 0.99));
    let settled = figures[figures.len() / 10].0;
    let end = figures[figures.len() - 1];
    println!(
        "{minutes} minutes, {runs} runs, {skipped} left out, {} lost, {resets} counter resets, {gaps} failed scrapes",
        lost.len()
    );
    println!("schedule lag: p50 below {} ms, p99 below {} ms", p50 * 1e3, p99 * 1e3);
    println!(
        "resident memory: {settled:.1} MiB after a tenth of the time, {:.1} MiB at the end; {} open files",
        end.0, end.1
    );
    println!("CPU: {:.1} s, {:.2} ms a run", agent.process.cpu(), agent.process.cpu() * 1e3 / runs);
    assert!(lost.is_empty(), "{lost:#?}");
    // A page that takes a second and a half cannot be asked each second: `overlap: skip` leaves those out, and says so.
    let overlapped = sum(&text, "forewarn_probe_runs_skipped_total", "why=\"overlap\"");
    let unexplained = skipped - (0..PROBES).filter(|probe| is_slow(*probe)).map(left_out).sum::<f64>();
    assert_eq!((unexplained, overlapped), (0.0, skipped), "left out of probes that are not slow; for overlap");
    assert_eq!((resets, gaps, reloads), (0.0, 0.0, 1.0), "resets, failed scrapes, last reload");
    assert!(p99 <= LAG, "p99 of the lag is {p99} s");
    assert!(end.0 < settled * 1.1 + 2.0, "the process grew from {settled:.1} to {:.1} MiB", end.0);
    for reason in ["http_status", "unavailable", "tls", "slow"] {
        assert!(text.contains(&format!("reason=\"{reason}\"")) || reason == "slow", "no probe failed for {reason}");
    }
}

/// Sums the samples of a metric that carry a label.
fn sum(text: &str, metric: &str, label: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(metric) && !line.starts_with('#') && line.contains(label));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// The upper bound of the lag histogram's bucket that holds a quantile, in seconds.
fn quantile(text: &str, quantile: f64) -> f64 {
    let total = sum(text, "forewarn_schedule_lag_seconds_count", "");
    let buckets = text.lines().filter_map(|line| line.strip_prefix("forewarn_schedule_lag_seconds_bucket{le=\""));
    let mut buckets = buckets.map(|rest| {
        let (bound, count) = rest.split_once("\"} ").unwrap();
        (bound.parse::<f64>().unwrap_or(f64::INFINITY), count.parse::<f64>().unwrap())
    });
    buckets.find(|(_, count)| *count >= total * quantile).unwrap().0
}

struct Agent {
    process: Process,
    port: u16,
}

impl Agent {
    fn start(folder: &Path, site: &Site) -> Self {
        write_config(folder, site, false);
        let port = free_port();
        let process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_forewarn"))
                .args(["run", "--log-level", "error", "--listen", &format!("127.0.0.1:{port}")])
                .arg(folder.join("forewarn.yml")),
        );
        wait_for(port);
        Self { process, port }
    }

    fn reload(&self, folder: &Path, site: &Site, minute: u64) {
        write_config(folder, site, minute % 2 == 1);
        if minute.is_multiple_of(2) {
            let answer = request(self.port, "POST", "/-/reload");
            assert!(answer.contains("unchanged"), "{answer}");
        } else {
            let pid = self.process.0.id().to_string();
            assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        }
    }

    fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.0.id())).unwrap().count()
    }
}

/// Fifty probes that stay, and two things that change: one probe comes and goes, one changes its rule.
fn write_config(folder: &Path, site: &Site, variant: bool) {
    let mut yaml = "agent: {region: soak, labels: {env: test}}\ndefaults: {timeout: 5s}\nprobes:\n".to_owned();
    for probe in 0..PROBES {
        let (url, extra) = site.target(probe);
        let within = if probe == 1 && variant { "4s" } else { "3s" };
        writeln!(
            yaml,
            "  - {{name: probe-{probe}, surface: site/part-{}, every: {}s, http: {{url: \"{url}\", \
             warn: {{within: {within}}}, resolve: {{family: ipv4}}{extra}}}}}",
            probe % 5,
            every(probe)
        )
        .unwrap();
    }
    if variant {
        writeln!(yaml, "  - {{name: extra, surface: site/part-0, every: 1s, http: {{url: \"{}\"}}}}", site.target(0).0)
            .unwrap();
    }
    fs::write(folder.join("forewarn.yml"), yaml).unwrap();
}

/// Whether a probe asks for the page that takes a second and a half.
const fn is_slow(probe: usize) -> bool {
    probe % 10 == 6
}

const fn every(probe: usize) -> usize {
    [1, 2, 5, 10][probe % 4]
}

/// nginx with the pages and certificates that a real site has on its bad days.
struct Site {
    _nginx: Process,
    ports: [u16; 4],
}

impl Site {
    fn start(folder: &Path) -> Self {
        let ports = [free_port(), free_port(), free_port(), free_port()];
        certificates(folder);
        fs::write(folder.join("slow.html"), "x".repeat(3_000)).unwrap();
        let root = folder.display();
        let mut servers = String::new();
        for (port, name) in ports.iter().zip(["", "good", "expired", "other"]) {
            let tls = if name.is_empty() { "" } else { " ssl" };
            let files = if name.is_empty() {
                String::new()
            } else {
                format!("ssl_certificate {root}/{name}.pem; ssl_certificate_key {root}/{name}.key;")
            };
            writeln!(
                servers,
                "server {{ listen 127.0.0.1:{port}{tls}; {files} location = / {{ return 200 'Create'; }}\n\
                 location = /broken {{ return 503; }} location = /slow.html {{ root {root}; limit_rate 2k; }} location / {{ return 404; }} }}"
            )
            .unwrap();
        }
        let config = format!(
            "daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_body_temp_path {root}/a; proxy_temp_path {root}/b;\n\
             fastcgi_temp_path {root}/c; uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;\n{servers}}}\n"
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let nginx = Process::start(
            Command::new("/usr/sbin/nginx").arg("-c").arg(folder.join("nginx.conf")).arg("-p").arg(folder),
        );
        wait_for(ports[3]);
        Self { _nginx: nginx, ports }
    }

    /// Where a probe goes, and what else its settings say.
    fn target(&self, probe: usize) -> (String, &'static str) {
        let [plain, good, expired, other] = self.ports;
        let ca = ", tls: {ca: \"${file:ca.pem}\"}";
        match probe % 10 {
            0..=3 => (format!("http://127.0.0.1:{plain}/"), ", expect: {body: {contains: Create}}"),
            4 => (format!("http://127.0.0.1:{plain}/missing"), ""),
            5 => (format!("http://127.0.0.1:{plain}/broken"), ""),
            6 => (format!("http://127.0.0.1:{plain}/slow.html"), ", expect: {within: 500ms}"),
            7 => (format!("https://localhost:{good}/"), ca),
            8 => (format!("https://localhost:{expired}/"), ca),
            _ => (format!("https://localhost:{other}/"), ca),
        }
    }
}

fn certificates(folder: &Path) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::from_params(&ca, &ca_key);
    fs::write(folder.join("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    for (file, host, until) in
        [("good", "localhost", 2096), ("expired", "localhost", 2021), ("other", "other.example", 2096)]
    {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut site = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
        site.not_before = rcgen::date_time_ymd(2020, 1, 1);
        site.not_after = rcgen::date_time_ymd(until, 1, 1);
        fs::write(folder.join(format!("{file}.pem")), site.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

struct Prometheus {
    _process: Process,
    port: u16,
}

impl Prometheus {
    fn start(folder: &Path, agent: u16) -> Self {
        let config = folder.join("prometheus.yml");
        fs::write(
            &config,
            format!(
                "global: {{scrape_interval: 5s}}\nscrape_configs: [{{job_name: forewarn, honor_labels: true, \
                 static_configs: [{{targets: [\"127.0.0.1:{agent}\"]}}]}}]\n"
            ),
        )
        .unwrap();
        let port = free_port();
        let process = Process::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--log.level=error"),
        );
        wait_for(port);
        Self { _process: process, port }
    }

    /// The one value that a query gives.
    fn value(&self, query: &str) -> f64 {
        let query = query.bytes().fold(String::new(), |mut out, byte| {
            write!(out, "%{byte:02X}").unwrap();
            out
        });
        let answer: Value = serde_json::from_str(&get(self.port, &format!("/api/v1/query?query={query}"))).unwrap();
        let value = &answer["data"]["result"][0]["value"][1];
        value.as_str().unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

const PROBES: usize = 50;
const LAG: f64 = 0.005;
