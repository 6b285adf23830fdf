//! The `http` probe: one request as a user's browser or client would make it, timed phase by phase and judged.
//!
//! This file is the settings. It does not run scripts, load sub-resources or keep cookies: that is `browser` and `steps`.

pub mod client;
pub mod decode;
pub mod document;
pub mod exchange;
pub mod judge;
pub mod kind;
pub mod request;
pub mod rules;
pub mod run;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hyper::Method as HttpMethod;
use hyper::header::{HeaderName as HttpHeaderName, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use url::Url;

use self::rules::Rules;
use super::ProbeType;
use super::attempt::Prober;
use super::net::settings::{Resolve, Tls};
use super::net::shared::Shared;
use crate::base::bounded::printable;
use crate::base::json::Json;
use crate::base::many::Many;
use crate::base::secret::{Secret, Text};
use crate::base::size::ByteSize;
use crate::model::measure::Kind;

/// One HTTP request, redirects followed, judged by what a user would notice.
///
/// Every attempt opens a fresh connection unless `reuse_connection` is set, so that name lookup, TCP and TLS are part of
/// what is measured.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where the request goes.
    pub url: HttpUrl,
    /// The request method.
    #[serde(default)]
    pub method: Method,
    /// Request headers. A value may be a list, to send a header several times.
    #[serde(default)]
    pub headers: Headers,
    /// The request body as it stands. At most one of `body`, `json` and `form`.
    pub body: Option<Text>,
    /// The request body as JSON; sets `content-type: application/json` unless a header says otherwise.
    pub json: Option<Json>,
    /// The request body as a web form; sets `content-type: application/x-www-form-urlencoded`.
    pub form: Option<BTreeMap<String, Text>>,
    /// Credentials. Dropped when a redirect leads to another scheme, host or port, except from http to https on the usual
    /// ports.
    pub auth: Option<Auth>,
    /// How the name becomes an address.
    #[serde(default)]
    pub resolve: Resolve,
    /// How TLS is spoken and the certificate checked.
    #[serde(default)]
    pub tls: Tls,
    /// The protocol version to speak.
    #[serde(default)]
    pub version: Version,
    /// How many redirects to follow. With 0 the redirect itself is judged.
    #[serde(default = "Http::default_max_redirects")]
    #[schemars(range(max = 50))]
    pub max_redirects: u8,
    /// Keeps the connection for the next attempt. The phases of a reused connection are absent from the result.
    #[serde(default)]
    pub reuse_connection: bool,
    /// The most bytes of body to accept, both as sent and after decompression. More fails as `body_too_large`.
    #[serde(default = "Http::default_max_body")]
    pub max_body: ByteSize,
    /// What must hold, or the attempt failed. `status` is `2xx` unless given.
    #[serde(default)]
    pub expect: Rules,
    /// What should hold, or the attempt is degraded.
    #[serde(default)]
    pub warn: Rules,
}

impl Http {
    const fn default_max_redirects() -> u8 {
        10
    }

    const fn default_max_body() -> ByteSize {
        ByteSize(3 << 20)
    }
}

impl ProbeType for Http {
    fn kind() -> &'static Kind {
        &kind::KIND
    }

    fn conflicts(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let bodies = [self.body.is_some(), self.json.is_some(), self.form.is_some()];
        if bodies.into_iter().filter(|given| *given).count() > 1 {
            found.push(("", "at most one of `body`, `json` and `form` may be given".to_owned()));
        }
        found.extend(self.tls.conflict().map(|message| ("tls", message)));
        if let Some(pin) = self.resolve.pin.filter(|pin| !self.resolve.family.admits(&pin.0)) {
            found.push(("resolve", format!("`pin` {} is not of the family that `family` asks for", pin.0)));
        }
        found.extend(self.expect.conflicts().map(|message| ("expect", message)));
        found.extend(self.warn.conflicts().map(|message| ("warn", message)));
        found
    }

    fn host(&self) -> Option<String> {
        let url = self.url.url();
        Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
    }

    fn prober(self: &Arc<Self>, shared: &Arc<Shared>) -> Arc<dyn Prober> {
        Arc::new(run::HttpProber::new(Arc::clone(self), shared))
    }
}

/// An absolute `http://` or `https://` address.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    text: Text,
    url: Box<Url>,
}

impl HttpUrl {
    /// The parsed address. Its query may hold secrets: never print it; print [`HttpUrl`] itself.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The address as it may be shown.
    #[must_use]
    pub fn text(&self) -> &Text {
        &self.text
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(out)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, out)
    }
}

