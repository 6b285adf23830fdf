//! CPU per probe and resident memory, side by side with `blackbox_exporter`: `cargo bench --bench blackbox`.
//!
//! Both probe one nginx on loopback, each probe on a fresh connection, TLS 1.3 without resumption, ECDSA P-256. CPU is
//! user+system of the whole process, from `/proc`, divided by the probes that its own metrics (or its answers) count.
//! nginx and the driver run on one core, the prober on the other. Rounds alternate; the median of the ratios counts.
//! Needs the Debian packages nginx-light and prometheus-blackbox-exporter. Fails below the ratios at the end of the file.

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
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Process, answer, free_port, get, pinned, wait_for};

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(folder.path());
    println!("probe            forewarn   blackbox_exporter   ratio      (CPU µs per probe, {ROUNDS} rounds)");
    let plain = compare(&site, folder.path(), &format!("http://127.0.0.1:{}/", site.http), "http");
    let tls = compare(&site, folder.path(), &format!("https://localhost:{}/", site.https), "https");
    let (idle, probed) = memory(&site, folder.path());
    println!("resident memory with 10,000 probes: {idle:.1} MiB loaded, {probed:.1} MiB after each ran once");
    assert!(plain >= HTTP_RATIO, "plain HTTP: {plain:.1} times less CPU, expected {HTTP_RATIO}");
    assert!(tls >= HTTPS_RATIO, "HTTPS: {tls:.1} times less CPU, expected {HTTPS_RATIO}");
    assert!(idle < IDLE_MIB, "resident memory: {idle:.1} MiB, expected {IDLE_MIB} at most");
}

fn compare(site: &Site, folder: &Path, url: &str, name: &str) -> f64 {
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let ours = forewarn(folder, url);
            let theirs = blackbox(site, folder, url);
            (ours, theirs, theirs / ours)
        })
        .collect();
    let median = |pick: fn(&(f64, f64, f64)) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (ours, theirs, ratio) = (median(|round| round.0), median(|round| round.1), median(|round| round.2));
    println!("{name:<15} {ours:>9.1} {theirs:>19.1} {ratio:>7.1}");
    ratio
}

/// CPU µs per probe of our agent on its own schedule, with one scrape in the measured time.
fn forewarn(folder: &Path, url: &str) -> f64 {
    let agent = Agent::start(folder, url, PROBES, "1s");
    std::thread::sleep(Duration::from_secs(2));
    let (cpu, runs) = (agent.process.cpu(), agent.runs());
    std::thread::sleep(SPAN);
    let (cpu, runs) = (agent.process.cpu() - cpu, agent.runs() - runs);
    let text = agent.metrics();
    assert!(!text.contains("outcome=\"failed\"} 1"), "probes failed; the comparison would be void");
    cpu * 1e6 / runs
}

/// CPU µs per probe of `blackbox_exporter`, asked as Prometheus asks it.
fn blackbox(site: &Site, folder: &Path, url: &str) -> f64 {
    let config = folder.join("blackbox.yml");
    let ca = folder.join("ca.pem");
    fs::write(
        &config,
        format!(
            "modules: {{http_2xx: {{prober: http, timeout: 5s, http: {{preferred_ip_protocol: ip4, \
             enable_http2: false, tls_config: {{ca_file: {}}}}}}}}}\n",
            ca.display()
        ),
    )
    .unwrap();
    let port = free_port();
    let process = Process::start(
        pinned("1", "prometheus-blackbox-exporter")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error"),
    );
    wait_for(port);
    ask(port, url, 200);
    let cpu = process.cpu();
    ask(port, url, site.asked);
    (process.cpu() - cpu) * 1e6 / f64::from(site.asked)
}

/// Asks for `count` probes over one connection, as a scraper does.
fn ask(port: u16, url: &str, count: u32) {
    let target = url.replace(':', "%3A").replace('/', "%2F");
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let request = format!("GET /probe?module=http_2xx&target={target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for _ in 0..count {
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let body = answer(&mut stream);
        assert!(body.contains("probe_success 1"), "{body}");
    }
}

/// Resident MiB with 10,000 probes: loaded and idle, and once each of them has run.
fn memory(site: &Site, folder: &Path) -> (f64, f64) {
    let agent = Agent::start(folder, &format!("http://127.0.0.1:{}/", site.http), 10_000, "1h");
    let idle = agent.process.resident_mib();
    let start = Instant::now();
    while agent.runs() < 10_000.0 {
        assert!(start.elapsed() < Duration::from_secs(120), "10,000 first runs took more than two minutes");
        std::thread::sleep(Duration::from_secs(2));
    }
    (idle, agent.process.resident_mib())
}

/// Our agent as a process.
struct Agent {
    process: Process,
    port: u16,
}

impl Agent {
    fn start(folder: &Path, url: &str, probes: usize, every: &str) -> Self {
        let mut yaml = format!("agent: {{per_host: 1000}}\ndefaults: {{every: {every}, timeout: 5s}}\nprobes:\n");
        for number in 0..probes {
            writeln!(
                yaml,
                "  - {{name: probe-{number}, surface: site/web, http: {{url: \"{url}\", tls: {{ca: \"${{file:ca.pem}}\"}}, \
                 resolve: {{family: ipv4}}, version: http1}}}}"
            )
            .unwrap();
        }
        let config = folder.join("forewarn.yml");
        fs::write(&config, yaml).unwrap();
        let port = free_port();
        let process = Process::start(
            pinned("1", env!("CARGO_BIN_EXE_forewarn"))
                .args(["run", "--log-level", "error", "--listen", &format!("127.0.0.1:{port}")])
                .arg(&config),
        );
        wait_for(port);
        Self { process, port }
    }

    fn metrics(&self) -> String {
        get(self.port, "/metrics")
    }

    fn runs(&self) -> f64 {
        let text = self.metrics();
        let counted =
            text.lines().filter(|line| line.starts_with("forewarn_probe_runs_total{") && !line.contains("skipped"));
        counted.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}

/// nginx with a small page, in the clear and over TLS.
struct Site {
    _nginx: Process,
    http: u16,
    https: u16,
    /// Probes to ask of `blackbox_exporter` in a round.
    asked: u32,
}

impl Site {
    fn start(folder: &Path) -> Self {
        certificates(folder);
        let (http, https) = (free_port(), free_port());
        let root = folder.display();
        let config = format!(
            "daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/error.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; ssl_session_cache off; ssl_session_tickets off; ssl_protocols TLSv1.3;\n\
             client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;\n\
             uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;\n\
             server {{ listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl;\n\
             ssl_certificate {root}/site.pem; ssl_certificate_key {root}/site.key;\n\
             location / {{ return 200 'a small page'; }} }} }}\n"
        );
        let path = folder.join("nginx.conf");
        fs::write(&path, config).unwrap();
        let nginx = Process::start(pinned("0", "/usr/sbin/nginx").arg("-c").arg(&path).arg("-p").arg(folder));
        wait_for(http);
        Self { _nginx: nginx, http, https, asked: 5_000 }
    }
}

fn certificates(folder: &Path) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::from_params(&ca, &ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let site = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(folder.join("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    fs::write(folder.join("site.pem"), site.pem()).unwrap();
    fs::write(folder.join("site.key"), key.serialize_pem()).unwrap();
}

const ROUNDS: usize = 5;
const PROBES: usize = 1_000;
const SPAN: Duration = Duration::from_secs(10);
const HTTP_RATIO: f64 = 7.0;
const HTTPS_RATIO: f64 = 3.0;
const IDLE_MIB: f64 = 60.0;
