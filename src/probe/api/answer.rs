//! An answer of an API, read whole, and what it says of an error in words.
//!
//! Does not decide whether the answer is a good one.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, RETRY_AFTER};
use hyper::http::response::Parts;
use serde_json::Value;

use super::Call;
use crate::base::bounded::printable;
use crate::base::clock::Timestamp;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::http::document::{document, excerpt};
use crate::probe::http::judge::status_reason;
use crate::probe::pattern::JsonPath;

/// A whole answer.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, after decompression.
    pub body: Bytes,
    headers: HeaderMap,
    json: Result<Value, Failure>,
}

impl Answer {
    /// An answer with this head and body, of which up to `limit` bytes were allowed.
    #[must_use]
    pub fn new(head: Parts, body: Bytes, limit: u64) -> Self {
        // What does not look like JSON is not worth an error about its first character.
        let is_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
        let json = if is_json { document(&body, limit) } else { Err(not_json(&body)) };
        Self { status: head.status.as_u16(), headers: head.headers, body, json }
    }

    /// One event of a stream, whose status and headers came before.
    #[must_use]
    pub fn event(status: u16, data: &[u8]) -> Self {
        let json = document(data, data.len() as u64 + 4096);
        Self { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(data), json }
    }

    /// The body as JSON, if it is.
    #[must_use]
    pub fn json(&self) -> Option<&Value> {
        self.json.as_ref().ok()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Why it is none.
    pub fn document(&self) -> Result<&Value, Failure> {
        self.json.as_ref().map_err(Clone::clone)
    }

    /// The header's first value, if it is text.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the service asks to wait before the next request, by `retry-after-ms` or `retry-after`.
    #[must_use]
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let millis = self.header(&RETRY_AFTER_MS).and_then(|text| text.trim().parse::<f64>().ok());
        if let Some(millis) = millis {
            return Duration::try_from_secs_f64(millis / 1000.0).ok();
        }
        let text = self.header(&RETRY_AFTER)?.trim();
        if let Ok(seconds) = text.parse::<f64>() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(at.duration_since(now)).ok()
    }

    /// What the answer says of an error: the first text at `paths` or, if there are none, at the usual places; else what
    /// the body starts with.
    #[must_use]
    pub fn words(&self, paths: &[JsonPath]) -> Option<String> {
        if let Some(json) = self.json() {
            let own = paths.iter().find_map(|path| path.select(json).into_iter().find_map(text));
            return own.or_else(|| USUAL.iter().find_map(|pointer| json.pointer(pointer).and_then(text)));
        }
        let body = self.body.trim_ascii_start();
        (!body.is_empty()).then(|| excerpt(body, MAX_WORDS))
    }

    /// The failure that a status means which `call` does not accept.
    #[must_use]
    pub fn refusal(&self, call: &Call, paths: &[JsonPath]) -> Failure {
        let expected: Vec<_> = call.accepted().iter().map(ToString::to_string).collect();
        let words = self.words(paths).map(|words| format!(": {words}")).unwrap_or_default();
        let detail = format!("expected status {}, got {}{words}", expected.join(" or "), self.status);
        let reason = if self.status == 402 { Reason::Quota } else { status_reason(self.status) };
        Failure::new(reason, detail)
    }
}

fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null | Value::Bool(false) => return None,
        Value::String(text) if text.is_empty() => return None,
        Value::String(text) => text.clone(),
        Value::Array(items) => return items.first().and_then(text_of_item),
        other => other.to_string(),
    };
    Some(printable(&text, MAX_WORDS))
}

/// The words in an entry of a list of errors, as fal and `FastAPI` write it.
fn text_of_item(item: &Value) -> Option<String> {
    ["msg", "message", "detail", "type"].iter().find_map(|key| item.get(key).and_then(text)).or_else(|| match item {
        Value::String(_) => text(item),
        _ => None,
    })
}

fn not_json(body: &[u8]) -> Failure {
    let got =
        if body.is_empty() { "nothing".to_owned() } else { format!("`{}`", excerpt(body.trim_ascii_start(), 60)) };
    Failure::new(Reason::Assertion, format!("expected JSON in the answer, got {got}"))
}

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const MAX_WORDS: usize = 200;
/// Where APIs put their errors' words.
const USUAL: [&str; 8] =
    ["/error/message", "/detail", "/error", "/message", "/failure", "/failure_reason", "/errors", "/title"];
