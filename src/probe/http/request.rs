//! What is sent: the first request, and the one that a redirect turns it into.
//!
//! Credentials and bodies go to the origin that they were given for, or from http to https on the same host, and no
//! further.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap,
    HeaderName, HeaderValue, InvalidHeaderValue, PROXY_AUTHORIZATION, TRANSFER_ENCODING, USER_AGENT,
};
use hyper::{Method, Request, StatusCode};
use url::{Position, Url};

use super::decode::ACCEPTED;
use super::run::{Payload, without_query};
use super::{Auth, Http};
use crate::base::bounded::printable;
use crate::base::secret::{Scrubber, Text};
use crate::model::outcome::Failure;
use crate::model::reason::Reason;

/// What the settings ask to send, made ready once for all attempts.
pub struct Blueprint {
    method: Method,
    url: Url,
    /// The `host` header that the settings give in place of the address's own.
    host: Option<HeaderValue>,
    headers: Vec<Header>,
    authorization: Option<HeaderValue>,
    content: Option<Content>,
    close: bool,
}

/// What a [`Blueprint`] is put together from.
pub struct Parts {
    /// The request's method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// Headers in their order, each with whether it must stay away from other hosts. The first of a name replaces what
    /// is sent by default, further ones add to it.
    pub headers: Vec<(HeaderName, HeaderValue, bool)>,
    /// The body and its type.
    pub content: Option<(Bytes, Option<HeaderValue>)>,
    /// Whether the connection is not wanted any more after the answer.
    pub close: bool,
}

struct Header {
    name: HeaderName,
    value: HeaderValue,
    /// True if a header of this name stands before it in the settings.
    is_repeat: bool,
    is_private: bool,
}

struct Content {
    bytes: Bytes,
    kind: Option<HeaderValue>,
}

impl Blueprint {
    /// A request put together by the program. What is private among the headers does not follow a redirect elsewhere.
    #[must_use]
    pub fn of(parts: Parts) -> Self {
        let Parts { method, url, headers, content, close } = parts;
        let mut own: Vec<Header> = Vec::with_capacity(headers.len());
        for (name, value, is_private) in headers.into_iter().filter(|(name, ..)| !FRAMING.contains(name)) {
            let is_repeat = own.iter().any(|known| known.name == name);
            own.push(Header { name, value, is_repeat, is_private });
        }
        let content = content.map(|(bytes, kind)| Content { bytes, kind });
        Self { method, url, host: None, headers: own, authorization: None, content, close }
    }

    /// Sends `value` under `name` instead of whatever was sent there.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.retain(|header| header.name != name);
        self.headers.push(Header { name, value, is_repeat: false, is_private: false });
    }

    /// Makes ready what the settings ask for.
    ///
    /// # Errors
    /// A [`Failure`] of reason `config` for credentials that HTTP cannot carry.
    pub fn new(settings: &Http) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            let why = "holds a line end, a control character or non-ASCII text, which HTTP headers cannot carry";
            Failure::new(Reason::Config, format!("{what} {why}"))
        };
        let mut headers: Vec<Header> = Vec::new();
        let mut host = None;
        for (name, text) in &settings.headers.0 {
            if FRAMING.contains(name) {
                continue;
            }
            let mut value = HeaderValue::from_str(text.expose()).map_err(|_| wrong(&format!("header {name}")))?;
            value.set_sensitive(text.is_expanded());
            if name == HOST {
                host = Some(value);
                continue;
            }
            let is_repeat = headers.iter().any(|known| known.name == name);
            // All values of a name go the same way, or a default would stand where the settings replace it.
            let is_private = settings.headers.0.iter().any(|(known, text)| known == name && is_private(name, text));
            headers.push(Header { name: name.clone(), value, is_repeat, is_private });
        }
        let authorization = settings.auth.as_ref().map(authorization);
        Ok(Self {
            method: settings.method.0.clone(),
            url: settings.url.url().clone(),
            host,
            headers,
            authorization: authorization.transpose().map_err(|_| wrong("what `auth` gives"))?,
            content: content(settings),
            close: !settings.reuse_connection,
        })
    }
}

/// One request to be sent.
pub struct Order {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// True for the first request of an attempt.
    pub is_first: bool,
    /// How far redirects have led it from where the settings send it.
    place: Place,
    /// False once a redirect turned the request into a plain GET.
    has_body: bool,
}

/// How far a request has come from where the settings send it. Once further away, it never counts as nearer again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Where the settings say, or the same more safely: credentials and body may go there.
    Home,
    /// Another port or scheme of the same host: pin and server name still apply.
    SameHost,
    /// Another host.
    Elsewhere,
}

impl Order {
    /// True while it goes to the host that the settings name, so that pin and server name apply.
    #[must_use]
    pub fn is_same_host(&self) -> bool {
        self.place <= Place::SameHost
    }

    fn is_trusted(&self) -> bool {
        self.place == Place::Home
    }

