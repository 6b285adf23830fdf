//! The `download` probe against servers that are well, that cannot do much, and that mean harm.
//!
//! The files are real videos; what makes a video playable is tested beside the media check.

mod cost;
mod from;
mod full;
mod nginx;
mod ranges;
mod redirect;
mod refused;
mod rules;
mod signed;
mod trickery;

use forewarn::model::result::ProbeResult;
use forewarn::probe::download::Download;
use serde_json::{Value, json};

use crate::peers::files::{File, range};
use crate::peers::probing::{attempt, prober_of};
use crate::peers::tcp::Peer;

/// One attempt with the settings, within ten seconds.
async fn download(settings: Value) -> ProbeResult {
    attempt(&*prober_of::<Download>(settings)).await
}

/// One attempt that looks into the video at `url`, with more settings.
async fn watch(url: &str, more: Value) -> ProbeResult {
    let mut settings = json!({"url": url, "media": {"video": true}});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    download(settings).await
}

/// One attempt by ranges.
async fn by_ranges(peer: &Peer) -> ProbeResult {
    watch(&peer.url("/video.mp4"), json!({"mode": "ranges"})).await
}

/// A server that knows ranges.
async fn serving(file: File) -> Peer {
    Peer::site(move |request| file.answer(request)).await
}

/// The ranges that were asked for, each by a GET.
fn asked(peer: &Peer) -> Vec<(u64, Option<u64>)> {
    let requests = peer.requests();
    assert!(requests.iter().all(|request| request.starts_with("GET ")), "{requests:?}");
    requests.iter().map(|request| range(request).expect("a range")).collect()
}

/// A measure that must be there.
fn measure(result: &ProbeResult, key: &str) -> f64 {
    result.findings.measure(key).unwrap_or_else(|| panic!("no {key} in {:?}", result.findings))
}
