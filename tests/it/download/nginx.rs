//! Files on a real nginx: in the clear, by TLS and HTTP/2, with real ranges and etags.

use std::path::Path;
use std::time::Duration;

use forewarn::model::reason::{Blame, Reason};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{measure, watch};
use crate::peers::authority::Authority;
use crate::peers::files::{fragmented, index_first, index_last, sha256};
use crate::peers::probing::Inspect;

/// A running nginx, killed when dropped.
///
/// Serves `first.mp4`, `last.mp4`, `fragments.mp4`, `half.mp4` and `empty.mp4`; below `/plain/` without ranges, below
/// `/gzip/` compressed whatever was asked for.
struct Nginx {
    port: u16,
    tls_port: u16,
    authority: Authority,
    _process: Child,
    _folder: TempDir,
}

impl Nginx {
    async fn start() -> Self {
        assert!(Path::new(NGINX).exists(), "{NGINX} is missing; install it with `apt-get install nginx-light`");
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let authority = Authority::new("root");
        let identity = authority.issue(&["localhost"]);
        write("localhost.pem", identity.pem().as_bytes());
        write("localhost.key", identity.key_pem().as_bytes());
        write("first.mp4", &index_first());
        write("last.mp4", &index_last());
        write("fragments.mp4", &fragmented());
        write("half.mp4", &index_first()[..450_000]);
        write("empty.mp4", &[]);
        let [port, tls_port] = free_ports();
        write("nginx.conf", configuration(folder.path(), port, tls_port).as_bytes());
        let process = Command::new(NGINX)
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for port in [port, tls_port] {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                ticks.tick().await;
            }
        }
        Self { port, tls_port, authority, _process: process, _folder: folder }
    }

    /// Where a file lies, in the clear or by TLS.
    fn url(&self, scheme: &str, path: &str) -> String {
        let port = if scheme == "https" { self.tls_port } else { self.port };
        format!("{scheme}://localhost:{port}/{path}")
    }
}

fn configuration(folder: &Path, port: u16, tls_port: u16) -> String {
    let root = folder.display();
    format!(
        "daemon off; master_process off; pid nginx.pid; events {{}}
http {{
access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
scgi_temp_path scgi; types {{ video/mp4 mp4; }}
server {{
  listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl http2; server_name localhost;
  ssl_certificate localhost.pem; ssl_certificate_key localhost.key;
  location / {{ root {root}; }}
  location /plain/ {{ alias {root}/; max_ranges 0; }}
  location /gzip/ {{ alias {root}/; add_header content-encoding gzip; }}
  location /dropped/ {{ return 444; }}
}}
}}
"
    )
}

/// Below the ports that the kernel gives out by itself, and apart from those of the agent's tests.
fn free_ports() -> [u16; 2] {
    let start = 23_000 + u16::try_from(std::process::id() % 8_000).unwrap();
    let mut free = (start..32_700).filter_map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).ok());
    let listeners: [_; 2] = std::array::from_fn(|_| free.next().expect("a port is free"));
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

#[tokio::test]
async fn files_on_a_real_server() {
    let nginx = Nginx::start().await;
    for scheme in ["http", "https"] {
        for (file, bytes) in [("first.mp4", index_first()), ("last.mp4", index_last()), ("fragments.mp4", fragmented())]
        {
            let tls = json!({"ca": nginx.authority.pem()});
            let expect = json!({"sha256": sha256(&bytes), "content_type": "video/mp4", "size": {"min": bytes.len().to_string(), "max": bytes.len().to_string()}});
            let whole = watch(&nginx.url(scheme, file), json!({"tls": tls, "expect": expect})).await;
            whole.assert_ok();
            let more = json!({"tls": tls, "mode": "ranges", "expect": {"status": "206", "content_type": "video/mp4"}});
            let result = watch(&nginx.url(scheme, file), more.clone()).await;
            result.assert_ok();
            assert_eq!(result.fact("media"), whole.fact("media"));
            assert!((2.0..=5.0).contains(&measure(&result, "requests")), "{scheme} {file}: {:?}", result.findings);
            // Without ranges.
            let plain = nginx.url(scheme, &format!("plain/{file}"));
            let result = watch(&plain, json!({"tls": tls, "mode": "ranges"})).await;
            result.assert_ok();
            assert!((measure(&result, "requests") - 1.0).abs() < 0.1);
            watch(&plain, more).await.assert_failed(Reason::HttpStatus, Blame::Target);
        }
        for (path, reason, words) in [
            ("gone.mp4", Reason::HttpStatus, "got 404: `<html>"),
            ("half.mp4", Reason::Truncated, "the file ends at byte 450000"),
            ("empty.mp4", Reason::NoOutput, "0 bytes"),
            ("gzip/first.mp4", Reason::Protocol, "compressed as Gzip"),
            ("dropped/first.mp4", Reason::Network, ""),
        ] {
            for mode in ["full", "ranges"] {
                let more = json!({"mode": mode, "tls": {"ca": nginx.authority.pem()}});
                let result = watch(&nginx.url(scheme, path), more).await;
                let detail = result.assert_failed(reason, Blame::Target);
                assert!(detail.contains(words), "{scheme} {path}: {detail}");
            }
        }
    }
}

const NGINX: &str = "/usr/sbin/nginx";
