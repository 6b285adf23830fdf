//! What is sent: the first request, and the one that a redirect turns it into.
//!
//! Credentials go to the host that they were given for, and no further.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap,
    HeaderName, HeaderValue, PROXY_AUTHORIZATION, TRANSFER_ENCODING, USER_AGENT,
};
use hyper::http::response::Parts;
use hyper::{Method, Request};
use url::{Position, Url};

use super::decode::ACCEPTED;
use super::run::{Payload, without_query};
use super::{Auth, Http};
use crate::base::bounded::printable;
use crate::base::secret::{Scrubber, Text};
use crate::model::outcome::Failure;
use crate::model::reason::Reason;

/// One request to be sent.
pub struct Order {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// True for the first request of an attempt.
    pub is_first: bool,
    /// True while it goes to the host that the settings name, so that pins, server name and credentials apply.
    pub is_at_home: bool,
    /// False once a redirect turned the request into a plain GET.
    has_body: bool,
}

impl Order {
    /// The request that the settings ask for.
    #[must_use]
    pub fn first(settings: &Http) -> Self {
        let has_body = settings.body.is_some() || settings.json.is_some() || settings.form.is_some();
        let url = settings.url.url().clone();
        Self { method: settings.method.0.clone(), url, is_first: true, is_at_home: true, has_body }
    }

    /// The request that a redirect turns this one into (RFC 9110 §15.4, as browsers do it).
    ///
    /// # Errors
    /// A [`Failure`] of reason `redirect` for an address that cannot or must not be followed.
    pub fn redirected(&self, head: &Parts, location: &[u8]) -> Result<Self, Failure> {
        let fail = |detail: String| Failure::new(Reason::Redirect, detail);
        let text = std::str::from_utf8(location).map_err(|_| fail("the redirect's address is not UTF-8".to_owned()))?;
        let mut url = self.url.join(text).map_err(|error| {
            fail(format!("the redirect's address `{}` is not valid: {error}", printable(text, 100)))
        })?;
        url.set_fragment(None);
        if !matches!(url.scheme(), "http" | "https") {
            let scheme = printable(url.scheme(), 20);
            return Err(fail(format!("the redirect leads to a {scheme}: address; only http and https are followed")));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(fail("the redirect's address names no host".to_owned()));
        }
        // Neither set can fail on an http address, and a name in the address must not be sent on.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let status = head.status.as_u16();
        let to_get = match status {
            303 => self.method != Method::HEAD,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        let is_at_home = self.is_at_home && url.origin() == self.url.origin();
        let has_body = self.has_body && !to_get;
        if has_body && !is_at_home {
            let place = without_query(&url);
            return Err(fail(format!("the redirect would send the request's body to another host, {place}")));
        }
        let method = if to_get { Method::GET } else { self.method.clone() };
        Ok(Self { method, url, is_first: false, is_at_home, has_body })
    }

    /// The request as hyper sends it.
    ///
    /// # Errors
    /// A [`Failure`] of reason `config`; reading the settings leaves no known way to get there.
    pub fn request(&self, settings: &Http, http2: bool) -> Result<Request<Payload>, Failure> {
        let wrong = |what: &str| Failure::new(Reason::Config, format!("the request cannot be made: {what}"));
        let (body, content_type) = if self.has_body { body(settings) } else { (Bytes::new(), None) };
        let target = if http2 {
            &self.url[..Position::AfterQuery]
        } else {
            &self.url[Position::BeforePath..Position::AfterQuery]
        };
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(target)
            .body(Payload::new(body))
            .map_err(|error| wrong(&printable(&error.to_string(), 100)))?;
        let headers = request.headers_mut();
        if !http2 {
            headers.insert(HOST, authority(&self.url).ok_or_else(|| wrong("the host's name"))?);
            if !settings.reuse_connection {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if let Some(auth) = settings.auth.as_ref().filter(|_| self.is_at_home) {
            headers.insert(AUTHORIZATION, authorization(auth).ok_or_else(|| wrong("the credentials"))?);
        }
        self.add_own(settings, headers).ok_or_else(|| wrong("a header"))?;
        Ok(request)
    }

    /// Adds the configured headers. The first of a name replaces what stands there, further ones add to it.
    fn add_own(&self, settings: &Http, headers: &mut HeaderMap) -> Option<()> {
        let mut seen: Vec<&HeaderName> = Vec::new();
        for (name, text) in &settings.headers.0 {
            if !self.is_at_home && is_private(name, text)
                || FRAMING.contains(name)
                || (!self.has_body && name == CONTENT_TYPE)
            {
                continue;
            }
            let mut value = HeaderValue::from_str(text.expose()).ok()?;
            value.set_sensitive(text.is_expanded());
            if seen.contains(&name) {
                headers.append(name.clone(), value);
            } else {
                headers.insert(name.clone(), value);
                seen.push(name);
            }
        }
        Some(())
    }
}

/// A scrubber that knows every secret in the settings.
#[must_use]
pub fn scrubber(settings: &Http) -> Scrubber {
    let mut scrubber = Scrubber::default();
    scrubber.hide_text(settings.url.text());
    settings.headers.0.iter().for_each(|(_, text)| scrubber.hide_text(text));
    settings.body.iter().for_each(|text| scrubber.hide_text(text));
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
fn is_private(name: &HeaderName, text: &Text) -> bool {
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HOST].contains(name) || text.is_expanded()
}

fn body(settings: &Http) -> (Bytes, Option<&'static str>) {
    if let Some(json) = &settings.json {
        return (Bytes::from(json.to_string()), Some("application/json"));
    }
    if let Some(form) = &settings.form {
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(form.iter().map(|(key, value)| (key, value.expose())));
        return (Bytes::from(encoded.finish()), Some("application/x-www-form-urlencoded"));
    }
    (settings.body.as_ref().map(|body| Bytes::copy_from_slice(body.expose().as_bytes())).unwrap_or_default(), None)
}

fn authorization(auth: &Auth) -> Option<HeaderValue> {
    let text = match auth {
        Auth::Basic(basic) => format!("Basic {}", basic_token(basic)),
        Auth::Bearer(token) => format!("Bearer {}", token.expose()),
    };
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn basic_token(basic: &super::Basic) -> String {
    BASE64.encode(format!("{}:{}", basic.username.expose(), basic.password.expose()))
}

fn authority(url: &Url) -> Option<HeaderValue> {
    HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]).ok()
}

/// Headers that frame the message, which hyper writes; two of them would be a request-smuggling tool.
const FRAMING: [HeaderName; 2] = [CONTENT_LENGTH, TRANSFER_ENCODING];
const AGENT: &str = concat!("forewarn/", env!("CARGO_PKG_VERSION"));
