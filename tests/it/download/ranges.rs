//! Files read by a few ranges: how few, wherever the index lies, and over which connections.

use forewarn::model::reason::{Blame, Reason};
use serde_json::json;

use super::{asked, by_ranges, download, measure, serving, watch};
use crate::peers::authority::Authority;
use crate::peers::files::{File, fragmented, index_first, index_last, webm};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Peer, answer, header};

#[tokio::test]
async fn a_few_small_requests_find_the_index_wherever_it_lies() {
    for (name, file, least, most) in [
        ("first", File::of(index_first()), 2, 2),
        ("last", File::of(index_last()), 2, 3),
        ("last, behind 10 GiB", File::vast(10 << 30), 2, 4),
        ("last, behind 200 KB", File::vast(200_000), 2, 4),
        ("in fragments", File::of(fragmented()), 2, 5),
    ] {
        let total = file.len();
        let peer = serving(file).await;
        let result = by_ranges(&peer).await;
        result.assert_ok();
        let asked = asked(&peer);
        assert!((least..=most).contains(&asked.len()), "{name}: {asked:?}");
        assert_eq!(asked[0], (0, Some(65_535)), "{name}: {asked:?}");
        assert_eq!(asked.last().unwrap().1, Some(total - 1), "{name}: the end is looked at: {asked:?}");
        assert!(asked.iter().all(|(first, last)| last.unwrap() - first < 1 << 20), "{name}: {asked:?}");
        assert!((measure(&result, "requests") - f64::from(u32::try_from(asked.len()).unwrap())).abs() < 0.5);
        assert!(measure(&result, "bytes") <= 1_500_000.0, "{name}: {asked:?}");
        assert!((0.0..5.0).contains(&measure(&result, "first_byte")));
        assert!((measure(&result, "media_duration") - 4.0).abs() < 0.1, "{name}");
        assert!(measure(&result, "longest_stall") < 5.0);
        assert_eq!(result.findings.measure("throughput"), None);
        assert_eq!(peer.connections(), 1, "{name}: one connection is enough");
        peer.ended(1).await;
    }
}

#[tokio::test]
async fn a_small_file_takes_one_request() {
    let file = File::of(&include_bytes!("../../../src/demo/assets/clip.mp4")[..]);
    let total = file.len();
    let peer = serving(file).await;
    let result = by_ranges(&peer).await;
    result.assert_ok();
    assert_eq!(asked(&peer), [(0, Some(65_535))]);
    assert!(result.steps("transfer")[0].starts_with("HTTP/1.1 206") || !result.steps("transfer").is_empty());
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let wanted = total as f64;
    assert!((measure(&result, "bytes") - wanted).abs() < 0.5);
}

#[tokio::test]
async fn other_formats_are_read_by_ranges_too() {
    let file = File::of(webm());
    let peer = Peer::site(move |request| file.answer_with(request, &[("content-type", "video/webm")])).await;
    let result = by_ranges(&peer).await;
    result.assert_ok();
    assert!(result.fact("media").starts_with("webm, vp8 640x360, 4.0s"), "{}", result.fact("media"));
    let asked = asked(&peer);
    assert!((2..=9).contains(&asked.len()), "{asked:?}");
}

#[tokio::test]
async fn later_requests_hold_on_to_the_same_file() {
    let peer = serving(File::of(index_last())).await;
    by_ranges(&peer).await.assert_ok();
    let requests = peer.requests();
    assert_eq!(header(&requests[0], "if-range"), Vec::<&str>::new());
    assert!(requests[1..].iter().all(|request| header(request, "if-range") == ["\"v1\""]), "{requests:?}");
    // A weak tag does not vouch for single bytes.
    let file = File::of(index_last());
    let peer = Peer::site(move |request| file.answer_with(request, &[("etag", "W/\"v1\"")])).await;
    by_ranges(&peer).await.assert_ok();
    assert!(peer.requests().iter().all(|request| header(request, "if-range").is_empty()));
}

#[tokio::test]
async fn a_server_may_close_after_each_answer() {
    let file = File::of(index_last());
    let peer = Peer::site(move |request| file.answer_with(request, &[("connection", "close")])).await;
    by_ranges(&peer).await.assert_ok();
    assert_eq!(peer.connections(), peer.requests().len());
}

#[tokio::test]
async fn a_server_may_speak_tls() {
    let root = Authority::new("root");
    let file = File::of(index_last());
    let peer = Peer::secure_site(root.issue(&["localhost"]).server(&[]), move |request| file.answer(request)).await;
    let more = json!({"mode": "ranges", "tls": {"ca": root.pem()}});
    let result = watch(&peer.secure_url("/"), more).await;
    result.assert_ok();
    assert_eq!(result.phases(), ["resolve", "connect", "tls", "processing", "transfer"]);
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn without_ranges_the_file_is_read_as_far_as_its_index() {
    let video = index_first();
    let peer = Peer::site(move |_| answer("200 OK", &[("content-type", "video/mp4")], &*video)).await;
    let result = by_ranges(&peer).await;
    result.assert_ok();
    assert_eq!(asked(&peer).len(), 1);
    assert!(measure(&result, "bytes") < 900_000.0, "{:?}", result.findings);
    // The rest is not waited for.
    peer.ended(1).await;
    let video = index_last();
    let peer = Peer::site(move |_| answer("200 OK", &[("content-type", "video/mp4")], &*video)).await;
    by_ranges(&peer).await.assert_ok();
    assert_eq!((asked(&peer).len(), peer.connections()), (1, 1));
    let rule = json!({"mode": "ranges", "warn": {"status": "206"}});
    let result = watch(&peer.url("/"), rule).await;
    assert_eq!(result.degraded().detail, "expected status 206, got 200");
}

#[tokio::test]
async fn what_is_not_looked_into_is_seen_to_be_there() {
    let file = File::vast(10 << 30);
    let total = file.len();
    let peer = serving(file).await;
    let settings = json!({"url": peer.url("/"), "mode": "ranges", "expect": {"size": {"min": "1GiB"}}});
    let result = download(settings).await;
    result.assert_ok();
    assert_eq!(asked(&peer), [(0, Some(65_535)), (total - 1024, Some(total - 1))]);
    let settings = json!({"url": peer.url("/"), "mode": "ranges", "expect": {"size": {"max": "1GiB"}}});
    let result = download(settings).await;
    let detail = result.assert_failed(Reason::Assertion, Blame::Target);
    assert!(detail.starts_with("expected a file of at most 1GiB, got "), "{detail}");
}
