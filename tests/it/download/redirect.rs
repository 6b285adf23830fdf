//! Redirects of a download: where they may lead, and what does not go along.

use forewarn::model::reason::{Blame, Reason};
use serde_json::json;

use super::{asked, download, serving, watch};
use crate::peers::files::{File, index_last};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Peer, answer, header};

/// A site that redirects everything.
async fn leading(location: impl Into<String>) -> Peer {
    let location = location.into();
    Peer::site(move |_| answer("302 Found", &[("location", location.as_str())], "moved")).await
}

#[tokio::test]
async fn headers_stay_with_their_origin() {
    let there = serving(File::of(index_last())).await;
    let peer = leading(there.url("/there.mp4")).await;
    let headers =
        json!({"authorization": {"$shown": "${env:KEY}", "value": "Key s3cret"}, "cookie": "a=b", "x-plain": "fine"});
    for mode in ["full", "ranges"] {
        watch(&peer.url("/"), json!({"headers": headers, "mode": mode})).await.assert_ok();
    }
    for request in peer.requests() {
        assert_eq!(header(&request, "authorization"), ["Key s3cret"]);
        assert_eq!(header(&request, "x-plain"), ["fine"]);
    }
    for request in there.requests() {
        for name in ["authorization", "cookie", "x-plain"] {
            assert_eq!(header(&request, name), Vec::<&str>::new(), "{request}");
        }
        assert_eq!(header(&request, "accept-encoding"), ["identity"]);
    }
    // The range goes along.
    assert!(there.requests()[1..].iter().all(|request| !header(request, "range").is_empty()));
}

#[tokio::test]
async fn each_range_follows_the_redirect_anew() {
    let there = serving(File::of(index_last())).await;
    let peer = leading(there.url("/there.mp4?signature=1")).await;
    watch(&peer.url("/"), json!({"mode": "ranges"})).await.assert_ok();
    assert_eq!(asked(&peer), asked(&there));
    peer.ended(peer.connections()).await;
    there.ended(there.connections()).await;
}

#[tokio::test]
async fn some_redirects_are_not_followed() {
    for (location, words) in [
        ("file:///etc/passwd", "leads to a file: address; only http and https"),
        ("ftp://x.test/", "leads to a ftp: address"),
        ("http://[::1", "is not valid"),
        ("/again", "more than 5 redirects"),
    ] {
        for mode in ["full", "ranges"] {
            let peer = leading(location).await;
            let result = watch(&peer.url("/"), json!({"mode": mode})).await;
            let detail = result.assert_failed(Reason::Redirect, Blame::Target);
            assert!(detail.contains(words), "{location}: {detail}");
            assert!(peer.requests().len() <= 6, "{location}");
            peer.ended(peer.connections()).await;
        }
    }
}

#[tokio::test]
async fn a_pin_does_not_follow_to_another_host() {
    let peer = leading("http://other.invalid/video.mp4").await;
    let url = format!("http://pika.test:{}/", peer.address.port());
    let result = download(json!({"url": url, "resolve": {"pin": "127.0.0.1"}})).await;
    assert_eq!(result.failed().reason, Reason::Dns, "{:?}", result.outcome);
}

#[tokio::test]
async fn a_redirect_without_an_address_is_a_refusal() {
    let peer = Peer::site(|_| answer("302 Found", &[], "")).await;
    let result = watch(&peer.url("/"), json!({})).await;
    let detail = result.assert_failed(Reason::HttpStatus, Blame::Target);
    assert_eq!(detail, format!("expected status 200 from {}, got 302", peer.url("/")));
}
