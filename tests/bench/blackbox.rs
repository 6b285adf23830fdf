//! CPU per probe and resident memory, side by side with `blackbox_exporter`: `cargo bench --bench blackbox`.
//!
//! Both probe one nginx on loopback, each probe on a fresh connection, TLS 1.3 without resumption, ECDSA P-256. CPU is
//! user+system of the whole process, from `/proc`, divided by the probes made.
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

use common::{LIKE_PROMETHEUS, Process, answer, free_port, get, pinned, wait_for};

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench { site: Site::start(folder.path()), folder: folder.path() };
    println!("CPU µs per probe, medians of {ROUNDS} rounds");
    println!("{:<26} {:>9} {:>18} {:>7}", "", "forewarn", "blackbox_exporter", "ratio");
    let plain = format!("http://127.0.0.1:{}/", bench.site.http);
    let tls = format!("https://localhost:{}/", bench.site.https);
    let http = bench.compare("http, full speed", &plain, FULL);
    let https = bench.compare("https, near full speed", &tls, FULL_TLS);
    bench.compare("http, 1,000 a second", &plain, PACED);
    let (idle, probed) = bench.memory();
    println!("resident memory with 10,000 probes: {idle:.1} MiB loaded, {probed:.1} MiB after each ran once");
    assert!(http >= HTTP_RATIO, "plain HTTP: {http:.1} times less CPU, expected {HTTP_RATIO}");
    assert!(https >= HTTPS_RATIO, "HTTPS: {https:.1} times less CPU, expected {HTTPS_RATIO}");
    assert!(probed < MEMORY_MIB, "resident memory: {probed:.1} MiB, expected {MEMORY_MIB} at most");
}

/// How fast probes are asked for.
#[derive(Clone, Copy)]
struct Pace {
    /// The interval of each of our [`PROBES`] probes.
    every: &'static str,
    /// How many scrapers ask `blackbox_exporter` at once, each without a pause or at this interval.
    askers: u32,
    interval: Option<Duration>,
}

/// Each program as fast as its core lets it.
const FULL: Pace = Pace { every: "100ms", askers: 8, interval: None };
/// Two thousand handshakes a second nearly fill a core; slots beyond what it can do would be left out, at a cost.
const FULL_TLS: Pace = Pace { every: "500ms", ..FULL };
/// A thousand probes a second, so that both wait in between and pay for waking up.
const PACED: Pace = Pace { every: "1s", askers: 8, interval: Some(Duration::from_millis(8)) };

struct Bench<'folder> {
    site: Site,
    folder: &'folder Path,
}

impl Bench<'_> {
    fn compare(&self, name: &str, url: &str, pace: Pace) -> f64 {
        let rounds: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let (ours, theirs) = (self.forewarn(url, pace), self.blackbox(url, pace));
                [ours, theirs, theirs / ours]
            })
            .collect();
        let median = |column: usize| {
            let mut values: Vec<_> = rounds.iter().map(|round| round[column]).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!("{name:<26} {:>9.1} {:>18.1} {:>7.1}", median(0), median(1), median(2));
        median(2)
    }

    /// CPU µs per probe of our agent on its own schedule, with one scrape in the measured time.
    fn forewarn(&self, url: &str, pace: Pace) -> f64 {
        let agent = Agent::start(self.folder, url, PROBES, pace.every);
        std::thread::sleep(WARM_UP);
        let (cpu, runs) = (agent.process.cpu(), agent.runs());
        std::thread::sleep(SPAN);
        let (cpu, runs) = (agent.process.cpu() - cpu, agent.runs() - runs);
        let failed = agent.metrics().lines().any(|line| line.contains("outcome=\"failed\"") && !line.ends_with(" 0"));
        assert!(!failed, "probes failed; the comparison would be void");
        cpu * 1e6 / runs
    }

    /// CPU µs per probe of `blackbox_exporter`, asked as Prometheus asks it.
    fn blackbox(&self, url: &str, pace: Pace) -> f64 {
        let config = self.folder.join("blackbox.yml");
        let ca = self.folder.join("ca.pem");
        let module = format!(
            "modules: {{http_2xx: {{prober: http, timeout: 5s, http: {{preferred_ip_protocol: ip4, \
             enable_http2: false, tls_config: {{ca_file: {}}}}}}}}}\n",
            ca.display()
        );
        fs::write(&config, module).unwrap();
        let port = free_port();
        let process = Process::start(
            pinned("1", "prometheus-blackbox-exporter")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--log.level=error"),
        );
        wait_for(port);
        ask(port, url, pace, 50);
        let cpu = process.cpu();
        ask(port, url, pace, ASKED / pace.askers);
        (process.cpu() - cpu) * 1e6 / f64::from(ASKED)
    }

    /// Resident MiB with 10,000 probes: loaded, and once each of them has run.
    fn memory(&self) -> (f64, f64) {
        let agent = Agent::start(self.folder, &format!("http://127.0.0.1:{}/", self.site.http), 10_000, "1h");
        let idle = agent.process.resident_mib();
        let start = Instant::now();
        while agent.runs() < 10_000.0 {
            assert!(start.elapsed() < Duration::from_secs(120), "10,000 first runs took more than two minutes");
            std::thread::sleep(Duration::from_secs(2));
        }
        (idle, agent.process.resident_mib())
    }
}

/// Has every asker ask for `count` probes over its own connection, as a scraper does.
fn ask(port: u16, url: &str, pace: Pace, count: u32) {
    let target = url.replace(':', "%3A").replace('/', "%2F");
    let request =
        format!("GET /probe?module=http_2xx&target={target} HTTP/1.1\r\nHost: localhost\r\n{LIKE_PROMETHEUS}\r\n");
    std::thread::scope(|scope| {
        for _ in 0..pace.askers {
            scope.spawn(|| {
                let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
                let start = Instant::now();
                for number in 0..count {
                    if let Some(interval) = pace.interval {
                        std::thread::sleep((interval * number).saturating_sub(start.elapsed()));
                    }
                    stream.get_mut().write_all(request.as_bytes()).unwrap();
                    let body = answer(&mut stream);
                    assert!(body.contains("probe_success 1"), "{body}");
                }
            });
        }
    });
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
        Self { _nginx: nginx, http, https }
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
/// Probes asked of `blackbox_exporter` in a round.
const ASKED: u32 = 8_000;
const WARM_UP: Duration = Duration::from_secs(2);
const SPAN: Duration = Duration::from_secs(6);
const HTTP_RATIO: f64 = 7.0;
const HTTPS_RATIO: f64 = 3.0;
const MEMORY_MIB: f64 = 60.0;
