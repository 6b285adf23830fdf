//! Signed addresses: until when they hold, and what a store says when they do not.
//!
//! Reads the dialects of S3, Google, Aliyun, Azure, `CloudFront`, Akamai and Discord; verifies no signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use url::Url;

use crate::base::bounded::printable;
use crate::base::clock::Timestamp;

/// When a signed address stops to hold; `None` for one that says nothing of it.
#[must_use]
pub fn expiry(url: &Url) -> Option<Timestamp> {
    let find = |wanted: &str| {
        url.query_pairs().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.into_owned())
    };
    for vendor in ["x-amz", "x-goog", "x-oss"] {
        if let (Some(date), Some(lifetime)) = (find(&format!("{vendor}-date")), find(&format!("{vendor}-expires"))) {
            let from = DateTime::strptime("%Y%m%dT%H%M%SZ", &date).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
            return Timestamp::from_second(from.as_second().checked_add(lifetime.parse().ok()?)?).ok();
        }
    }
    // Azure's `se`; Discord's `ex`, which is hexadecimal.
    if let (Some(end), Some(_)) = (find("se"), find("sig")) {
        return end.parse().ok();
    }
    if let (Some(end), Some(_)) = (find("ex"), find("hm")) {
        return moment(i64::from_str_radix(&end, 16).ok()?);
    }
    // Akamai's tokens: `exp=…~acl=…~hmac=…`.
    if let Some(token) = ["hdnts", "hdnea", "hdntl"].into_iter().find_map(find) {
        return moment(token.split('~').find_map(|part| part.strip_prefix("exp="))?.parse().ok()?);
    }
    if let (Some(policy), Some(_)) = (find("policy"), find("signature")) {
        return by_policy(&policy);
    }
    // S3's and CloudFront's older way, and many others'.
    moment(find("expires")?.parse().ok()?)
}

/// Unix seconds that can be meant as a time, not as a span.
fn moment(seconds: i64) -> Option<Timestamp> {
    (seconds > 1_000_000_000).then(|| Timestamp::from_second(seconds).ok())?
}

/// The end that a `CloudFront` policy sets: JSON in base64, with three characters replaced.
fn by_policy(policy: &str) -> Option<Timestamp> {
    let usual: String = policy
        .chars()
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '='
            } else if c == '~' {
                '/'
            } else {
                c
            }
        })
        .collect();
    let policy: Value = serde_json::from_slice(&BASE64.decode(usual).ok()?).ok()?;
    moment(policy.pointer("/Statement/0/Condition/DateLessThan/AWS:EpochTime")?.as_i64()?)
}

/// What an object store says in its XML: the error's code and message.
#[must_use]
pub fn xml_error(body: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(body.get(..MAX_XML.min(body.len()))?);
    text.contains("<Error").then_some(())?;
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (inner, _) = rest.split_once(&format!("</{name}>"))?;
        Some(printable(inner.trim(), 120))
    };
    Some((element("Code")?, element("Message").unwrap_or_default()))
}

const MAX_XML: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(url: &str) -> Option<i64> {
        expiry(&Url::parse(url).unwrap()).map(Timestamp::as_second)
    }

    #[test]
    fn every_dialect_says_until_when() {
        assert_eq!(
            seconds("https://s3.test/a?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-Signature=0"),
            Some(1_767_225_660)
        );
        assert_eq!(seconds("https://g.test/a?X-Goog-Date=20260101T000000Z&X-Goog-Expires=60"), Some(1_767_225_660));
        assert_eq!(seconds("https://az.test/a?se=2026-01-01T00%3A01%3A00Z&sig=x"), Some(1_767_225_660));
        assert_eq!(seconds("https://cdn.discordapp.com/a?ex=6955b93c&is=0&hm=0"), Some(0x6955_b93c));
        assert_eq!(seconds("https://cf.test/a?Expires=1767225660&Signature=x"), Some(1_767_225_660));
        assert_eq!(seconds("https://o.test/a?x-oss-date=20260101T000000Z&x-oss-expires=60"), Some(1_767_225_660));
        assert_eq!(seconds("https://ak.test/a?hdnts=st=1~exp=1767225660~acl=/*~hmac=0"), Some(1_767_225_660));
        let policy = r#"{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":1767225660}}}]}"#;
        let policy = BASE64.encode(policy).replace('+', "-").replace('=', "_").replace('/', "~");
        assert_eq!(seconds(&format!("https://cf.test/a?Policy={policy}&Signature=x")), Some(1_767_225_660));
        for silent in [
            "https://a.test/",
            "https://a.test/?expires=never",
            "https://a.test/?expires=3600",
            "https://a.test/?expires=99999999999999999",
            "https://a.test/?X-Amz-Date=x&X-Amz-Expires=1",
            "https://a.test/?X-Amz-Date=20260101T000000Z&X-Amz-Expires=9223372036854775807",
            "https://a.test/?Policy=e30_&Signature=x",
        ] {
            assert_eq!(seconds(silent), None, "{silent}");
        }
    }

    #[test]
    fn an_error_is_named_by_its_code() {
        let body =
            b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
        assert_eq!(xml_error(body), Some(("AccessDenied".to_owned(), "Request has expired".to_owned())));
        assert_eq!(xml_error(b"<html><Code>x</Code>"), None);
        assert_eq!(xml_error(b"\xff\xfe"), None);
        let long = [&b"<Error><Code>NoSuchKey</Code>"[..], "\u{e9}".repeat(MAX_XML).as_bytes()].concat();
        assert_eq!(xml_error(&long), Some(("NoSuchKey".to_owned(), String::new())));
    }
}
