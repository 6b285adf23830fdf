//! What users may say about names, addresses and TLS.
//!
//! Plain values with their checks. Key and certificate texts come in through `${file:…}`, so no probe opens a file.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::base::many::Many;
use crate::base::secret::Secret;

/// How the target's name becomes an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// Who answers: `dns` asks the servers of `/etc/resolv.conf` (or those in `server`) afresh each time and reads
    /// `/etc/hosts`; `system` asks the C library, with whatever it caches.
    #[serde(default)]
    pub via: Via,
    /// DNS servers to ask instead of the system's, as `address` or `address:port`. `/etc/hosts` is then left aside.
    #[serde(default)]
    pub server: Many<DnsServer>,
    /// Which address family to use.
    #[serde(default)]
    pub family: Family,
    /// Connects to this address and looks nothing up; the name still goes into the request and the TLS check
    /// (like `curl --resolve`).
    pub pin: Option<IpAddress>,
}

/// Who answers a name lookup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// DNS, without a cache.
    #[default]
    Dns,
    /// The C library.
    System,
}

/// Which address family to use. One address is tried, never a second in secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv6 if the name has such an address and this machine a route to it, else IPv4; for `localhost`, IPv4.
    #[default]
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

impl Family {
    /// True when `address` is of this family.
    #[must_use]
    pub const fn admits(self, address: &IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

/// A DNS server's address; the port is 53 unless given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DnsServer(pub SocketAddr);

/// An IP address as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpAddress(pub IpAddr);

impl<'de> Deserialize<'de> for DnsServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let with_port = || text.parse::<SocketAddr>();
        let without = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
        with_port().or_else(|_| without()).map(Self).map_err(|_| {
            de::Error::custom(
                "expected a DNS server's address such as `1.1.1.1`, `1.1.1.1:53` or `[2606:4700::1111]:53`",
            )
        })
    }
}

impl JsonSchema for DnsServer {
    fn schema_name() -> Cow<'static, str> {
        "DnsServer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A DNS server's IP address, with a port unless it is 53.",
            "examples": ["1.1.1.1", "[2606:4700::1111]:53"],
        })
    }
}

impl<'de> Deserialize<'de> for IpAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|_| de::Error::custom("expected an IP address such as `203.0.113.7` or `2001:db8::7`"))
    }
}

impl JsonSchema for IpAddress {
    fn schema_name() -> Cow<'static, str> {
        "IpAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "An IPv4 or IPv6 address.", "examples": ["203.0.113.7"]})
    }
}

/// How TLS is spoken and the peer checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificates (PEM) to trust instead of the system's: `${file:ca.pem}`.
    pub ca: Option<Certificates>,
    /// Client certificate chain (PEM), for mutual TLS; needs `key`.
    pub cert: Option<Certificates>,
    /// Client private key (PEM), for mutual TLS; needs `cert`.
    pub key: Option<PrivateKey>,
    /// The name asked for (SNI) and checked, where it is not the URL's host.
    pub server_name: Option<ServerName>,
    /// Whether a certificate that does not check out fails the attempt. Its facts are recorded either way.
    pub verify: bool,
    /// The oldest version to speak.
    pub min_version: TlsVersion,
}

impl Tls {
    /// What is wrong with settings that are each fine alone.
    #[must_use]
    pub fn conflict(&self) -> Option<String> {
        let is_half = self.cert.is_some() != self.key.is_some();
        is_half.then(|| "`cert` and `key` belong together; give both or neither".to_owned())
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self { ca: None, cert: None, key: None, server_name: None, verify: true, min_version: TlsVersion::default() }
    }
}

/// A TLS version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    V1_3,
}

/// A DNS name or IP address that a certificate can be checked against.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerName(pub rustls::pki_types::ServerName<'static>);

impl<'de> Deserialize<'de> for ServerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        rustls::pki_types::ServerName::try_from(text)
            .map(Self)
            .map_err(|_| de::Error::custom("expected a DNS name or an IP address"))
    }
}

impl JsonSchema for ServerName {
    fn schema_name() -> Cow<'static, str> {
        "ServerName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "A DNS name or an IP address.", "examples": ["www.example.org"]})
    }
}

/// One or more certificates in PEM.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Certificates(pub Vec<CertificateDer<'static>>);

impl fmt::Debug for Certificates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} certificates", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Certificates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(Self(certificates)),
            _ => {
                Err(de::Error::custom("expected certificates in PEM; write `${file:ca.pem}` to read them from a file"))
            }
        }
    }
}

impl JsonSchema for Certificates {
    fn schema_name() -> Cow<'static, str> {
        "Certificates".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "Certificates in PEM.", "examples": ["${file:ca.pem}"]})
    }
}

/// A private key in PEM (PKCS#8, PKCS#1 or SEC1). Never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PrivateKey(Secret);

impl PrivateKey {
    /// The key in DER. `None` cannot happen, since reading it checked it.
    #[must_use]
    pub fn der(&self) -> Option<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_slice(self.0.expose().as_bytes()).ok()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl<'de> Deserialize<'de> for PrivateKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = Self(Secret::deserialize(deserializer)?);
        if key.der().is_some() {
            Ok(key)
        } else {
            Err(de::Error::custom("expected a private key in PEM; write `${file:client.key}` to read it from a file"))
        }
    }
}

impl JsonSchema for PrivateKey {
    fn schema_name() -> Cow<'static, str> {
        "PrivateKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "A private key in PEM.", "examples": ["${file:client.key}"]})
    }
}
