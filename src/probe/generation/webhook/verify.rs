//! Whether a callback comes from the service: Standard Webhooks (HMAC-SHA256), or fal's Ed25519 with a JWKS. Pure.
//!
//! Sources: <https://www.standardwebhooks.com> (signed content `id.timestamp.body`, tolerance five minutes); fal's
//! documentation of webhooks (three headers and the body's SHA-256, joined by line ends).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::receive::Callback;
use crate::base::clock::Timestamp;
use crate::base::hash::hexadecimal;
use crate::base::secret::Secret;

/// The key in a Standard Webhooks secret; `None` if it is none.
#[must_use]
pub fn standard_key(secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.expose().trim();
    BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok().filter(|key| !key.is_empty())
}

/// Checks a callback that is signed by Standard Webhooks.
///
/// # Errors
/// What is wrong with it.
pub fn standard(callback: &Callback, secret: &Secret, now: Timestamp) -> Result<(), &'static str> {
    let key = standard_key(secret).ok_or("the secret is none")?;
    let id = callback.header("webhook-id").ok_or("header webhook-id is missing")?;
    let at = callback.header("webhook-timestamp").ok_or("header webhook-timestamp is missing")?;
    let given = callback.header("webhook-signature").ok_or("header webhook-signature is missing")?;
    fresh(at, now)?;
    let content = [id.as_bytes(), b".", at.as_bytes(), b".", &callback.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    // Several signatures may stand there while a secret is changed.
    let signatures = given.split_ascii_whitespace().filter_map(|one| BASE64.decode(one.strip_prefix("v1,")?).ok());
    let is_signed = signatures.take(MAX_SIGNATURES).any(|signature| hmac::verify(&key, &content, &signature).is_ok());
    if is_signed { Ok(()) } else { Err("the signature is wrong") }
}

/// Checks a callback that is signed as fal does, with any of `keys`.
///
/// # Errors
/// What is wrong with it.
pub fn fal(callback: &Callback, keys: &[Vec<u8>], now: Timestamp) -> Result<(), &'static str> {
    let header = |name: &str| callback.header(name).ok_or("a header x-fal-webhook-… is missing");
    let (id, user) = (header("x-fal-webhook-request-id")?, header("x-fal-webhook-user-id")?);
    let at = header("x-fal-webhook-timestamp")?;
    let signature = from_hexadecimal(header("x-fal-webhook-signature")?).ok_or("the signature is not hexadecimal")?;
    fresh(at, now)?;
    let digest = hexadecimal(&Sha256::digest(&callback.body));
    let content = [id, user, at, &digest].join("\n");
    let is_signed =
        |key: &Vec<u8>| UnparsedPublicKey::new(&ED25519, key).verify(content.as_bytes(), &signature).is_ok();
    if keys.iter().any(is_signed) { Ok(()) } else { Err("the signature is wrong") }
}

/// The Ed25519 keys in a JWKS document.
#[must_use]
pub fn keys(document: &Value) -> Vec<Vec<u8>> {
    let keys = document.get("keys").and_then(Value::as_array).into_iter().flatten().take(MAX_KEYS);
    let key = |entry: &Value| BASE64_URL.decode(entry.get("x")?.as_str()?.trim_end_matches('=')).ok();
    keys.filter_map(key).filter(|key| key.len() == 32).collect()
}

fn fresh(at: &str, now: Timestamp) -> Result<(), &'static str> {
    let at: i64 = at.trim().parse().map_err(|_| "the timestamp is no number")?;
    if now.as_second().abs_diff(at) <= TOLERANCE { Ok(()) } else { Err("the timestamp is more than five minutes off") }
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| u8::try_from(digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?).ok();
    text.len().is_multiple_of(2).then(|| text.chunks(2).map(pair).collect()).flatten()
}

const TOLERANCE: u64 = 300;
const MAX_SIGNATURES: usize = 8;
const MAX_KEYS: usize = 32;

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    fn callback(headers: &[(&str, &str)], body: &str) -> Callback {
        let mut map = hyper::HeaderMap::new();
        for (name, value) in headers {
            map.insert(hyper::header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        Callback { headers: map, body: body.to_owned().into() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The example of the specification.
    #[test]
    fn the_published_vector_of_standard_webhooks_holds() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = |signature: &str| {
            let headers = [
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", signature),
            ];
            standard(&callback(&headers, r#"{"test": 2432232314}"#), &secret, at(1_614_265_400))
        };
        assert_eq!(signed("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="), Ok(()));
        assert_eq!(signed("v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="), Ok(()));
        assert_eq!(signed("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF="), Err("the signature is wrong"));
        assert_eq!(signed("v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="), Err("the signature is wrong"));
        let headers = [("webhook-id", "m"), ("webhook-timestamp", "1614265330"), ("webhook-signature", "v1,AAAA")];
        let stale = standard(&callback(&headers, ""), &secret, at(1_614_265_931));
        assert_eq!(stale, Err("the timestamp is more than five minutes off"));
    }

    #[test]
    fn fals_signature_covers_headers_and_body() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let document = json!({"keys": [
            {"kty": "OKP", "x": BASE64_URL.encode([9; 32])},
            {"kty": "OKP", "x": format!("{}=", BASE64_URL.encode(pair.public_key().as_ref()))},
            {"kty": "RSA", "n": "x"},
        ]});
        let keys = keys(&document);
        assert_eq!(keys.len(), 2);
        let body = r#"{"status":"OK"}"#;
        let content = ["r", "u", "1000", &hexadecimal(&Sha256::digest(body))].join("\n");
        let signature = hexadecimal(pair.sign(content.as_bytes()).as_ref());
        let signed = |request: &str, body: &str, now: i64| {
            let headers = [
                ("x-fal-webhook-request-id", request),
                ("x-fal-webhook-user-id", "u"),
                ("x-fal-webhook-timestamp", "1000"),
                ("x-fal-webhook-signature", &*signature),
            ];
            fal(&callback(&headers, body), &keys, at(now))
        };
        assert_eq!(signed("r", body, 1200), Ok(()));
        assert_eq!(signed("s", body, 1200), Err("the signature is wrong"));
        assert_eq!(signed("r", "{}", 1200), Err("the signature is wrong"));
        assert!(signed("r", body, 1301).is_err());
    }
}
