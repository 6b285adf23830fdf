//! Applies rules to an answer: pure, from values to what did not hold.
//!
//! Every rule is applied and every breach noted; the first one, in the order of this file, gives the reason.

use std::time::Duration;

use hyper::header::{HeaderMap, HeaderValue, LAST_MODIFIED, LOCATION};
use hyper::http::response::Parts;
use memchr::memmem;
use serde_json::Value;

use super::document::{document, excerpt, got, json_excerpt};
use super::exchange::version_name;
use super::rules::{BodyRule, JsonRule, Rules, SizeRule, StatusRange, TextRule, WireVersion};
use crate::base::bounded::printable;
use crate::base::clock::Timestamp;
use crate::base::duration::{HumanDuration, shown};
use crate::base::json::Json;
use crate::base::secret::Text;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::pattern::{Pattern, Regexes};

/// What is judged.
pub struct Evidence<'answer> {
    /// Status, version and headers of the final answer.
    pub head: &'answer Parts,
    /// Its body, decompressed; empty if no rule looks at it.
    pub body: &'answer [u8],
    /// The body's size after decompression.
    pub size: u64,
    /// The largest that the body could have been.
    pub limit: u64,
    /// Whether it came over TLS.
    pub https: bool,
    /// When the first of the presented certificates expires.
    pub certificate_expiry: Option<Timestamp>,
    /// The whole attempt so far.
    pub took: Duration,
    /// From the attempt's start to the final answer's first byte.
    pub first_byte: Duration,
    /// Wall time.
    pub now: Timestamp,
}

/// A rule that did not hold.
#[derive(Debug)]
pub struct Breach {
    /// What to report.
    pub failure: Failure,
    /// True when a pattern decided it.
    pub by_regex: bool,
}

/// True when the rules look at the body's bytes, so that they must be kept.
#[must_use]
pub fn wants_body(rules: &Rules) -> bool {
    rules.body.as_deref().is_some_and(|rule| {
        let BodyRule { equals, contains, not_contains, matches, not_matches, json, size: _ } = rule;
        equals.is_some()
            || !(contains.is_empty()
                && not_contains.is_empty()
                && matches.is_empty()
                && not_matches.is_empty()
                && json.is_empty())
    })
}

/// Everything in `rules` that does not hold, most telling first. `fallback` are the statuses that are fine where the
/// rules name none; empty for any.
#[must_use]
pub fn breaches(rules: &Rules, fallback: &[StatusRange], evidence: &Evidence<'_>, regexes: &Regexes) -> Vec<Breach> {
    let mut court = Court { regexes, breaches: Vec::new() };
    let status = status_breach(rules, fallback, evidence.head);
    court.breaches.extend(status.map(|failure| Breach { failure, by_regex: false }));
    court.transport(rules, evidence);
    for (name, rule) in &rules.headers {
        court.header(name.0.as_str(), rule, &evidence.head.headers);
    }
    if let Some(rule) = &rules.body {
        court.body(rule, evidence);
    }
    court.age(rules, evidence);
    court.time("the answer took", rules.within, evidence.took);
    court.time("the first byte took", rules.first_byte_within, evidence.first_byte);
    court.breaches
}

/// What is wrong with the status alone; the rest as for [`breaches`].
#[must_use]
pub fn status_breach(rules: &Rules, fallback: &[StatusRange], head: &Parts) -> Option<Failure> {
    let status = head.status;
    let expected = rules.status.as_deref().unwrap_or(fallback);
    if expected.is_empty() || expected.iter().any(|range| range.contains(status.as_u16())) {
        return None;
    }
    let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
    let meaning = status.canonical_reason().map(|meaning| format!(" {meaning}")).unwrap_or_default();
    let is_lost = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && !head.headers.contains_key(LOCATION);
    let lost = if is_lost { " without a location to go to" } else { "" };
    let detail = format!("expected status {}, got {}{meaning}{lost}", expected.join(" or "), status.as_u16());
    Some(Failure::new(status_reason(status.as_u16()), detail))
}

