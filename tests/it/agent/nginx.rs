//! A real nginx on loopback as a target: plain and TLS hosts, well and unwell, with certificates made on the spot.

use std::fmt::Write as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::peer::Peer;

/// A running nginx, killed when dropped.
///
/// Plain hosts: `ok.test` (200), `missing.test` (404), `broken.test` (503), `slow.test` (never answers). TLS hosts:
/// `good.test`, `expired.test`, `wrong.test` (has the certificate of another name).
pub(super) struct Nginx {
    pub(super) port: u16,
    pub(super) tls_port: u16,
    /// The certificate, in PEM, of who signed the others.
    pub(super) authority: String,
    /// nginx in the foreground, without workers that could outlive it.
    _process: Child,
    _folder: TempDir,
    _slow: Peer,
}

impl Nginx {
    pub(super) async fn start([port, tls_port]: [u16; 2]) -> Self {
        assert!(Path::new(NGINX).exists(), "{NGINX} is missing; install it with `apt-get install nginx-light`");
        let folder = tempfile::tempdir().unwrap();
        let authority = write_certificates(folder.path());
        let slow = Peer::start().await;
        std::fs::write(folder.path().join("nginx.conf"), configuration(port, tls_port, &slow.url("/held"))).unwrap();
        let process = Command::new(NGINX)
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { port, tls_port, authority, _process: process, _folder: folder, _slow: slow }
    }
}

fn configuration(port: u16, tls_port: u16, slow: &str) -> String {
    let mut text = String::from(
        "daemon off; master_process off; pid nginx.pid; events {}
http {
access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
scgi_temp_path scgi; default_type text/html;
",
    );
    for (host, answer) in [
        ("ok", "return 200 Create;".to_owned()),
        ("missing", "return 404;".to_owned()),
        ("broken", "return 503;".to_owned()),
        ("slow", format!("location / {{ proxy_pass {slow}; }}")),
    ] {
        let _ = writeln!(text, "server {{ listen 127.0.0.1:{port}; server_name {host}.test; {answer} }}");
    }
    for (host, certificate) in [("good", "good"), ("expired", "expired"), ("wrong", "good")] {
        let _ = writeln!(
            text,
            "server {{ listen 127.0.0.1:{tls_port} ssl http2; server_name {host}.test; ssl_certificate {certificate}.pem;
            ssl_certificate_key {certificate}.key; return 200 Create; }}"
        );
    }
    text + "}\n"
}

/// Writes a key and a certificate for each name; gives the certificate of who signed them.
fn write_certificates(folder: &Path) -> String {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(DnType::CommonName, "Test Authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    for name in ["good", "expired"] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([format!("{name}.test")]).unwrap();
        if name == "expired" {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    authority.pem()
}

const NGINX: &str = "/usr/sbin/nginx";
