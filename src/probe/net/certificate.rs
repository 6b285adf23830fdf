//! What a presented certificate chain says, and what is wrong with it.
//!
//! Reads certificates that may be hostile: every text is bounded, nothing is trusted. Verifying is rustls' work.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{
    CERTIFICATE_EXPIRY, CERTIFICATE_FINGERPRINT, CERTIFICATE_ISSUER, CERTIFICATE_NAMES, CERTIFICATE_NOT_AFTER,
    CERTIFICATE_PROBLEM, CERTIFICATE_SERIAL, CERTIFICATE_SUBJECT,
};
use crate::base::bounded::printable;
use crate::base::clock::Timestamp;
use crate::base::duration::shown;
use crate::base::hash::hexadecimal;
use crate::probe::timeline::Timeline;

/// What a presented chain says.
#[derive(Debug, PartialEq)]
pub struct Chain {
    /// When the first of the certificates expires, in Unix seconds; the leaf alone is read if the rest is malformed.
    pub earliest_expiry: i64,
    /// The leaf's first second of validity, in Unix seconds.
    pub not_before: i64,
    /// The leaf's last second of validity, in Unix seconds.
    pub not_after: i64,
    /// True when the leaf names itself as its issuer.
    pub self_issued: bool,
    subject: String,
    issuer: String,
    names: String,
    serial: String,
    fingerprint: String,
}

impl Chain {
    /// Reads a chain. `None` when the leaf is no X.509 certificate.
    #[must_use]
    pub fn read(leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
        let not_after = parsed.validity().not_after.timestamp();
        let others = rest.iter().take(MAX_CHAIN).filter_map(|der| X509Certificate::from_der(der).ok());
        let earliest_expiry = others.map(|(_, other)| other.validity().not_after.timestamp()).fold(not_after, i64::min);
        Some(Self {
            earliest_expiry,
            not_before: parsed.validity().not_before.timestamp(),
            not_after,
            self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            subject: printable(&parsed.subject().to_string(), MAX_NAME),
            issuer: printable(&parsed.issuer().to_string(), MAX_NAME),
            names: names(&parsed),
            serial: hexadecimal(parsed.raw_serial().get(..MAX_SERIAL).unwrap_or(parsed.raw_serial())),
            fingerprint: hexadecimal(&Sha256::digest(leaf)),
        })
    }

    /// Puts what the chain says on the timeline.
    pub fn record(&self, timeline: &mut Timeline) {
        #[expect(clippy::cast_precision_loss, reason = "seconds stay exact below 2^53")]
        timeline.measure(CERTIFICATE_EXPIRY, self.earliest_expiry as f64);
        timeline.fact(CERTIFICATE_SUBJECT, &self.subject);
        timeline.fact(CERTIFICATE_ISSUER, &self.issuer);
        timeline.fact(CERTIFICATE_NAMES, &self.names);
        timeline.fact(CERTIFICATE_SERIAL, &self.serial);
        timeline.fact(CERTIFICATE_FINGERPRINT, &self.fingerprint);
        timeline.fact(CERTIFICATE_NOT_AFTER, &date(self.not_after));
    }
}

/// Chains that were read before, by their hash: reading one costs as much as a small request.
#[derive(Debug, Default)]
pub struct Chains(Mutex<HashMap<[u8; 32], Option<Arc<Chain>>>>);

impl Chains {
    /// What a chain says, read at most once while it is remembered.
    pub fn read(&self, leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Option<Arc<Chain>> {
        let mut hash = Sha256::new();
        for der in std::iter::once(leaf).chain(rest) {
            hash.update(der.len().to_le_bytes());
            hash.update(der);
        }
        let key: [u8; 32] = hash.finalize().into();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = known.get(&key) {
            return read.clone();
        }
        // A peer that shows a new certificate each time must not fill the memory.
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        let read = Chain::read(leaf, rest).map(Arc::new);
        known.insert(key, read.clone());
        read
    }
}

/// What is wrong with a certificate, as a word for metrics and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One of the words that [`CERTIFICATE_PROBLEM`] lists.
    pub word: &'static str,
    /// What to tell a person.
    pub detail: String,
}

