//! Redirects: where they may lead, what goes along, and when it is enough.

use forewarn::model::reason::{Blame, Reason};
use serde_json::{Value, json};

use crate::peers::authority::Authority;
use crate::peers::probing::{Inspect, probe};
use crate::peers::tcp::{Act, Peer, answer, header, ok, path, say};

/// A site whose `/` redirects.
async fn redirecting(status: &'static str, location: impl Into<String>) -> Peer {
    let location = location.into();
    Peer::site(move |request| match path(request) {
        "/" => answer(status, &[("location", location.as_str())], "moved"),
        _ => ok("there"),
    })
    .await
}

#[tokio::test]
async fn each_status_has_its_rule_for_method_and_body() {
    for (status, method, then) in [
        ("301 Moved", "GET", "GET"),
        ("301 Moved", "POST", "GET"),
        ("302 Found", "POST", "GET"),
        ("303 See Other", "POST", "GET"),
        ("303 See Other", "PUT", "GET"),
        ("301 Moved", "PUT", "PUT"),
        ("307 Temporary", "POST", "POST"),
        ("308 Permanent", "POST", "POST"),
        ("308 Permanent", "DELETE", "DELETE"),
    ] {
        let peer = redirecting(status, "/there").await;
        let body = if method == "GET" { json!(null) } else { json!({"a": 1}) };
        probe(json!({"url": peer.url("/"), "method": method, "json": body})).await.assert_ok();
        let second = peer.requests().remove(1);
        assert!(second.starts_with(&format!("{then} /there ")), "{status} {method}: {second}");
        let keeps_body = then == method && method != "GET";
        assert_eq!(second.ends_with("{\"a\":1}"), keeps_body, "{status} {method}: {second}");
        assert_eq!(header(&second, "content-type").len(), usize::from(keeps_body), "{status} {method}: {second}");
    }
    let peer = redirecting("303 See Other", "/there").await;
    probe(json!({"url": peer.url("/"), "method": "HEAD"})).await;
    assert!(peer.requests()[1].starts_with("HEAD "), "a HEAD stays one");
}

#[tokio::test]
async fn relative_addresses_are_resolved() {
    for (location, expected) in [("there", "/a/there"), ("../b?c#d", "/b?c"), ("?q", "/a/?q"), ("", "/a/?x")] {
        let location = location.to_owned();
        let peer = Peer::site(move |request| match path(request) {
            "/a/?x" => answer("302 Found", &[("location", location.as_str())], ""),
            _ => ok(""),
        })
        .await;
        let result = probe(json!({"url": peer.url("/a/?x")})).await;
        if expected == "/a/?x" {
            assert!(result.assert_failed(Reason::Redirect, Blame::Target).contains("in a circle"));
        } else {
            result.assert_ok();
            assert_eq!(path(&peer.requests()[1]), expected);
        }
    }
}

