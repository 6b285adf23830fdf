//! The timed network phases that probe types share: resolve, connect, tls; and the tables of what they learn.
//!
//! Each phase is entered on the attempt's timeline before it starts, so that a deadline knows which one it hit. Nothing
//! here speaks a protocol above TLS.

pub mod certificate;
pub mod dial;
pub mod resolve;
pub mod settings;
pub mod shared;
pub mod stream;
pub mod tls;

use crate::model::measure::{Fact, Info, Measure, Metric, Series, Source};

/// Looking up the name.
pub const RESOLVE: &str = "resolve";
/// Opening the TCP connection.
pub const CONNECT: &str = "connect";
/// The TLS handshake, with the check of the certificate.
pub const TLS: &str = "tls";

/// Key of the measure of the IP version used.
pub const IP_PROTOCOL: &str = "ip_protocol";
/// Key of the measure of the address's hash.
pub const IP_HASH: &str = "ip_addr_hash";
/// Key of the measure of the earliest expiry among the presented certificates.
pub const CERTIFICATE_EXPIRY: &str = "certificate_expiry";
/// Key of the fact of the peer's address.
pub const REMOTE: &str = "remote";
/// Key of the fact of the TLS version.
pub const TLS_VERSION: &str = "tls_version";
/// Key of the fact of the cipher suite.
pub const TLS_CIPHER: &str = "tls_cipher";
/// Key of the fact of what is wrong with the certificate.
pub const CERTIFICATE_PROBLEM: &str = "certificate_problem";
/// Key of the fact of the leaf certificate's subject.
pub const CERTIFICATE_SUBJECT: &str = "certificate_subject";
/// Key of the fact of the leaf certificate's issuer.
pub const CERTIFICATE_ISSUER: &str = "certificate_issuer";
/// Key of the fact of the leaf certificate's names.
pub const CERTIFICATE_NAMES: &str = "certificate_names";
/// Key of the fact of the leaf certificate's serial number.
pub const CERTIFICATE_SERIAL: &str = "certificate_serial";
/// Key of the fact of the leaf certificate's fingerprint.
pub const CERTIFICATE_FINGERPRINT: &str = "certificate_fingerprint";
/// Key of the fact of when the leaf certificate expires.
pub const CERTIFICATE_NOT_AFTER: &str = "certificate_not_after";

/// What is known of the peer's address, which the next connection makes stale.
pub const ADDRESS_KEYS: &[&str] = &[IP_PROTOCOL, IP_HASH, REMOTE];

/// Everything about a TLS session and its certificate, which a redirect to another connection makes stale.
pub const TLS_KEYS: &[&str] = &[
    CERTIFICATE_EXPIRY,
    TLS_VERSION,
    TLS_CIPHER,
    CERTIFICATE_PROBLEM,
    CERTIFICATE_SUBJECT,
    CERTIFICATE_ISSUER,
    CERTIFICATE_NAMES,
    CERTIFICATE_SERIAL,
    CERTIFICATE_FINGERPRINT,
    CERTIFICATE_NOT_AFTER,
];

/// The measures of name lookup and address.
pub const ADDRESS_MEASURES: [Measure; 2] = [
    Measure::number(IP_PROTOCOL, "4 or 6: the IP version used."),
    Measure::number(IP_HASH, "FNV-1a (32 bits) of the peer's address, to see it change."),
];

/// The measure of the certificate.
pub const CERTIFICATE_MEASURE: Measure =
    Measure::moment(CERTIFICATE_EXPIRY, "When the first of the presented certificates expires, in Unix seconds.");

/// The facts of the connection and, over TLS, its session and certificate.
pub const CONNECTION_FACTS: [Fact; 10] = [
    Fact { key: REMOTE, about: "The peer's address and port." },
    Fact { key: TLS_VERSION, about: "The TLS version, such as `TLS 1.3`." },
    Fact { key: TLS_CIPHER, about: "The cipher suite's IANA name." },
    Fact {
        key: CERTIFICATE_PROBLEM,
        about: "What is wrong with the certificate: `expired`, `not_yet_valid`, `wrong_host`, `self_signed`, \
                `unknown_issuer`, `revoked` or `invalid`.",
    },
    Fact { key: CERTIFICATE_SUBJECT, about: "The leaf certificate's subject." },
    Fact { key: CERTIFICATE_ISSUER, about: "The leaf certificate's issuer." },
    Fact { key: CERTIFICATE_NAMES, about: "The leaf certificate's subject alternative names, joined by commas." },
    Fact { key: CERTIFICATE_SERIAL, about: "The leaf certificate's serial number in hexadecimal." },
    Fact { key: CERTIFICATE_FINGERPRINT, about: "SHA-256 of the leaf certificate in hexadecimal." },
    Fact { key: CERTIFICATE_NOT_AFTER, about: "When the leaf certificate expires (RFC 3339)." },
];

/// The series of name lookup and address.
pub const ADDRESS_SERIES: [Series; 3] = [
    Series { metric: &DNS_LOOKUP_TIME, label: None, from: Source::Phase(RESOLVE) },
    Series::measured(&IP_PROTOCOL_METRIC, IP_PROTOCOL),
    Series::measured(&IP_HASH_METRIC, IP_HASH),
];

/// The series of the certificate.
pub const CERTIFICATE_SERIES: Series = Series::measured(&EARLIEST_EXPIRY, CERTIFICATE_EXPIRY);

/// The info metrics of a TLS session and its certificate.
pub const TLS_INFOS: [Info; 4] = [
    Info { metric: &TLS_VERSION_METRIC, labels: &[("version", TLS_VERSION)] },
    Info { metric: &TLS_CIPHER_METRIC, labels: &[("cipher", TLS_CIPHER)] },
    Info {
        metric: &CHAIN_METRIC,
        labels: &[
            ("fingerprint_sha256", CERTIFICATE_FINGERPRINT),
            ("subject", CERTIFICATE_SUBJECT),
            ("issuer", CERTIFICATE_ISSUER),
            ("subjectalternative", CERTIFICATE_NAMES),
            ("serialnumber", CERTIFICATE_SERIAL),
        ],
    },
    Info { metric: &PROBLEM_METRIC, labels: &[("problem", CERTIFICATE_PROBLEM)] },
];

static DNS_LOOKUP_TIME: Metric =
    Metric::gauge("probe_dns_lookup_time_seconds", "Time taken for looking up names, summed over redirects.");
static IP_PROTOCOL_METRIC: Metric = Metric::gauge("probe_ip_protocol", "IP version used: 4 or 6.");
static IP_HASH_METRIC: Metric =
    Metric::gauge("probe_ip_addr_hash", "Hash (FNV-1a, 32 bits) of the peer's IP address, to detect that it changed.");
static EARLIEST_EXPIRY: Metric = Metric::gauge(
    "probe_ssl_earliest_cert_expiry",
    "When the first of the certificates that the peer presented expires, in Unix seconds, whether or not they verify.",
);
static TLS_VERSION_METRIC: Metric = Metric::gauge("probe_tls_version_info", "The TLS version used.");
static TLS_CIPHER_METRIC: Metric = Metric::gauge("probe_tls_cipher_info", "The TLS cipher suite used.");
static CHAIN_METRIC: Metric =
    Metric::gauge("probe_ssl_last_chain_info", "The leaf certificate that the peer presented.");
static PROBLEM_METRIC: Metric = Metric::gauge(
    "forewarn_probe_certificate_problem_info",
    "What is wrong with the certificate that the peer presented.",
);