impl Problem {
    /// Explains rustls' verdict with what the chain says. `now` is Unix seconds.
    #[must_use]
    pub fn explain(error: &rustls::Error, chain: Option<&Chain>, now: i64) -> Self {
        let say = |word, detail| Self { word, detail };
        let rustls::Error::InvalidCertificate(error) = error else {
            return say("invalid", printable(&error.to_string(), 200));
        };
        match (error, chain) {
            (CertificateError::Expired | CertificateError::ExpiredContext { .. }, Some(chain)) => {
                say("expired", expired(chain, now))
            }
            (CertificateError::Expired | CertificateError::ExpiredContext { .. }, None) => {
                say("expired", "the certificate has expired".to_owned())
            }
            (CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }, chain) => {
                let from = chain.map(|chain| format!(" before {}", date(chain.not_before))).unwrap_or_default();
                say("not_yet_valid", format!("the certificate is not valid{from}; check this machine's clock too"))
            }
            (CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }, chain) => {
                let names = chain.map_or("other names", |chain| chain.names.as_str());
                let names = if names.is_empty() { "no name at all" } else { names };
                say("wrong_host", format!("the certificate is for {}, not for this host", printable(names, 120)))
            }
            (CertificateError::Revoked, _) => say("revoked", "the certificate was revoked".to_owned()),
            (_, Some(chain)) if chain.self_issued => {
                say("self_signed", format!("the certificate is self-signed by {}", printable(&chain.issuer, 120)))
            }
            (CertificateError::UnknownIssuer, chain) => {
                let issuer = chain.map_or("nobody known", |chain| chain.issuer.as_str());
                let issuer = printable(issuer, 120);
                say(
                    "unknown_issuer",
                    format!("the certificate's issuer is not trusted: {issuer}; a missing intermediate looks the same"),
                )
            }
            (other, _) => {
                say("invalid", format!("the certificate is not valid: {}", printable(&format!("{other:?}"), 160)))
            }
        }
    }

    /// Puts the problem on the timeline.
    pub fn record(&self, timeline: &mut Timeline) {
        timeline.fact(CERTIFICATE_PROBLEM, self.word);
    }
}

fn expired(chain: &Chain, now: i64) -> String {
    let whose = if chain.not_after < now { "the certificate" } else { "a certificate of the chain" };
    let ago = u64::try_from(now.saturating_sub(chain.earliest_expiry)).unwrap_or(0);
    let ago =
        if ago >= 172_800 { format!("{} days", ago / 86_400) } else { shown(std::time::Duration::from_secs(ago)) };
    format!("{whose} expired {ago} ago, on {}", date(chain.earliest_expiry))
}

/// RFC 3339, or the number where a certificate claims a year beyond 9999.
fn date(unix_seconds: i64) -> String {
    Timestamp::from_second(unix_seconds).map_or_else(|_| unix_seconds.to_string(), |at| at.to_string())
}

fn names(certificate: &X509Certificate<'_>) -> String {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return String::new() };
    let mut out = String::new();
    for name in &extension.value.general_names {
        let text = match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => ip(bytes),
            _ => continue,
        };
        if out.len() + text.len() > MAX_NAME {
            out.push('…');
            break;
        }
        let comma = if out.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(out, "{comma}{}", printable(&text, 253));
    }
    out
}

fn ip(bytes: &[u8]) -> String {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return std::net::Ipv4Addr::from(v4).to_string();
    }
    <[u8; 16]>::try_from(bytes).map_or_else(|_| hexadecimal(bytes), |v6| std::net::Ipv6Addr::from(v6).to_string())
}

const MAX_CHAIN: usize = 16;
const MAX_NAME: usize = 250;
const MAX_SERIAL: usize = 32;
const MAX_KNOWN: usize = 1024;
