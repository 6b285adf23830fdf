//! Being told that a job has ended, and by whom: callbacks that are signed, badly signed, or not signed at all.

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use forewarn::base::clock::Clock;
use forewarn::base::hash::hexadecimal;
use forewarn::model::result::ProbeResult;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::definition::Definition;
use super::ordinary::{JOB, SUBMIT, done, job, queued, script};
use super::stand_in::{Script, StandIn, media_host, reply};
use crate::peers::probing::Inspect;

const SECRET: &[u8] = b"a secret of enough bytes";

/// A service that is told where to call, its video's host, and the settings for it; asking takes too long to matter.
async fn service(verify: Value) -> (StandIn, StandIn, Value) {
    let media = media_host().await;
    let service = script(&media).on(JOB, [done(&media)]).start().await;
    let mut settings = job(&service);
    settings["poll"]["every"] = "1m".into();
    settings["submit"]["json"] = json!({"prompt": "a red kite", "callback": "{webhook_url}"});
    settings["webhook"] = json!({"listen": "127.0.0.1:0"});
    if !verify.is_null() {
        settings["webhook"]["verify"] = verify;
    }
    (service, media, settings)
}

/// One attempt, in which the service makes the calls that `calls` makes of the callback's address.
async fn called(service: &StandIn, settings: &Value, calls: impl AsyncFnOnce(String)) -> ProbeResult {
    let definition = Definition::of(settings);
    let calling = async {
        service.heard(SUBMIT, 1).await;
        let submission = service.requests(SUBMIT).concat();
        let (_, body) = submission.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        calls(body["callback"].as_str().unwrap().to_owned()).await;
    };
    tokio::join!(definition.attempt(), calling).0
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

/// A callback signed as the specification of Standard Webhooks says.
fn signed(url: &str, body: &Value, key: &[u8]) -> RequestBuilder {
    let (at, body) = (Clock::system().now().as_second().to_string(), body.to_string());
    let content = format!("msg_1.{at}.{body}");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), content.as_bytes());
    Client::new()
        .post(url)
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", at)
        .header("webhook-signature", format!("v1,{}", STANDARD.encode(signature)))
        .body(body)
}

fn standard() -> Value {
    json!({"standard_webhooks": format!("whsec_{}", STANDARD.encode(SECRET))})
}

#[tokio::test]
async fn a_signed_callback_is_an_answer() {
    let (service, media, settings) = service(standard()).await;
    let result = called(&service, &settings, async |url| {
        let body = json!({"status": "done", "url": media.url("/kite.mp4")});
        assert_eq!(status(signed(&url, &body, SECRET)).await, 200);
    })
    .await;
    result.assert_ok();
    assert_eq!(service.routes(), [SUBMIT], "nothing was asked");
    assert_eq!(result.steps("callback"), ["signed, and taken for an answer"]);
    assert!(result.took < Duration::from_secs(5), "{:?}", result.took);
}

#[tokio::test]
async fn who_cannot_sign_can_only_make_the_agent_ask() {
    let hostile = json!({"status": "failed", "error": "says a stranger"});
    let (service, _media, settings) = service(standard()).await;
    let result = called(&service, &settings, async |url| {
        assert_eq!(status(signed(&url, &hostile, b"another secret")).await, 200);
        let other = url.replace('a', "b");
        if other != url {
            assert_eq!(status(Client::new().post(other)).await, 404, "a token cannot be guessed");
        }
    })
    .await;
    result.assert_ok();
    assert_eq!(service.routes(), [SUBMIT, JOB]);
    assert_eq!(result.steps("callback"), ["not believed: the signature is wrong"]);
}

#[tokio::test]
async fn without_a_signature_a_callback_is_a_hint() {
    let (service, _media, settings) = service(Value::Null).await;
    let result = called(&service, &settings, async |url| {
        assert_eq!(status(Client::new().get(&url)).await, 405);
        let large = Client::new().post(&url).body("x".repeat(2 << 20)).send().await;
        // The listener need not wait for all of it.
        assert!(large.is_err() || large.unwrap().status() == 413, "a callback is small");
        let body = json!({"status": "failed"}).to_string();
        assert_eq!(status(Client::new().post(&url).body(body)).await, 200);
    })
    .await;
    result.assert_ok();
    assert_eq!(service.routes(), [SUBMIT, JOB]);
}

/// fal's callback has words of its own for the state, so it makes the agent ask.
#[tokio::test]
async fn a_callback_signed_with_a_published_key_makes_the_agent_ask() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let keys = Script::default().on("GET /jwks.json", [reply(200, json!({"keys": [{"kty": "OKP", "x": x}]}))]);
    let keys = keys.start().await;
    let (service, _media, settings) = service(json!({"fal_jwks": keys.url("/jwks.json")})).await;
    let result = called(&service, &settings, async |url| {
        let (at, body) = (Clock::system().now().as_second().to_string(), json!({"status": "OK"}).to_string());
        let content = ["r1", "u1", &at, &hexadecimal(&Sha256::digest(&body))].join("\n");
        let request = Client::new()
            .post(url)
            .header("x-fal-webhook-request-id", "r1")
            .header("x-fal-webhook-user-id", "u1")
            .header("x-fal-webhook-timestamp", at)
            .header("x-fal-webhook-signature", hexadecimal(pair.sign(content.as_bytes()).as_ref()));
        assert_eq!(status(request.body(body)).await, 200);
    })
    .await;
    result.assert_ok();
    assert_eq!(service.routes(), [SUBMIT, JOB]);
    assert_eq!(result.steps("callback"), ["signed; asking at once"]);
    assert_eq!(keys.headers("authorization"), Vec::<String>::new(), "whoever has the keys gets none");
}

#[tokio::test]
async fn a_callback_that_never_comes_costs_nothing_but_time() {
    let media = media_host().await;
    let service = script(&media).on(JOB, [queued(1), done(&media)]).start().await;
    let mut settings = job(&service);
    settings["webhook"] = json!({"listen": "127.0.0.1:0"});
    settings["submit"]["json"]["callback"] = "{webhook_url}".into();
    Definition::of(&settings).attempt().await.assert_ok();
    assert_eq!(service.routes(), [SUBMIT, JOB]);
}
