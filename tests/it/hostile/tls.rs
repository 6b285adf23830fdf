//! Peers that break TLS.

use forewarn::model::reason::Reason;
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;

use super::{Row, endless, harmless, row};
use crate::peers::authority::{Authority, Identity};
use crate::peers::tcp::{Act, ok, say};

/// Hears the greeting's first bytes, says this, hangs.
fn says(bytes: impl Into<Vec<u8>>) -> [Act; 3] {
    [Act::Take(5), say(bytes), Act::Hang]
}

/// A TLS record (RFC 8446 §5.1) of this type.
fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3], &u16::try_from(payload.len()).unwrap().to_be_bytes()[..], payload].concat()
}

pub(super) fn rows() -> Vec<Row> {
    let rows = broken().into_iter().chain(certificates());
    rows.map(Row::asked_securely).collect()
}

fn broken() -> Vec<Row> {
    use Reason::{Network, Tls};
    // A server hello that announces 16 MB, and fragments of it without end.
    let oversized = record(22, &[2, 0xff, 0xff, 0xff]);
    let alert = |code| record(21, &[2, code]);
    vec![
        row("HTTP on the TLS port", says("HTTP/1.1 400 Bad Request\r\n\r\n"), Tls, "does not speak TLS on this port"),
        row("SSH on the TLS port", [say("SSH-2.0-OpenSSH_9.2\r\n"), Act::Hang], Tls, "does not speak TLS on this port"),
        row("garbage", says([0xff; 64]), Tls, "does not speak TLS on this port"),
        row("endless garbage", [Act::Repeat(vec![0xff; 4096])], Tls, "does not speak TLS on this port"),
        row(
            "a hello of 16 MB",
            [Act::Take(5), say(oversized), Act::Repeat(record(22, &[0; 16_000]))],
            Tls,
            "TLS handshake:",
        ),
        row("a hello that is none", says(record(22, &[2, 0, 0, 4, 1, 2, 3, 4])), Tls, "TLS handshake:"),
        row("endless warnings", [Act::Take(5), Act::Repeat(record(21, &[1, 90]))], Tls, "TLS handshake:"),
        row("endless empty records", [Act::Take(5), Act::Repeat(record(22, &[]))], Tls, "TLS handshake:"),
        row("data before the handshake", says(record(23, b"HTTP/1.1 200 OK\r\n\r\n")), Tls, "TLS handshake:"),
        row("an alert", says(alert(40)), Tls, "the peer refused with the alert handshake_failure: no cipher in common"),
        row("an unknown name", says(alert(112)), Tls, "unrecognised_name: it knows no host of this name"),
        row("an alert that nobody knows", says(alert(200)), Tls, "the peer refused with the alert"),
        row("closing in the greeting", [Act::Take(5)], Network, "TLS handshake: the connection was closed by the peer"),
        row(
            "resetting in the greeting",
            [Act::Take(5), Act::Reset],
            Network,
            "TLS handshake: the connection was reset",
        ),
        endless(
            "a handshake, a byte at a time",
            [Act::Take(5), Act::Drip(vec![22, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xff])],
            "tls",
        ),
    ]
}

fn certificates() -> Vec<Row> {
    let root = Authority::new("root");
    let named = |count: usize| -> Identity {
        let names: Vec<_> = (0..count).map(|number| format!("host-{number:06}.pika.test")).collect();
        let names: Vec<_> = std::iter::once("localhost").chain(names.iter().map(String::as_str)).collect();
        root.issue_with(&names, &PKCS_ECDSA_P256_SHA256, |_| {})
    };
    let answering = [Act::Hear, say(ok("hello"))];
    let trusting = || json!({"tls": {"ca": root.pem()}});
    vec![
        harmless("a certificate of 60 kB", answering.clone()).with(trusting()).in_tls(named(2300).server(&[])),
        row("a certificate of 250 kB", answering, Reason::Tls, "larger than TLS clients accept (64KiB)")
            .with(trusting())
            .in_tls(named(10_000).server(&[])),
    ]
}
