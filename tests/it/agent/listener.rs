//! The agent's listener as clients of all manners meet it.

use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use super::{Agent, Folder, patient};

const NO_PROBES: &str = "probes: []\n";

async fn agent() -> (Agent, Folder) {
    let folder = Folder::new(NO_PROBES);
    (Agent::start(&folder).await, folder)
}

#[tokio::test]
async fn each_path_answers_as_prometheus_users_expect() {
    let (agent, _folder) = agent().await;
    for (method, path, status, text) in [
        ("GET", "/-/healthy", 200, "forewarn is healthy.\n"),
        ("GET", "/-/ready", 200, "forewarn is ready.\n"),
        ("HEAD", "/-/healthy", 200, ""),
        ("HEAD", "/-/ready", 200, ""),
        ("HEAD", "/metrics", 200, ""),
        ("GET", "/metrics", 200, "# HELP"),
        ("GET", "/", 200, "<!doctype html>"),
        ("GET", "/metrics/", 404, "there is no such page"),
        ("GET", "/-/", 404, "there is no such page"),
        ("GET", "/..%2f..%2fetc/passwd", 404, "there is no such page"),
        ("POST", "/metrics", 405, ""),
        ("DELETE", "/-/healthy", 405, ""),
        ("GET", "/-/reload", 405, ""),
        ("PUT", "/-/reload", 200, "probes: 0 added"),
    ] {
        let request = agent.client.request(Method::from_bytes(method.as_bytes()).unwrap(), agent.url(path));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert_eq!(answer.headers().contains_key(header::ALLOW), status == 405, "{method} {path}");
        assert!(answer.text().await.unwrap().starts_with(text), "{method} {path}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_request_end_their_connection_and_nothing_else() {
    let (agent, _folder) = agent().await;
    let endless = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(200_000));
    for bytes in [&b"\0\x01\x02\r\n\r\n"[..], b"GET\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0", endless.as_bytes()] {
        let mut stream = TcpStream::connect(agent.address).await.unwrap();
        // The agent may close before it has read all.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = patient("the connection ends", stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(agent.get("/-/healthy").await.0, StatusCode::OK);
}

#[tokio::test]
async fn six_hundred_idle_clients_keep_no_scraper_out() {
    let (agent, _folder) = agent().await;
    let mut idle = Vec::new();
    for number in 0..600 {
        let mut stream = TcpStream::connect(agent.address).await.unwrap();
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nx-slow").await;
        }
        idle.push(stream);
    }
    let scrape = timeout(SCRAPE_TIMEOUT, agent.get("/metrics")).await;
    let (status, metrics) = scrape.expect("a scrape does not wait for idle clients");
    assert_eq!(status, StatusCode::OK);
    assert!(metrics.contains("forewarn_build_info"));
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_up_the_end_for_two_seconds_at_most() {
    let probe =
        |number: u32| format!("  - {{name: p{number}, surface: a/b, every: 1d, http: {{url: \"http://a/\"}}}}\n");
    let probes: String = (0..1_500).map(probe).collect();
    let folder = Folder::new(&format!("probes:\n{probes}"));
    let agent = Agent::start(&folder).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(agent.address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    stream.readable().await.unwrap();

    let start = Instant::now();
    agent.signal("TERM");
    let (status, log) = agent.end().await;
    assert_eq!(status.code(), Some(0), "{log:#?}");
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(2), "the answer was under way: {took:?}");
    assert!(took < Duration::from_secs(4), "it waits for nobody longer: {took:?}");
}

/// Prometheus' default.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);