#[tokio::test]
async fn some_redirects_must_not_be_followed() {
    for (location, part) in [
        ("file:///etc/passwd", "the redirect leads to a file: address; only http and https"),
        ("javascript:alert(1)", "leads to a javascript: address"),
        ("http://", "the redirect's address `http://` is not valid: empty host"),
        ("http://[::1", "is not valid"),
        ("/", "in a circle"),
    ] {
        let peer = redirecting("302 Found", location).await;
        let result = probe(json!({"url": peer.url("/")})).await;
        let detail = result.assert_failed(Reason::Redirect, Blame::Target);
        assert!(detail.contains(part), "{location}: {detail}");
        assert_eq!(result.findings.measure("status"), Some(302.0), "{location}");
        assert_eq!(peer.requests().len(), 1, "{location}");
    }
    let peer = Peer::site(|_| b"HTTP/1.1 302 Found\r\nlocation: /\xff\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let result = probe(json!({"url": peer.url("/")})).await;
    assert_eq!(result.assert_failed(Reason::Redirect, Blame::Target), "the redirect's address is not UTF-8");
}

#[tokio::test]
async fn redirects_end_at_the_cap() {
    let endless = || {
        Peer::site(|request| {
            let number: u32 = path(request)[1..].parse().unwrap();
            answer("302 Found", &[("location", &format!("/{}", number + 1))], "")
        })
    };
    let peer = endless().await;
    let result = probe(json!({"url": peer.url("/0")})).await;
    let detail = result.assert_failed(Reason::Redirect, Blame::Target);
    assert_eq!(detail, "more than 10 redirects, which is max_redirects");
    assert_eq!(peer.requests().len(), 11);
    let peer = endless().await;
    probe(json!({"url": peer.url("/0"), "max_redirects": 1})).await.assert_failed(Reason::Redirect, Blame::Target);
    assert_eq!(peer.requests().len(), 2);
}

#[tokio::test]
async fn a_circle_is_told_before_the_cap() {
    let peer = Peer::site(|request| {
        let next = if path(request) == "/a" { "/b" } else { "/a" };
        answer("302 Found", &[("location", next)], "")
    })
    .await;
    let result = probe(json!({"url": peer.url("/a")})).await;
    let detail = result.assert_failed(Reason::Redirect, Blame::Target);
    assert_eq!(detail, format!("redirects go round in a circle, back to {}", peer.url("/a")));
    assert_eq!(peer.requests().len(), 2);
}

#[tokio::test]
async fn a_redirect_that_is_not_to_be_followed_is_judged() {
    let peer = redirecting("302 Found", "/there").await;
    let result = probe(json!({"url": peer.url("/"), "max_redirects": 0})).await;
    let detail = result.assert_failed(Reason::HttpStatus, Blame::Target);
    assert_eq!(detail, "expected status 2xx, got 302 Found");
    let expect = json!({"status": "3xx", "headers": {"location": {"equals": "/there"}}, "body": {"equals": "moved"}});
    probe(json!({"url": peer.url("/"), "max_redirects": 0, "expect": expect})).await.assert_ok();
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_judged_by_its_status() {
    let peer = Peer::site(|_| answer("302 Found", &[], "")).await;
    let result = probe(json!({"url": peer.url("/")})).await;
    let detail = result.assert_failed(Reason::HttpStatus, Blame::Target);
    assert_eq!(detail, "expected status 2xx, got 302 Found without a location to go to");
}

#[tokio::test]
async fn a_redirects_body_is_not_waited_for() {
    let there = Peer::site(|_| ok("there")).await;
    let head = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 10\r\n\r\nabc", there.url("/"));
    let peer = Peer::playing([Act::Hear, say(head), Act::Hang]).await;
    probe(json!({"url": peer.url("/")})).await.assert_ok();
}

#[tokio::test]
async fn a_redirect_to_a_dead_peer_fails_there_and_tells_nothing_of_the_first_answer() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let peer = redirecting("302 Found", format!("http://{closed}/")).await;
    let result = probe(json!({"url": peer.url("/")})).await;
    let detail = result.assert_failed(Reason::Connect, Blame::Target);
    assert!(detail.starts_with(&format!("{closed} refused the connection")), "{detail}");
    assert_eq!(result.findings.measure("status"), None);
    assert_eq!(result.fact("remote"), "");
    assert_eq!(result.steps("redirect").len(), 1);
}

/// Everything that may hold a credential.
fn with_credentials(url: &str) -> Value {
    json!({
        "url": url,
        "auth": {"bearer": "t0ken"},
        "headers": {
            "cookie": "session=1",
            "proxy-authorization": "Basic eA==",
            "x-key": {"$shown": "${env:KEY}", "value": "s3cret"},
            "x-plain": "fine",
        },
    })
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let other = Peer::site(|_| ok("")).await;
    let peer = redirecting("302 Found", other.url("/")).await;
    probe(with_credentials(&peer.url("/"))).await.assert_ok();
    let first = peer.request();
    for name in ["authorization", "cookie", "proxy-authorization", "x-key", "x-plain"] {
        assert_eq!(header(&first, name).len(), 1, "{name}: {first}");
    }
    // Only the port differs, which is enough to be somebody else.
    let second = other.request();
    for name in ["authorization", "cookie", "proxy-authorization", "x-key"] {
        assert_eq!(header(&second, name), Vec::<&str>::new(), "{name}: {second}");
    }
    assert_eq!(header(&second, "x-plain"), ["fine"]);
    assert_eq!(header(&second, "host"), [other.address.to_string()]);
}

#[tokio::test]
async fn credentials_go_along_within_their_origin_and_do_not_come_back_to_it() {
    let peer = redirecting("302 Found", "/there").await;
    probe(with_credentials(&peer.url("/"))).await.assert_ok();
    assert_eq!(header(&peer.requests()[1], "authorization"), ["Bearer t0ken"]);
    assert_eq!(header(&peer.requests()[1], "x-key"), ["s3cret"]);

    let home = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let back = std::sync::Arc::clone(&home);
    let other = Peer::site(move |_| answer("302 Found", &[("location", back.get().unwrap().as_str())], "")).await;
    let peer = redirecting("302 Found", other.url("/")).await;
    home.set(peer.url("/there")).unwrap();
    probe(with_credentials(&peer.url("/"))).await.assert_ok();
    assert_eq!(header(&peer.requests()[1], "authorization"), Vec::<&str>::new());
}

#[tokio::test]
async fn an_own_host_header_is_for_the_first_origin() {
    let other = Peer::site(|_| ok("")).await;
    let peer = redirecting("302 Found", other.url("/")).await;
    probe(json!({"url": peer.url("/"), "headers": {"host": "pika.test"}})).await.assert_ok();
    assert_eq!(header(&peer.request(), "host"), ["pika.test"]);
    assert_eq!(header(&other.request(), "host"), [other.address.to_string()]);
}

#[tokio::test]
async fn a_body_is_not_sent_to_another_origin() {
    let other = Peer::site(|_| ok("")).await;
    let peer = redirecting("307 Temporary", other.url("/x?y")).await;
    let result = probe(json!({"url": peer.url("/"), "method": "POST", "body": "secret"})).await;
    let detail = result.assert_failed(Reason::Redirect, Blame::Target);
    assert_eq!(detail, format!("the redirect would send the request's body elsewhere, to {}", other.url("/x")));
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_pin_holds_for_its_host_and_not_for_others() {
    let peer = Peer::site(|request| match path(request) {
        "/" => answer("302 Found", &[("location", "http://other.invalid/")], ""),
        _ => ok(""),
    })
    .await;
    let url = format!("http://pika.test:{}/", peer.address.port());
    let result = probe(json!({"url": url, "resolve": {"pin": "127.0.0.1"}})).await;
    assert_eq!(result.failed().reason, Reason::Dns, "{:?}", result.outcome);

    let there = Peer::site(|_| ok("")).await;
    let peer = redirecting("302 Found", format!("http://pika.test:{}/there", there.address.port())).await;
    let url = format!("http://pika.test:{}/", peer.address.port());
    probe(json!({"url": url, "resolve": {"pin": "127.0.0.1"}})).await.assert_ok();
}

#[tokio::test]
async fn a_server_name_holds_for_its_host_and_not_for_others() {
    let root = Authority::new("root");
    let other = Peer::secure_site(root.issue(&["127.0.0.1"]).server(&[]), |_| ok("")).await;
    let location = format!("https://{}/", other.address);
    let peer = Peer::secure_site(root.issue(&["pika.test"]).server(&[]), move |_| {
        answer("302 Found", &[("location", location.as_str())], "")
    })
    .await;
    let tls = json!({"ca": root.pem(), "server_name": "pika.test"});
    probe(json!({"url": peer.secure_url("/"), "tls": tls})).await.assert_ok();
}

#[tokio::test]
async fn a_name_and_password_in_a_redirect_are_not_sent() {
    let peer = Peer::site(|request| match path(request) {
        "/" => {
            let host = header(request, "host")[0];
            answer("302 Found", &[("location", format!("http://ann:pw@{host}/there").as_str())], "")
        }
        _ => ok(""),
    })
    .await;
    let result = probe(json!({"url": peer.url("/")})).await;
    result.assert_ok();
    assert!(!peer.requests()[1].contains("authorization"));
    assert!(!serde_json::to_string(&result).unwrap().contains("ann"));
}
