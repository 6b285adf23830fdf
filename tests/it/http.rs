//! The `http` probe against peers that behave: what it sends, what it learns, how it judges.

use forewarn::model::reason::{Blame, Reason};
use serde_json::json;

use crate::peers::probing::{Inspect, probe};
use crate::peers::tcp::{Peer, ok};

#[tokio::test]
async fn a_plain_page_has_its_phases_and_facts() {
    let peer = Peer::site(|_| ok("Create")).await;
    let result = probe(json!({"url": peer.url("/")})).await;
    result.assert_ok();
    assert_eq!(result.phases(), ["connect", "processing", "transfer"]);
    assert_eq!(result.fact("remote"), peer.address.to_string());
    assert_eq!(result.fact("protocol"), "HTTP/1.1");
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let peer = Peer::site(|_| ok("")).await;
    let url = peer.url("/");
    drop(peer);
    tokio::task::yield_now().await;
    let result = probe(json!({"url": url})).await;
    result.assert_failed(Reason::Connect, Blame::Target);
}
