//! What the benchmarks that start programs share: children that end with their owner, their figures, a small client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    unreachable_pub,
    reason = "each benchmark uses a part of it"
)]
#![allow(clippy::disallowed_methods, reason = "real time is what is measured")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A child that ends with its owner.
pub struct Process(pub Child);

impl Process {
    /// Starts it, without its output.
    pub fn start(command: &mut Command) -> Self {
        Self(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .expect("cannot start a program; see the head of this file"),
        )
    }

    /// Seconds of user and system time, as `/proc/PID/stat` has it in hundredths.
    pub fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |field: usize| f64::from(fields[field].parse::<u32>().unwrap());
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Resident memory in MiB.
    pub fn resident_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program on one core.
pub fn pinned(core: &str, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core, program]);
    command
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until something listens.
pub fn wait_for(port: u16) {
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The body of one GET.
pub fn get(port: u16, path: &str) -> String {
    request(port, "GET", path)
}

/// The body of the answer to one request without a body.
pub fn request(port: u16, method: &str, path: &str) -> String {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{LIKE_PROMETHEUS}\r\n");
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    answer(&mut stream)
}

/// Reads one HTTP/1.1 answer with a length or in chunks.
pub fn answer(stream: &mut BufReader<TcpStream>) -> String {
    let (mut length, mut is_gzip, mut line) = (None, false, String::new());
    loop {
        line.clear();
        stream.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>().unwrap());
        }
        is_gzip |= line.to_ascii_lowercase().trim() == "content-encoding: gzip";
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = Vec::new();
    match length {
        Some(length) => {
            body.resize(length, 0);
            stream.read_exact(&mut body).unwrap();
        }
        None => loop {
            line.clear();
            stream.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let start = body.len();
            body.resize(start + size + 2, 0);
            stream.read_exact(&mut body[start..]).unwrap();
            body.truncate(start + size);
            if size == 0 {
                break;
            }
        },
    }
    if is_gzip {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
        return text;
    }
    String::from_utf8(body).unwrap()
}

/// What Prometheus 2.42 sends along with a scrape.
pub const LIKE_PROMETHEUS: &str = "Accept: application/openmetrics-text;version=1.0.0,\
    application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n\
    Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n";
