//! Peers that send back what they were given: no secret may come out of an attempt.

use forewarn::model::result::ProbeResult;
use serde_json::{Value, json};

use crate::peers::probing::{Inspect, probe};
use crate::peers::tcp::{Act, Peer, answer, say};

/// Long enough that a part of it is worth something.
const TOKEN: &str = "sk-0123456789abcdefghijklmnopqrstuvwxyz";

async fn echoed(bytes: Vec<u8>, rules: Value) -> ProbeResult {
    let peer = Peer::playing([Act::Hear, say(bytes)]).await;
    let secret = json!({"$shown": "Key ${env:KEY}", "value": format!("Key {TOKEN}")});
    let mut settings = json!({"headers": {"x-key": secret}, "expect": rules});
    settings["url"] = json!({"$shown": peer.url("/${env:KEY}"), "value": peer.url(&format!("/{TOKEN}"))});
    probe(settings).await
}

fn assert_hidden(result: &ProbeResult) {
    let json = serde_json::to_string(result).unwrap();
    assert!(!json.contains(&TOKEN[..4]), "{json}");
    assert!(!format!("{result:?}").contains(&TOKEN[..4]));
}

#[tokio::test]
async fn an_echo_in_status_headers_or_body_is_hidden() {
    let expect = json!({
        "headers": {"x-echo": {"equals": "y"}, "last-modified": {"absent": true}},
        "body": {"contains": "Create", "matches": "^z", "json": {"path": "$.key", "equals": "z"}},
        "modified_within": "1d",
    });
    let body = json!({"key": TOKEN, "error": format!("bad key {TOKEN}")}).to_string();
    for status in [format!("200 {TOKEN}"), format!("500 {TOKEN}")] {
        let bytes = answer(&status, &[("x-echo", TOKEN), ("last-modified", TOKEN)], &body);
        let result = echoed(bytes, expect.clone()).await;
        assert!(serde_json::to_string(&result).unwrap().contains("[secret]"));
        assert_hidden(&result);
    }
}

#[tokio::test]
async fn an_echo_that_is_cut_is_hidden_wherever_the_cut_falls() {
    for padding in 0..120 {
        let text = format!("{}{TOKEN}{}", "x".repeat(padding), "y".repeat(100));
        let expect = json!({"body": {"equals": "z", "json": {"path": "$"}}, "headers": {"x-echo": {"equals": "z"}}});
        let result = echoed(answer("200 OK", &[("x-echo", &text)], &text), expect).await;
        assert_eq!(result.steps("expect").len(), 3);
        assert_hidden(&result);
    }
}

#[tokio::test]
async fn a_secret_in_a_json_body_or_a_rule_is_hidden_too() {
    let secret = json!({"$shown": "${env:KEY}", "value": TOKEN});
    let text = format!("{{\"error\": \"bad key {TOKEN}\"}}");
    let peer = Peer::playing([Act::Hear, say(answer("200 OK", &[("x-echo", &text)], &text))]).await;
    let body = json!({"url": peer.url("/"), "method": "POST", "json": {"keys": [secret]},
        "expect": {"body": {"contains": "Create", "json": {"path": "$.error", "equals": "fine"}}}});
    let rules = json!({"url": peer.url("/"), "expect": {
        "headers": {"x-echo": {"equals": secret}},
        "body": {"equals": secret, "json": {"path": "$.error", "equals": secret}},
    }});
    for (settings, breaches) in [(body, 2), (rules, 3)] {
        let result = probe(settings).await;
        assert_eq!(result.steps("expect").len(), breaches);
        assert_hidden(&result);
    }
    assert!(peer.requests()[0].ends_with(&format!("{{\"keys\":[\"{TOKEN}\"]}}")), "the real one is sent");
}

#[tokio::test]
async fn an_echo_in_a_redirect_is_hidden() {
    for location in [format!("/{TOKEN}/x"), format!("http://[{TOKEN}/"), format!("{TOKEN}:x"), format!("/?{TOKEN}")] {
        assert_hidden(&echoed(answer("302 Found", &[("location", &location)], ""), json!({})).await);
    }
}
