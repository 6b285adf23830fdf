//! The TLS handshake, in which the certificate's facts are kept even when it does not check out.
//!
//! rustls verifies; this file only postpones what happens then. A certificate that fails is refused after the handshake
//! and before a byte of the request, so that version, cipher and certificate are known. With a client certificate it is
//! refused within the handshake, so that an impostor never sees ours.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, InvalidMessage, ProtocolVersion,
    RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::certificate::{Chain, Chains, Problem};
use super::dial::broken;
use super::settings::{Tls, TlsVersion};
use super::{TLS, TLS_CIPHER, TLS_VERSION};
use crate::base::bounded::printable;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::timeline::Timeline;

/// Makes TLS handshakes by one set of settings. Shared by all probes with the same settings.
pub struct TlsClient {
    config: ClientConfig,
    verifier: Arc<WebPkiServerVerifier>,
    verify: bool,
    mutual: bool,
    server_name: Option<ServerName<'static>>,
    /// The certificates of `tls.ca`.
    own: Arc<[CertificateDer<'static>]>,
    chains: Arc<Chains>,
}

impl TlsClient {
    /// A client that trusts `roots` unless the settings name a CA, and offers these application protocols.
    ///
    /// # Errors
    /// A [`Failure`] of reason `config` that says what is wrong with the CA, the client certificate or its key.
    pub fn new(
        settings: &Tls,
        alpn: &[&[u8]],
        roots: &Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
        chains: Arc<Chains>,
    ) -> Result<Self, Failure> {
        let roots = own_roots(settings)?.map_or_else(|| Arc::clone(roots), Arc::new);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
            .build()
            .map_err(|error| wrong("tls.ca", &error))?;
        let versions: &[&rustls::SupportedProtocolVersion] = match settings.min_version {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)
            .map_err(|error| wrong("tls", &error))?
            .with_webpki_verifier(Arc::clone(&verifier));
        let identity = settings.cert.as_ref().zip(settings.key.as_ref().and_then(super::settings::PrivateKey::der));
        let mutual = identity.is_some();
        let mut config = match identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.0.clone(), key)
                .map_err(|error| wrong("tls.cert and tls.key", &error))?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        // A resumed session skips the certificate, and with it half of what is measured.
        config.resumption = Resumption::disabled();
        let server_name = settings.server_name.as_ref().map(|name| name.0.clone());
        let own = settings.ca.as_ref().map(|ca| ca.0.as_slice().into()).unwrap_or_default();
        Ok(Self { config, verifier, verify: settings.verify, mutual, server_name, own, chains })
    }

    /// Shakes hands as `name` (or the configured server name where `overridden`), and notes what the peer showed.
    ///
    /// `now` is Unix seconds, for saying how long ago a certificate expired.
    ///
    /// # Errors
    /// A [`Failure`] of reason `tls`, or `network` when the connection broke.
    pub async fn handshake(
        &self,
        tcp: TcpStream,
        name: ServerName<'static>,
        overridden: bool,
        now: i64,
        timeline: &mut Timeline,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        timeline.enter(TLS);
        let name = self.server_name.clone().filter(|_| overridden).unwrap_or(name);
        let recorder = Arc::new(Recorder {
            inner: Arc::clone(&self.verifier),
            own: Arc::clone(&self.own),
            chains: Arc::clone(&self.chains),
            strict: self.verify && self.mutual,
            seen: Mutex::default(),
        });
        let mut config = self.config.clone();
        let verifier: Arc<dyn ServerCertVerifier> = Arc::clone(&recorder) as _;
        config.dangerous().set_certificate_verifier(verifier);
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
        let problem = recorder.tell(now, timeline);
        let stream = shaken.map_err(|error| handshake_failure(&error, problem.as_ref()))?;
        let session = stream.get_ref().1;
        let version = session.protocol_version().map_or("unknown", version_name);
        let cipher = session.negotiated_cipher_suite().map(|suite| cipher_name(suite.suite()));
        timeline.fact(TLS_VERSION, version);
        if let Some(cipher) = &cipher {
            timeline.fact(TLS_CIPHER, cipher);
        }
        timeline.leave(format!("{version} {}", cipher.as_deref().unwrap_or_default()));
        match problem {
            Some(problem) if self.verify => Err(Failure::new(Reason::Tls, problem.detail)),
            _ => Ok(stream),
        }
    }
}

/// What the peer presented, and what rustls thinks of it.
#[derive(Debug)]
struct Seen {
    chain: Option<Arc<Chain>>,
    verdict: Result<(), rustls::Error>,
}

