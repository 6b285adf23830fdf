//! What a download costs in memory, whatever the file's size.
//!
//! Bytes are asserted, never time.

use std::sync::Arc;

use forewarn::model::reason::{Blame, Reason};
use serde_json::{Value, json};

use super::{download, measure, serving};
use crate::peers::alone::{memory_of, pass_alone};
use crate::peers::files::{File, index_first};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Act, Peer, say};

/// What an attempt may add to the memory of a process, in KiB, with what the peer itself takes in this same process.
const LIMIT: u64 = 4 * 1024;

#[test]
fn a_download_costs_a_few_mib_whatever_its_size() {
    pass_alone("download::cost::in_a_process_of_its_own");
}

/// A video of this size: a good one, and behind it a box of zeros that no player looks at.
fn long(size: u64) -> [Act; 3] {
    let video = index_first();
    let filler = size - video.len() as u64;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
    let free = [&1_u32.to_be_bytes()[..], b"free", &filler.to_be_bytes()].concat();
    [Act::Hear, say([head.as_bytes(), &video, &free].concat()), Act::Repeat(vec![0; 65_536])]
}

async fn cost(peer: &Peer, settings: Value, bytes: f64) -> u64 {
    let mut settings = settings;
    settings["url"] = peer.url("/").into();
    let (cost, result) = memory_of(download(settings.clone())).await;
    assert!(measure(&result, "bytes") >= bytes, "{:?}", result.findings);
    if settings["expect"]["status"].is_null() {
        assert_ne!(result.outcome.as_str(), "failed", "{:?}", result.outcome);
    } else {
        result.assert_failed(Reason::BodyTooLarge, Blame::Target);
    }
    cost
}

#[tokio::test]
#[ignore = "run by a_download_costs_a_few_mib_whatever_its_size"]
async fn in_a_process_of_its_own() {
    let warm = serving(File::of(index_first())).await;
    // The first attempt brings what all share: the resolver, thread stacks, the video itself.
    cost(&warm, json!({"media": {}}), 900_000.0).await;
    let file = Arc::new(File::vast(10 << 30));
    let ranged = Peer::site(move |request| file.answer(request)).await;
    let gib = 1_u64 << 30;
    let whole = Peer::playing(long(gib)).await;
    let endless = Peer::playing([Act::Hear, say("HTTP/1.1 200 OK\r\n\r\n"), Act::Repeat(vec![0; 65_536])]).await;
    for (peer, settings, bytes) in [
        (&whole, json!({"media": {}, "max_bytes": "2GiB"}), 1_073_741_824.0),
        (&whole, json!({"max_bytes": "2GiB"}), 1_073_741_824.0),
        // Working out the sum takes long in a debug build, so of less.
        (
            &Peer::playing(long(16 << 20)).await,
            json!({"media": {}, "warn": {"sha256": "0".repeat(64)}, "expect": {"size": {"min": "1"}}}),
            16_777_216.0,
        ),
        (&ranged, json!({"media": {}, "mode": "ranges"}), 65_536.0),
        (&endless, json!({"max_bytes": "64MiB", "expect": {"status": "200"}}), 67_108_864.0),
    ] {
        let cost = cost(peer, settings.clone(), bytes).await;
        println!("{cost:>8} KiB  {settings}");
        assert!(cost < LIMIT, "{settings} costs {cost} KiB");
    }
}