    /// The request that the settings ask for.
    #[must_use]
    pub fn first(blueprint: &Blueprint) -> Self {
        Self {
            method: blueprint.method.clone(),
            url: blueprint.url.clone(),
            is_first: true,
            place: Place::Home,
            has_body: blueprint.content.is_some(),
        }
    }

    /// The request that a redirect turns this one into (RFC 9110 §15.4, as browsers do it).
    ///
    /// # Errors
    /// A [`Failure`] of reason `redirect` for an address that cannot or must not be followed.
    pub fn redirected(&self, status: StatusCode, location: &[u8]) -> Result<Self, Failure> {
        let url = target(&self.url, location).map_err(|detail| Failure::new(Reason::Redirect, detail))?;
        let to_get = match status.as_u16() {
            303 => self.method != Method::HEAD,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        let step = if url.origin() == self.url.origin() || is_upgrade(&self.url, &url) {
            Place::Home
        } else if url.host() == self.url.host() {
            Place::SameHost
        } else {
            Place::Elsewhere
        };
        let place = self.place.max(step);
        let has_body = self.has_body && !to_get;
        if has_body && place > Place::Home {
            let detail = format!("the redirect would send the request's body elsewhere, to {}", without_query(&url));
            return Err(Failure::new(Reason::Redirect, detail));
        }
        let method = if to_get { Method::GET } else { self.method.clone() };
        Ok(Self { method, url, is_first: false, place, has_body })
    }

    /// The request as hyper sends it.
    ///
    /// # Errors
    /// A [`Failure`] of reason `config`; reading the settings leaves no known way to get there.
    pub fn request(&self, blueprint: &Blueprint, http2: bool) -> Result<Request<Payload>, Failure> {
        let wrong = |what: String| Failure::new(Reason::Config, format!("the request cannot be made: {what}"));
        let own_host = blueprint.host.as_ref().filter(|_| self.is_trusted());
        let content = blueprint.content.as_ref().filter(|_| self.has_body);
        let body = content.map(|content| content.bytes.clone()).unwrap_or_default();
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&*self.uri(own_host, http2))
            .body(Payload::new(body))
            .map_err(|error| wrong(printable(&error.to_string(), 100)))?;
        let headers = request.headers_mut();
        headers.reserve(8 + blueprint.headers.len());
        if !http2 {
            let host = own_host.cloned().map_or_else(|| HeaderValue::from_str(authority(&self.url)), Ok);
            headers.insert(HOST, host.map_err(|error| wrong(error.to_string()))?);
            if blueprint.close {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
        // Where a body is usual, its absence must be said, or some servers answer 411 (RFC 9110 §8.6).
        if content.is_none() && [Method::POST, Method::PUT, Method::PATCH].contains(&self.method) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if let Some(kind) = content.and_then(|content| content.kind.clone()) {
            headers.insert(CONTENT_TYPE, kind);
        }
        if let Some(authorization) = blueprint.authorization.as_ref().filter(|_| self.is_trusted()) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        self.add_own(blueprint, headers);
        Ok(request)
    }

    /// What stands in the request line (HTTP/1.1), or gives the pseudo-headers (HTTP/2).
    fn uri(&self, own_host: Option<&HeaderValue>, http2: bool) -> Cow<'_, str> {
        let path = &self.url[Position::BeforePath..Position::AfterQuery];
        match own_host.and_then(|host| host.to_str().ok()) {
            _ if !http2 => path.into(),
            None => self.url[..Position::AfterQuery].into(),
            Some(host) => format!("{}://{host}{path}", self.url.scheme()).into(),
        }
    }

    /// Adds the configured headers. The first of a name replaces what stands there, further ones add to it.
    fn add_own(&self, blueprint: &Blueprint, headers: &mut HeaderMap) {
        for Header { name, value, is_repeat, is_private } in &blueprint.headers {
            if (*is_private && !self.is_trusted()) || (name == CONTENT_TYPE && !self.has_body) {
                continue;
            }
            if *is_repeat {
                headers.append(name, value.clone());
            } else {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// Where a redirect leads, or why it must not be followed.
fn target(from: &Url, location: &[u8]) -> Result<Url, String> {
    let text = std::str::from_utf8(location).map_err(|_| "the redirect's address is not UTF-8".to_owned())?;
    let mut url = from
        .join(text)
        .map_err(|error| format!("the redirect's address `{}` is not valid: {error}", printable(text, 100)))?;
    url.set_fragment(None);
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = printable(url.scheme(), 20);
        return Err(format!("the redirect leads to a {scheme}: address; only http and https are followed"));
    }
    // Neither can fail on an http address, and a name in the address must not be sent on.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(url)
}

/// True for the step that nearly every site makes: the same host, from http to https, both on their usual ports.
fn is_upgrade(from: &Url, to: &Url) -> bool {
    let usual = |url: &Url, scheme: &str| url.scheme() == scheme && url.port().is_none();
    usual(from, "http") && usual(to, "https") && from.host() == to.host()
}

/// A scrubber that knows every secret in the settings.
#[must_use]
pub fn scrubber(settings: &Http) -> Scrubber {
    let mut scrubber = Scrubber::default();
    scrubber.hide_text(settings.url.text());
    settings.headers.0.iter().for_each(|(_, text)| scrubber.hide_text(text));
    settings.body.iter().for_each(|text| scrubber.hide_text(text));
    settings.json.iter().for_each(|json| json.each_text(&mut |text| scrubber.hide_text(text)));
    for rules in [&settings.expect, &settings.warn] {
        rules.each_text(&mut |text| scrubber.hide_text(text));
    }
    settings.form.iter().flat_map(|form| form.values()).for_each(|text| scrubber.hide_text(text));
    match &settings.auth {
        Some(Auth::Basic(basic)) => {
            scrubber.hide_secret(&basic.password);
            scrubber.hide_text(&basic.username);
            scrubber.hide(&basic_token(basic));
        }
        Some(Auth::Bearer(token)) => scrubber.hide_secret(token),
        None => {}
    }
    scrubber
}

/// A header that must not follow a redirect to another host: credentials by name, and anything that held a secret.
#[must_use]
pub fn is_private(name: &HeaderName, text: &Text) -> bool {
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name) || text.is_expanded()
}

fn content(settings: &Http) -> Option<Content> {
    let content = |bytes, kind| Some(Content { bytes: Bytes::from(bytes), kind });
    if let Some(json) = &settings.json {
        return content(json.expose().to_string(), Some(HeaderValue::from_static("application/json")));
    }
    if let Some(form) = &settings.form {
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(form.iter().map(|(key, value)| (key, value.expose())));
        return content(encoded.finish(), Some(HeaderValue::from_static("application/x-www-form-urlencoded")));
    }
    content(settings.body.as_ref()?.expose().to_owned(), None)
}

fn authorization(auth: &Auth) -> Result<HeaderValue, InvalidHeaderValue> {
    let text = match auth {
        Auth::Basic(basic) => format!("Basic {}", basic_token(basic)),
        Auth::Bearer(token) => format!("Bearer {}", token.expose()),
    };
    let mut value = HeaderValue::from_str(&text)?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic_token(basic: &super::Basic) -> String {
    BASE64.encode(format!("{}:{}", basic.username.expose(), basic.password.expose()))
}

fn authority(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

/// Headers that frame the message, which hyper writes; two of them would be a request-smuggling tool.
const FRAMING: [HeaderName; 2] = [CONTENT_LENGTH, TRANSFER_ENCODING];
const AGENT: &str = concat!("forewarn/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The second request of a probe of `from` that is redirected to `to`.
    fn redirected(from: &str, to: &str) -> Result<Request<Payload>, Failure> {
        let settings: Http = serde_json::from_value(json!({
            "url": from, "method": "PUT", "body": "x", "auth": {"bearer": "t0ken"}, "headers": {"cookie": "a=b"},
        }))
        .unwrap();
        let blueprint = Blueprint::new(&settings)?;
        let next = Order::first(&blueprint).redirected(StatusCode::PERMANENT_REDIRECT, to.as_bytes())?;
        next.request(&blueprint, false)
    }

    #[test]
    fn credentials_and_body_follow_an_upgrade_to_https_on_the_usual_ports() {
        for (from, to) in [
            ("http://pika.test/", "https://pika.test/"),
            ("http://pika.test:80/", "https://pika.test:443/x"),
            ("http://[::1]/", "https://[::1]/"),
            ("https://pika.test/", "/x"),
        ] {
            let request = redirected(from, to).unwrap();
            for name in [AUTHORIZATION, COOKIE] {
                assert!(request.headers().contains_key(&name), "{from} to {to}: {name}");
            }
        }
    }

    #[test]
    fn nothing_follows_a_downgrade_or_a_change_of_host_or_port() {
        for (from, to) in [
            ("https://pika.test/", "http://pika.test/"),
            ("http://pika.test/", "https://www.pika.test/"),
            ("http://pika.test/", "https://pika.test:8443/"),
            ("http://pika.test:8080/", "https://pika.test/"),
            ("https://pika.test/", "https://pika.test:444/"),
            ("https://pika.test/", "//other.test/"),
        ] {
            let failure = redirected(from, to).unwrap_err();
            assert_eq!(failure.reason, Reason::Redirect, "{from} to {to}");
            assert!(failure.detail.starts_with("the redirect would send the request's body elsewhere"));
        }
    }

    #[test]
    fn a_host_with_a_usual_port_is_named_without_it() {
        let request = redirected("https://pika.test:443/", "/").unwrap();
        assert_eq!(request.headers()[HOST], "pika.test");
        assert_eq!(request.uri(), "/");
    }
}