/// Lets rustls verify, keeps the verdict, and, unless strict, lets the handshake go on.
#[derive(Debug)]
struct Recorder {
    inner: Arc<WebPkiServerVerifier>,
    own: Arc<[CertificateDer<'static>]>,
    chains: Arc<Chains>,
    strict: bool,
    seen: Mutex<Option<Seen>>,
}

impl Recorder {
    /// Puts what was seen on the timeline, and gives back what is wrong with it. `now` is Unix seconds.
    fn tell(&self, now: i64, timeline: &mut Timeline) -> Option<Problem> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        if let Some(chain) = &seen.chain {
            chain.record(timeline);
        }
        let problem = Problem::explain(seen.verdict.as_ref().err()?, seen.chain.as_deref(), now);
        problem.record(timeline);
        Some(problem)
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let chain = self.chains.read(end_entity, intermediates);
        let verdict = match verdict {
            Ok(_) => Ok(()),
            // rustls takes no CA certificate as a server's own, yet that is what `openssl req -x509` makes.
            Err(_) if self.own.contains(end_entity) => verify_itself(end_entity, chain.as_deref(), server_name, now),
            Err(error) => Err(error),
        };
        let answer = if self.strict { verdict.clone() } else { Ok(()) };
        let seen = Seen { chain, verdict };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        answer.map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Checks a certificate that is trusted as it stands: for this name, and now.
fn verify_itself(
    certificate: &CertificateDer<'_>,
    chain: Option<&Chain>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let chain = chain.ok_or(CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < chain.not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > chain.not_after {
        return Err(CertificateError::Expired.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
}

/// The name that a certificate of `host` is checked against.
///
/// # Errors
/// A [`Failure`] of reason `tls` for a name that no certificate can have.
pub fn certificate_name(host: &Host<&str>) -> Result<ServerName<'static>, Failure> {
    match host {
        Host::Domain(name) => ServerName::try_from((*name).to_owned()).map_err(|_| {
            Failure::new(Reason::Tls, format!("`{}` cannot be a certificate's name", printable(name, 253)))
        }),
        Host::Ipv4(address) => Ok(IpAddr::V4(*address).into()),
        Host::Ipv6(address) => Ok(IpAddr::V6(*address).into()),
    }
}

fn own_roots(settings: &Tls) -> Result<Option<RootCertStore>, Failure> {
    let Some(ca) = &settings.ca else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in &ca.0 {
        roots.add(certificate.clone()).map_err(|error| wrong("tls.ca", &error))?;
    }
    Ok(Some(roots))
}

fn wrong(key: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Reason::Config, format!("{key} cannot be used: {}", printable(&error.to_string(), 200)))
}

fn handshake_failure(error: &io::Error, problem: Option<&Problem>) -> Failure {
    match (refusal(error), problem) {
        (Some(rustls::Error::InvalidCertificate(_)), Some(problem)) => {
            Failure::new(Reason::Tls, problem.detail.clone())
        }
        (Some(error), _) => tls_failure("TLS handshake", error),
        (None, _) => broken("TLS handshake", error),
    }
}

/// What rustls says is wrong, where an I/O error of a TLS stream comes from it.
#[must_use]
pub fn refusal(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// What a TLS error says that came up while `doing` something.
#[must_use]
pub fn tls_failure(doing: &str, error: &rustls::Error) -> Failure {
    let detail = match error {
        rustls::Error::AlertReceived(alert) => format!("the peer refused with the alert {}", alert_text(*alert)),
        rustls::Error::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
        ) => "the peer's certificates are larger than TLS clients accept (64KiB)".to_owned(),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the peer does not speak TLS on this port".to_owned()
        }
        rustls::Error::PeerIncompatible(why) => format!("no TLS version or cipher in common: {why:?}"),
        rustls::Error::NoApplicationProtocol => "the peer speaks none of the protocols that were offered".to_owned(),
        rustls::Error::DecryptError => "the peer's data cannot be decrypted".to_owned(),
        error => printable(&error.to_string(), 200),
    };
    Failure::new(Reason::Tls, format!("{doing}: {detail}"))
}

/// The alert as RFC 8446 §6 names it, with what to do where that is known.
fn alert_text(alert: AlertDescription) -> String {
    let name = alert.as_str().map_or_else(|| format!("{alert:?}"), snake_case);
    let hint = match alert {
        AlertDescription::CertificateRequired => ": it wants a client certificate; give tls.cert and tls.key",
        AlertDescription::UnrecognisedName => ": it knows no host of this name",
        AlertDescription::NoApplicationProtocol => ": it speaks none of the HTTP versions that were offered",
        AlertDescription::ProtocolVersion => ": no TLS version in common",
        AlertDescription::HandshakeFailure => ": no cipher in common, or it wants a client certificate",
        _ => "",
    };
    format!("{name}{hint}")
}

/// `CertificateRequired` as `certificate_required`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Names as `blackbox_exporter` (Go's crypto/tls) prints them.
const fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLS 1.2",
        ProtocolVersion::TLSv1_3 => "TLS 1.3",
        _ => "unknown",
    }
}

/// The IANA name: rustls writes `TLS13_…` where the registry has `TLS_…`.
fn cipher_name(suite: rustls::CipherSuite) -> String {
    suite.as_str().map_or_else(|| format!("{suite:?}"), |name| name.replacen("TLS13_", "TLS_", 1))
}
