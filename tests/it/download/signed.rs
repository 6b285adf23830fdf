//! How long a signed address still holds: a measure of each attempt, and a metric.

use forewarn::base::clock::{Clock, Timestamp};
use forewarn::model::measure::Source;
use forewarn::model::reason::{Blame, Reason};
use forewarn::probe::ProbeType;
use forewarn::probe::download::Download;
use forewarn::probe::library::Library;
use serde_json::json;

use super::{measure, serving, watch};
use crate::peers::files::{File, index_first};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Peer, answer};

/// The time in an hour from now, or that long ago.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(Clock::system().now().as_second() + seconds).unwrap()
}

/// Queries of an address that holds until then, in each dialect.
fn dialects(until: Timestamp) -> Vec<String> {
    let unix = until.as_second();
    let signed_at = Timestamp::from_second(unix - 900).unwrap().strftime("%Y%m%dT%H%M%SZ").to_string();
    vec![
        format!("X-Amz-Date={signed_at}&X-Amz-Expires=900&X-Amz-Signature=s3cret"),
        format!("X-Goog-Date={signed_at}&X-Goog-Expires=900&X-Goog-Signature=s3cret"),
        format!("AWSAccessKeyId=A&Expires={unix}&Signature=s3cret"),
        format!("ex={unix:x}&is=0&hm=s3cret"),
        format!("se={}&sig=s3cret", until.strftime("%Y-%m-%dT%H%%3A%M%%3A%SZ")),
    ]
}

#[tokio::test]
async fn time_left_is_measured_in_every_dialect() {
    let peer = serving(File::of(index_first())).await;
    for mode in ["full", "ranges"] {
        for query in dialects(at(3600)) {
            let result = watch(&peer.url(&format!("/v.mp4?{query}")), json!({"mode": mode})).await;
            result.assert_ok();
            let left = measure(&result, "url_time_left");
            assert!((3500.0..3602.0).contains(&left), "{query}: {left}");
            assert!(!serde_json::to_string(&result).unwrap().contains("s3cret"));
        }
    }
    let result = watch(&peer.url("/v.mp4"), json!({})).await;
    assert_eq!(result.findings.measure("url_time_left"), None);
}

#[test]
fn time_left_is_a_metric_of_whatever_fetches_files() {
    for kind in [Download::kind(), Library::kind()] {
        let series = kind.series.iter().find(|series| series.metric.name == "forewarn_download_url_time_left_seconds");
        assert!(matches!(series.unwrap().from, Source::Measure("url_time_left")), "{}", kind.name);
    }
}

#[tokio::test]
async fn an_address_that_holds_no_longer_says_since_when() {
    for query in dialects(at(-3600)) {
        let peer = Peer::site(|_| answer("403 Forbidden", &[], "<Error><Code>AccessDenied</Code></Error>")).await;
        let result = watch(&peer.url(&format!("/v.mp4?{query}")), json!({})).await;
        result.assert_failed(Reason::Auth, Blame::Target);
        let left = measure(&result, "url_time_left");
        assert!((-3700.0..-3500.0).contains(&left), "{query}: {left}");
    }
}

#[tokio::test]
async fn the_address_at_the_end_of_redirects_counts() {
    let there = serving(File::of(index_first())).await;
    let location = there.url(&format!("/v.mp4?{}", dialects(at(600))[0]));
    let peer = Peer::site(move |_| answer("302 Found", &[("location", location.as_str())], "")).await;
    for mode in ["full", "ranges"] {
        let result = watch(&peer.url("/latest"), json!({"mode": mode})).await;
        result.assert_ok();
        assert!((500.0..602.0).contains(&measure(&result, "url_time_left")));
    }
}

#[tokio::test]
async fn what_is_no_time_is_left_out() {
    let peer = serving(File::of(index_first())).await;
    for query in [
        "expires=soon",
        "X-Amz-Date=x&X-Amz-Expires=y",
        "X-Amz-Date=20260101T000000Z&X-Amz-Expires=99999999999999999999",
        "se=never&sig=x",
        "ex=zz&hm=x",
    ] {
        let result = watch(&peer.url(&format!("/?{query}")), json!({})).await;
        result.assert_ok();
        assert_eq!(result.findings.measure("url_time_left"), None, "{query}");
    }
}
