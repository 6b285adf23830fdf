//! Refusals: what an object store says in XML is told, what anybody else says is quoted, and neither costs much.

use forewarn::model::reason::{Blame, Reason};
use serde_json::json;

use super::{measure, watch};
use crate::peers::files::{File, index_last};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Act, Peer, answer, say};

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

#[tokio::test]
async fn a_store_names_what_is_wrong_with_a_signed_address() {
    for (status, body, reason, words) in [
        (
            "403 Forbidden",
            "<Error><Code>AccessDenied</Code><Message>Request has expired</Message><Expires>2026-01-01T00:00:00Z</Expires></Error>",
            Reason::Auth,
            "got 403: AccessDenied: Request has expired",
        ),
        (
            "403 Forbidden",
            "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match.</Message>\
             <AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId><StringToSign>GET</StringToSign></Error>",
            Reason::Auth,
            "got 403: SignatureDoesNotMatch: The request signature we calculated does not match.",
        ),
        (
            "404 Not Found",
            "<Error><Code>NoSuchKey</Code><Key>v.mp4</Key></Error>",
            Reason::HttpStatus,
            "got 404: NoSuchKey",
        ),
        (
            "400 Bad Request",
            "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>",
            Reason::HttpStatus,
            "got 400: ExpiredToken: The provided token has expired.",
        ),
        (
            "503 Slow Down",
            "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
            Reason::Unavailable,
            "got 503: SlowDown: Please reduce",
        ),
        ("429 Too Many", "slow down", Reason::RateLimited, "got 429: `slow down`"),
        ("403 Forbidden", "<html><h1>Forbidden</h1>", Reason::Auth, "got 403: `<html><h1>Forbidden</h1>`"),
        ("403 Forbidden", "", Reason::Auth, "got 403"),
        ("500 Oops", "<Error><Code>\x1b[2J\x07</Code></Error>", Reason::Unavailable, "got 500: \\u{1b}[2J"),
        ("204 No Content", "", Reason::HttpStatus, "got 204"),
    ] {
        for (mode, expected) in [("full", "200"), ("ranges", "206 or 200")] {
            let peer = Peer::site(move |_| {
                let body = if status.starts_with("204") { String::new() } else { format!("{XML}{body}") };
                let body = if body.contains("<Error>") { body } else { body.replace(XML, "") };
                answer(status, &[("content-type", "application/xml")], body)
            })
            .await;
            let result = watch(&peer.url("/v.mp4?X-Amz-Signature=s3cret"), json!({"mode": mode})).await;
            let detail = result.assert_failed(reason, Blame::Target);
            assert!(detail.contains(words), "{detail}");
            assert!(
                detail.starts_with(&format!("expected status {expected} from {}, ", peer.url("/v.mp4"))),
                "{detail}"
            );
            let json = serde_json::to_string(&result).unwrap();
            assert!(!json.contains("s3cret") && !json.contains("AKIA") && !json.contains("\\u001b"), "{json}");
        }
    }
}

#[tokio::test]
async fn a_long_refusal_is_not_read_to_its_end() {
    for (start, words) in [
        ("<Error><Code>AccessDenied</Code><Message>no</Message>", "got 403: AccessDenied: no"),
        ("<html>", "got 403: `<html>xxx"),
    ] {
        for mode in ["full", "ranges"] {
            let head = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: 10485760\r\n\r\n{start}");
            let peer = Peer::playing([Act::Hear, say(head), Act::Repeat(b"x".repeat(4096))]).await;
            let result = watch(&peer.url("/"), json!({"mode": mode})).await;
            let detail = result.assert_failed(Reason::Auth, Blame::Target);
            assert!(detail.contains(words) && detail.len() < 400, "{detail}");
            assert_eq!(result.findings.measure("throughput"), None);
            peer.ended(1).await;
        }
    }
}

#[tokio::test]
async fn a_refusal_that_never_ends_to_come_is_told_all_the_same() {
    let head = "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n10\r\n<Error><Code>No";
    let peer = Peer::playing([Act::Hear, say(head), Act::Reset]).await;
    let result = watch(&peer.url("/"), json!({})).await;
    assert!(result.assert_failed(Reason::HttpStatus, Blame::Target).contains("got 404"));
}

#[tokio::test]
async fn a_refusal_may_be_what_is_expected() {
    for mode in ["full", "ranges"] {
        let peer = Peer::site(|_| answer("403 Forbidden", &[], "no")).await;
        let result =
            watch(&peer.url("/"), json!({"mode": mode, "expect": {"status": "403", "size": {"min": "1KB"}}})).await;
        result.assert_ok();
        assert_eq!(peer.requests().len(), 1);
        let file = File::of(index_last());
        let peer = Peer::site(move |request| file.answer(request)).await;
        let result = watch(&peer.url("/"), json!({"mode": mode, "expect": {"status": ["401", "403"]}})).await;
        let detail = result.assert_failed(Reason::HttpStatus, Blame::Target);
        let got = if mode == "full" { 200 } else { 206 };
        assert_eq!(detail, format!("expected status 401 or 403, got {got}"));
        assert!(measure(&result, "bytes") > 0.0);
        let result = watch(&peer.url("/"), json!({"mode": mode, "expect": {"status": "2xx"}})).await;
        result.assert_ok();
    }
}