/// What is wrong with a document by a rule about it.
#[must_use]
pub fn json_breach(rule: &JsonRule, document: &Value, regexes: &Regexes) -> Option<Failure> {
    let mut court = Court { regexes, breaches: Vec::new() };
    court.json(rule, document);
    court.breaches.pop().map(|breach| breach.failure)
}

/// The reason that a status gives which was not expected.
#[must_use]
pub const fn status_reason(status: u16) -> Reason {
    match status {
        401 | 403 => Reason::Auth,
        429 => Reason::RateLimited,
        500..=599 => Reason::Unavailable,
        _ => Reason::HttpStatus,
    }
}

/// Collects breaches.
struct Court<'regexes> {
    regexes: &'regexes Regexes,
    breaches: Vec<Breach>,
}

impl Court<'_> {
    fn breach(&mut self, reason: Reason, detail: String) {
        self.breaches.push(Breach { failure: Failure::new(reason, detail), by_regex: false });
    }

    fn transport(&mut self, rules: &Rules, evidence: &Evidence<'_>) {
        if let Some(https) = rules.https
            && https != evidence.https
        {
            let (wanted, got) = if https { ("over TLS", "in the clear") } else { ("in the clear", "over TLS") };
            self.breach(Reason::Assertion, format!("expected the answer {wanted}, it came {got}"));
        }
        if let Some(versions) = &rules.http_version {
            let spoken = match evidence.head.version {
                hyper::Version::HTTP_10 => Some(WireVersion::V1_0),
                hyper::Version::HTTP_11 => Some(WireVersion::V1_1),
                hyper::Version::HTTP_2 => Some(WireVersion::V2),
                _ => None,
            };
            if !spoken.is_some_and(|spoken| versions.contains(&spoken)) {
                let wanted: Vec<_> = versions.iter().map(ToString::to_string).collect();
                let got = version_name(evidence.head.version);
                self.breach(Reason::Assertion, format!("expected {}, got {got}", wanted.join(" or ")));
            }
        }
    }

    fn header(&mut self, name: &str, rule: &TextRule, headers: &HeaderMap) {
        let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        let what = format!("header {name}");
        if rule.absent {
            if let Some(value) = values.first() {
                self.breach(Reason::Assertion, format!("expected no {what}, got `{}`", excerpt(value, 100)));
            }
            return;
        }
        if values.is_empty() {
            self.breach(Reason::Assertion, format!("expected {what}, there is none"));
            return;
        }
        // Several headers of one name mean their values joined by commas (RFC 9110 §5.2).
        let joined = values.join(&b", "[..]);
        self.text(&what, rule.equals.as_ref(), &rule.contains, &rule.not_contains, &joined);
        self.patterns(&what, &rule.matches, &rule.not_matches, &joined);
    }

    fn body(&mut self, rule: &BodyRule, evidence: &Evidence<'_>) {
        if let Some(size) = rule.size {
            self.size(size, evidence.size);
        }
        let body = evidence.body;
        self.text("the body", rule.equals.as_ref(), &rule.contains, &rule.not_contains, body);
        self.patterns("the body", &rule.matches, &rule.not_matches, body);
        if rule.json.is_empty() {
            return;
        }
        match document(body, evidence.limit) {
            Ok(document) => rule.json.iter().for_each(|rule| self.json(rule, &document)),
            Err(failure) => self.breaches.push(Breach { failure, by_regex: false }),
        }
    }

    fn text(&mut self, what: &str, equals: Option<&Text>, contains: &[Text], lacks: &[Text], text: &[u8]) {
        if let Some(equals) = equals
            && text != equals.expose().as_bytes()
        {
            let (wanted, got) = (printable(equals.shown(), 100), excerpt(text, 100));
            self.breach(Reason::Assertion, format!("expected {what} to be `{wanted}`, got `{got}`"));
        }
        for part in contains.iter().filter(|part| !holds(text, part)) {
            self.breach(
                Reason::Assertion,
                format!("expected {what} to contain `{}`{}", printable(part.shown(), 100), got(text)),
            );
        }
        for part in lacks.iter().filter(|part| holds(text, part)) {
            self.breach(
                Reason::Assertion,
                format!("expected {what} not to contain `{}`", printable(part.shown(), 100)),
            );
        }
    }

    fn patterns(&mut self, what: &str, matches: &[Pattern], lacks: &[Pattern], text: &[u8]) {
        let holds = |pattern: &Pattern| self.regexes.compiled(pattern).is_some_and(|regex| regex.is_match(text));
        let missing = matches.iter().filter(|pattern| !holds(pattern));
        let missing = missing
            .map(|pattern| format!("expected {what} to match {}{}", printable(pattern.as_str(), 100), got(text)));
        let found = lacks.iter().filter(|pattern| holds(pattern));
        let found = found.map(|pattern| format!("expected {what} not to match {}", printable(pattern.as_str(), 100)));
        let failed: Vec<_> = missing.chain(found).collect();
        let breach = |detail| Breach { failure: Failure::new(Reason::Assertion, detail), by_regex: true };
        self.breaches.extend(failed.into_iter().map(breach));
    }

    fn size(&mut self, rule: SizeRule, size: u64) {
        if let Some(min) = rule.min.filter(|min| size < min.0) {
            self.breach(Reason::Assertion, format!("expected a body of at least {min}, got {}", ByteSize(size)));
        }
        if let Some(max) = rule.max.filter(|max| size > max.0) {
            self.breach(Reason::Assertion, format!("expected a body of at most {max}, got {}", ByteSize(size)));
        }
    }

    fn json(&mut self, rule: &JsonRule, document: &Value) {
        let selected = rule.path.select(document);
        if rule.absent {
            if let Some(value) = selected.iter().find(|value| !value.is_null()) {
                let value = json_excerpt(value);
                self.breach(Reason::Assertion, format!("expected nothing at {}, got {value}", rule.path));
            }
            return;
        }
        let Some(first) = selected.first() else {
            self.breach(Reason::Assertion, format!("expected a value at {}, there is none", rule.path));
            return;
        };
        let regex = rule.matches.as_ref().and_then(|pattern| self.regexes.compiled(pattern));
        let wanted_value = rule.equals.as_ref().map(Json::expose);
        let number = |value: &Value, holds: &dyn Fn(f64) -> bool| value.as_f64().is_some_and(holds);
        let holds = |value: &&Value| {
            wanted_value.as_ref().is_none_or(|wanted| equal(wanted, value))
                && regex.as_ref().is_none_or(|regex| regex.is_match(plain(value).as_bytes()))
                && rule.at_least.is_none_or(|least| number(value, &|value| value >= least))
                && rule.at_most.is_none_or(|most| number(value, &|value| value <= most))
        };
        if !selected.iter().any(holds) {
            let first = json_excerpt(first);
            let detail = format!("expected {} {}, got {first}", rule.path, wanted(rule));
            let by_regex = rule.matches.is_some();
            self.breaches.push(Breach { failure: Failure::new(Reason::Assertion, detail), by_regex });
        }
    }

    fn age(&mut self, rules: &Rules, evidence: &Evidence<'_>) {
        if rules.certificate.is_some() && evidence.certificate_expiry.is_none() {
            self.breach(Reason::Tls, "expected a certificate, the answer came without one".to_owned());
        }
        if let (Some(rule), Some(expiry)) = (rules.certificate, evidence.certificate_expiry) {
            let left = Duration::try_from(expiry.duration_since(evidence.now)).unwrap_or(Duration::ZERO);
            if left < rule.valid_for.get() {
                let wanted = rule.valid_for;
                self.breach(
                    Reason::Tls,
                    format!("the certificate expires in {}, on {expiry}; expected {wanted} at least", span(left)),
                );
            }
        }
        if let Some(limit) = rules.modified_within {
            match (last_modified(&evidence.head.headers), evidence.head.headers.get(LAST_MODIFIED)) {
                (None, None) => {
                    self.breach(Reason::Assertion, "expected header last-modified, there is none".to_owned());
                }
                (None, Some(value)) => {
                    let value = excerpt(value.as_bytes(), 60);
                    self.breach(Reason::Assertion, format!("expected a date in header last-modified, got `{value}`"));
                }
                (Some(at), _) => {
                    let age = Duration::try_from(evidence.now.duration_since(at)).unwrap_or(Duration::ZERO);
                    if age > limit.get() {
                        self.breach(
                            Reason::Stale,
                            format!("last modified {} ago, on {at}; expected {limit} at most", span(age)),
                        );
                    }
                }
            }
        }
    }

    fn time(&mut self, what: &str, limit: Option<HumanDuration>, took: Duration) {
        if let Some(limit) = limit.filter(|limit| took > limit.get()) {
            self.breach(Reason::Slow, format!("{what} {}, expected {limit} at most", shown(took)));
        }
    }
}