impl<'de> Deserialize<'de> for HttpUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let fail = |message: &str| Err(de::Error::custom(message));
        let url = match Url::parse(text.expose()) {
            Ok(url) => url,
            Err(url::ParseError::RelativeUrlWithoutBase) => {
                return fail("expected an absolute address such as `https://example.org/`; the `https://` is missing");
            }
            Err(error) => return fail(&format!("not an address: {error}")),
        };
        if !matches!(url.scheme(), "http" | "https") {
            return fail("expected an address that starts with http:// or https://");
        }
        if url.host_str().is_none_or(str::is_empty) {
            return fail("the address names no host");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return fail("credentials do not belong in the address, where they would be shown; use `auth: {basic: …}`");
        }
        Ok(Self { text, url: Box::new(url) })
    }
}

impl JsonSchema for HttpUrl {
    fn schema_name() -> Cow<'static, str> {
        "HttpUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An absolute address that starts with `http://` or `https://`.",
            "pattern": r"^(https?://|\$\{)",
            "examples": ["https://example.org/"],
        })
    }
}

/// An HTTP request method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method(pub HttpMethod);

impl Default for Method {
    fn default() -> Self {
        Self(HttpMethod::GET)
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let known = METHODS.iter().find(|known| known.as_str() == text);
        known.cloned().map(Self).ok_or_else(|| {
            let upper = text.to_ascii_uppercase();
            let hint = if METHODS.iter().any(|known| known.as_str() == upper) {
                format!("; write `{upper}`")
            } else {
                String::new()
            };
            let shown = printable(&text, 20);
            de::Error::custom(format!(
                "unknown method `{shown}`{hint}; use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"
            ))
        })
    }
}

impl JsonSchema for Method {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Method".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = METHODS.iter().map(HttpMethod::as_str).collect();
        json_schema!({"type": "string", "enum": names})
    }
}

impl serde::Serialize for Method {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

const METHODS: [HttpMethod; 7] = [
    HttpMethod::GET,
    HttpMethod::HEAD,
    HttpMethod::POST,
    HttpMethod::PUT,
    HttpMethod::PATCH,
    HttpMethod::DELETE,
    HttpMethod::OPTIONS,
];

/// Which HTTP version to speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// What the peer prefers, as a browser does: HTTP/2 over TLS where it is offered, else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; over `http://` with prior knowledge.
    Http2,
}

/// Credentials for a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    /// `Authorization: Basic …` (RFC 7617).
    Basic(Basic),
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer(Secret),
}

/// A user name and a password.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user name; without a colon.
    pub username: Text,
    /// The password.
    #[serde(default = "Basic::no_password")]
    pub password: Secret,
}

impl Basic {
    fn no_password() -> Secret {
        Secret::new("")
    }
}

/// Request headers in the order they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Box<[(HttpHeaderName, Text)]>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadersVisitor)
    }
}

impl JsonSchema for Headers {
    fn schema_name() -> Cow<'static, str> {
        "Headers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<Many<Text>>();
        json_schema!({
            "type": "object",
            "description": "Header names with their values.",
            "additionalProperties": values,
        })
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("header names with their values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut headers = Vec::new();
        while let Some(HeaderKey(name)) = map.next_key()? {
            for HeaderText(value) in map.next_value::<Many<HeaderText>>()?.iter() {
                headers.push((name.clone(), value.clone()));
            }
        }
        Ok(Headers(headers.into()))
    }
}

/// A header's value: a text without control characters.
#[derive(Clone)]
struct HeaderText(Text);

impl<'de> Deserialize<'de> for HeaderText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        match HeaderValue::from_str(text.expose()) {
            Ok(_) => Ok(Self(text)),
            Err(_) => {
                Err(de::Error::custom("a header value may not hold line ends, control characters or non-ASCII text"))
            }
        }
    }
}

/// A header's name, in any case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HeaderKey(pub HttpHeaderName);

impl fmt::Debug for HeaderKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.as_str(), out)
    }
}

impl PartialOrd for HeaderKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HeaderKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

impl<'de> Deserialize<'de> for HeaderKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        HttpHeaderName::from_bytes(text.as_bytes()).map(Self).map_err(|_| {
            let shown = printable(&text, 40);
            de::Error::custom(format!(
                "`{shown}` is not a header name; use letters, digits and `-`, such as `content-type`"
            ))
        })
    }
}

impl JsonSchema for HeaderKey {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "HeaderName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}