/// The `last-modified` header, if it is there and a date.
#[must_use]
pub fn last_modified(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(LAST_MODIFIED)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// Days for long spans, which is how people think of certificates.
fn span(span: Duration) -> String {
    let days = span.as_secs() / 86_400;
    if days >= 2 { format!("{days} days") } else { shown(span) }
}

fn holds(text: &[u8], part: &Text) -> bool {
    memmem::find(text, part.expose().as_bytes()).is_some()
}

/// JSON numbers are equal by value: `1` and `1.0` are one number.
fn equal(wanted: &Value, value: &Value) -> bool {
    wanted == value
        || wanted.as_f64().zip(value.as_f64()).is_some_and(|(wanted, value)| wanted.to_bits() == value.to_bits())
}

/// A string without its quotes, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn wanted(rule: &JsonRule) -> String {
    let parts = [
        rule.equals.as_ref().map(|value| format!("to be {}", json_excerpt(&value.shown()))),
        rule.matches.as_ref().map(|pattern| format!("to match {}", printable(pattern.as_str(), 100))),
        rule.at_least.map(|least| format!("to be at least {least}")),
        rule.at_most.map(|most| format!("to be at most {most}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(json: Value) -> Rules {
        serde_json::from_value(json).unwrap()
    }

    fn judged(
        rules: &Rules,
        fallback: &[StatusRange],
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Vec<(Reason, String)> {
        let mut builder = hyper::Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let (head, ()) = builder.body(()).unwrap().into_parts();
        let evidence = Evidence {
            head: &head,
            body: body.as_bytes(),
            size: body.len() as u64,
            limit: 3 << 20,
            https: true,
            certificate_expiry: Some("2026-01-11T00:00:00Z".parse().unwrap()),
            took: Duration::from_millis(1500),
            first_byte: Duration::from_millis(700),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        let breaches = breaches(rules, fallback, &evidence, &Regexes::default());
        breaches.into_iter().map(|breach| (breach.failure.reason, breach.failure.detail)).collect()
    }

    fn first(rule: Value, status: u16, headers: &[(&'static str, &str)], body: &str) -> Option<(Reason, String)> {
        judged(&rules(rule), &[], status, headers, body).into_iter().next()
    }

    #[test]
    fn each_status_has_its_reason() {
        for (status, reason) in [
            (404, Reason::HttpStatus),
            (401, Reason::Auth),
            (403, Reason::Auth),
            (429, Reason::RateLimited),
            (500, Reason::Unavailable),
            (503, Reason::Unavailable),
        ] {
            assert_eq!(first(json!({}), status, &[], ""), None);
            let found = judged(&Rules::default(), &[StatusRange::SUCCESS], status, &[], "");
            assert_eq!(found[0].0, reason);
            assert!(found[0].1.starts_with("expected status 2xx, got "), "{}", found[0].1);
        }
    }

    /// Each rule with the sentences of its breaches; none where it holds.
    fn check(rows: &[(Value, &[&str])], headers: &[(&'static str, &str)], body: &str) {
        for (rule, expected) in rows {
            let found = judged(&rules(rule.clone()), &[], 200, headers, body);
            let details: Vec<_> = found.iter().map(|(_, detail)| detail.as_str()).collect();
            assert_eq!(details, *expected, "{rule}");
            assert!(found.iter().all(|(reason, _)| *reason == Reason::Assertion), "{rule}: {found:?}");
        }
    }

    #[test]
    fn statuses_beside_the_usual() {
        let only = |status: &str| rules(json!({"status": status}));
        assert_eq!(judged(&only("404"), &[StatusRange::SUCCESS], 404, &[], ""), [], "own rules replace the fallback");
        let found = judged(&only("404"), &[StatusRange::SUCCESS], 200, &[], "");
        assert_eq!(found, [(Reason::HttpStatus, "expected status 404, got 200 OK".to_owned())]);
        let lost = judged(&only("2xx"), &[], 308, &[], "");
        assert_eq!(lost[0].1, "expected status 2xx, got 308 Permanent Redirect without a location to go to");
        let found = judged(&only("2xx"), &[], 308, &[("location", "/")], "");
        assert_eq!(found[0].1, "expected status 2xx, got 308 Permanent Redirect");
    }

    #[test]
    fn texts_of_headers() {
        let headers = [("x-a", "one"), ("x-a", "two"), ("x-empty", "")];
        let rule = |name: &str, rule: Value| json!({"headers": {name: rule}});
        check(
            &[
                (rule("x-a", json!({"equals": "one, two"})), &[]),
                (rule("X-A", json!({"equals": "one"})), &["expected header x-a to be `one`, got `one, two`"]),
                (rule("x-a", json!({"contains": "e, t", "not_contains": "three"})), &[]),
                (
                    rule("x-a", json!({"contains": "three"})),
                    &["expected header x-a to contain `three`; it starts with `one, two`"],
                ),
                (rule("x-a", json!({"not_contains": "two"})), &["expected header x-a not to contain `two`"]),
                (rule("x-a", json!({"matches": "^one.*two$", "not_matches": "(?i)THREE"})), &[]),
                (
                    rule("x-a", json!({"matches": "^two"})),
                    &["expected header x-a to match ^two; it starts with `one, two`"],
                ),
                (rule("x-a", json!({"not_matches": "(?i)TWO"})), &["expected header x-a not to match (?i)TWO"]),
                (rule("x-empty", json!({"equals": ""})), &[]),
                (rule("x-empty", json!({"contains": "y"})), &["expected header x-empty to contain `y`; it is empty"]),
                (rule("x-b", json!({})), &["expected header x-b, there is none"]),
                (rule("x-b", json!({"equals": "", "contains": "y"})), &["expected header x-b, there is none"]),
                (rule("x-b", json!({"absent": true})), &[]),
                (rule("x-a", json!({"absent": true})), &["expected no header x-a, got `one`"]),
                (rule("x-empty", json!({"absent": true})), &["expected no header x-empty, got ``"]),
            ],
            &headers,
            "",
        );
    }

    #[test]
    fn texts_and_sizes_of_bodies() {
        let rule = |rule: Value| json!({"body": rule});
        check(
            &[
                (rule(json!({"equals": "  Create a Video"})), &[]),
                (rule(json!({"equals": "Create"})), &["expected the body to be `Create`, got `  Create a Video`"]),
                (rule(json!({"contains": "Create", "not_contains": "error"})), &[]),
                (
                    rule(json!({"contains": "create"})),
                    &["expected the body to contain `create`; it starts with `Create a Video`"],
                ),
                (rule(json!({"not_contains": "Video"})), &["expected the body not to contain `Video`"]),
                (rule(json!({"matches": "V.d", "not_matches": "x"})), &[]),
                (
                    rule(json!({"matches": "x+", "not_matches": "o$"})),
                    &[
                        "expected the body to match x+; it starts with `Create a Video`",
                        "expected the body not to match o$",
                    ],
                ),
                (rule(json!({"size": {"min": "16", "max": "16"}})), &[]),
                (rule(json!({"size": {"min": "17"}})), &["expected a body of at least 17B, got 16B"]),
                (rule(json!({"size": {"max": "15"}})), &["expected a body of at most 15B, got 16B"]),
                (
                    rule(json!({"json": {"path": "$"}})),
                    &["expected JSON in the body: expected value at line 1 column 3; it starts with `Create a Video`"],
                ),
            ],
            &[],
            "  Create a Video",
        );
        check(&[(rule(json!({"contains": "x"})), &["expected the body to contain `x`; it is empty"])], &[], "");
    }

    #[test]
    fn values_of_json_bodies() {
        let rule = |rule: Value| json!({"body": {"json": rule}});
        let document = r#"{"status": "ok", "depth": 12, "ratio": 1.0, "none": null, "jobs": [{"n": 1}, {"n": 5}]}"#;
        check(
            &[
                (rule(json!({"path": "$.status"})), &[]),
                (rule(json!({"path": "$.none"})), &[]),
                (rule(json!({"path": "$.missing"})), &["expected a value at $.missing, there is none"]),
                (rule(json!({"path": "$.status", "equals": "ok"})), &[]),
                (
                    rule(json!({"path": "$.status", "equals": "down"})),
                    &["expected $.status to be \"down\", got \"ok\""],
                ),
                (rule(json!({"path": "$.ratio", "equals": 1})), &[]),
                (rule(json!({"path": "$.depth", "equals": "12"})), &["expected $.depth to be \"12\", got 12"]),
                (rule(json!({"path": "$.none", "equals": null})), &[]),
                (rule(json!({"path": "$.status", "equals": null})), &["expected $.status to be null, got \"ok\""]),
                (rule(json!({"path": "$.status", "matches": "^o.$"})), &[]),
                (rule(json!({"path": "$.depth", "matches": "^1"})), &[]),
                (rule(json!({"path": "$.status", "matches": "x"})), &["expected $.status to match x, got \"ok\""]),
                (rule(json!({"path": "$.depth", "at_least": 12, "at_most": 12.0})), &[]),
                (
                    rule(json!({"path": "$.depth", "at_least": 20, "at_most": 30})),
                    &["expected $.depth to be at least 20 and to be at most 30, got 12"],
                ),
                (rule(json!({"path": "$.status", "at_least": 0})), &["expected $.status to be at least 0, got \"ok\""]),
                // One of the selected values is enough, and it must satisfy everything by itself.
                (rule(json!({"path": "$.jobs[*].n", "equals": 5})), &[]),
                (
                    rule(json!({"path": "$.jobs[*].n", "at_least": 2, "at_most": 4})),
                    &["expected $.jobs[*].n to be at least 2 and to be at most 4, got 1"],
                ),
                (rule(json!({"path": "$.jobs[?@.n > 9]", "absent": true})), &[]),
                (rule(json!({"path": "$.none", "absent": true})), &[]),
                (rule(json!({"path": "$.status", "absent": true})), &["expected nothing at $.status, got \"ok\""]),
            ],
            &[],
            document,
        );
    }

    #[test]
    fn transport() {
        check(
            &[
                (json!({"https": true}), &[]),
                (json!({"https": false}), &["expected the answer in the clear, it came over TLS"]),
                (json!({"http_version": "1.1"}), &[]),
                (json!({"http_version": "2"}), &["expected HTTP/2, got HTTP/1.1"]),
            ],
            &[],
            "",
        );
    }

    #[test]
    fn every_breach_is_told_and_a_pattern_is_marked() {
        let rules = rules(json!({
            "status": "204", "within": "1s", "headers": {"x-a": {}}, "body": {"contains": "x", "matches": "y"},
        }));
        let (head, ()) = hyper::Response::new(()).into_parts();
        let evidence = Evidence {
            head: &head,
            body: b"",
            size: 0,
            limit: 0,
            https: false,
            certificate_expiry: None,
            took: Duration::from_secs(2),
            first_byte: Duration::ZERO,
            now: Timestamp::UNIX_EPOCH,
        };
        let breaches = breaches(&rules, &[], &evidence, &Regexes::default());
        let told: Vec<_> = breaches.iter().map(|breach| (breach.failure.reason, breach.by_regex)).collect();
        assert_eq!(
            told,
            [
                (Reason::HttpStatus, false),
                (Reason::Assertion, false),
                (Reason::Assertion, false),
                (Reason::Assertion, true),
                (Reason::Slow, false),
            ]
        );
    }

    #[test]
    fn bytes_that_are_no_utf8_are_judged_as_they_are() {
        let rules = rules(json!({"body": {"contains": "b", "not_contains": "c", "matches": "b$", "not_matches": "z"}}));
        let (head, ()) = hyper::Response::new(()).into_parts();
        let evidence = Evidence {
            head: &head,
            body: b"\xffa\xfe\x00b",
            size: 5,
            limit: 5,
            https: false,
            certificate_expiry: None,
            took: Duration::ZERO,
            first_byte: Duration::ZERO,
            now: Timestamp::UNIX_EPOCH,
        };
        assert!(breaches(&rules, &[], &evidence, &Regexes::default()).is_empty());
        assert_eq!(excerpt(b"\xffa\x1b[2J", 4), "\u{fffd}a\\u{1b}[…");
    }

    #[test]
    fn a_body_is_kept_only_for_rules_that_look_at_it() {
        for (body, wants) in [
            (json!({}), false),
            (json!({"size": {"min": "1"}}), false),
            (json!({"equals": ""}), true),
            (json!({"contains": "x"}), true),
            (json!({"not_contains": "x"}), true),
            (json!({"matches": "x"}), true),
            (json!({"not_matches": "x"}), true),
            (json!({"json": {"path": "$"}}), true),
        ] {
            assert_eq!(wants_body(&rules(json!({"body": body}))), wants, "{body}");
        }
        assert!(!wants_body(&Rules::default()));
    }

    #[test]
    fn json_that_would_take_too_much_memory_is_refused() {
        let many = format!("[{}0]", "0,".repeat(30_000));
        let (reason, detail) = first(json!({"body": {"json": {"path": "$"}}}), 200, &[], &many).unwrap();
        assert_eq!(reason, Reason::BodyTooLarge);
        assert_eq!(detail, "the body's JSON of about 30002 values takes too much memory; raise max_body to allow it");
    }

    #[test]
    fn times_and_dates() {
        assert_eq!(
            first(json!({"within": "1s"}), 200, &[], "").unwrap(),
            (Reason::Slow, "the answer took 1.50s, expected 1s at most".to_owned())
        );
        assert_eq!(first(json!({"within": "2s", "first_byte_within": "1s"}), 200, &[], ""), None);
        assert_eq!(
            first(json!({"certificate": {"valid_for": "14d"}}), 200, &[], "").unwrap(),
            (
                Reason::Tls,
                "the certificate expires in 10 days, on 2026-01-11T00:00:00Z; expected 14d at least".to_owned()
            )
        );
        let old = [("last-modified", "Wed, 31 Dec 2025 12:00:00 GMT")];
        assert_eq!(first(json!({"modified_within": "13h"}), 200, &old, ""), None);
        assert_eq!(first(json!({"modified_within": "11h"}), 200, &old, "").unwrap().0, Reason::Stale);
        assert_eq!(
            first(json!({"modified_within": "11h"}), 200, &[], "").unwrap(),
            (Reason::Assertion, "expected header last-modified, there is none".to_owned())
        );
        assert_eq!(
            first(json!({"modified_within": "11h"}), 200, &[("last-modified", "yesterday")], "").unwrap(),
            (Reason::Assertion, "expected a date in header last-modified, got `yesterday`".to_owned())
        );
    }

    #[test]
    fn numbers_are_equal_by_value() {
        assert!(equal(&json!(1), &json!(1.0)));
        assert!(!equal(&json!(1), &json!("1")));
        assert!(equal(&json!("a"), &json!("a")));
    }
}
