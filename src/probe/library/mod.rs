//! The `library` probe: are saved videos still listed, still there, and do they still play.
//!
//! This file is the settings. Reads one page of the list; it does not walk through a large library.

pub mod kind;
pub mod run;
pub mod shelf;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::api::{Call, service_settings};
use super::attempt::Prober;
use super::download::Mode;
use super::media::MediaRules;
use super::net::shared::Shared;
use super::pattern::JsonPath;
use super::{Pace, ProbeType};
use crate::base::duration::HumanDuration;
use crate::base::size::ByteSize;
use crate::model::measure::Kind;

service_settings! {
    /// Saved videos, listed through the API; one of them is opened by a fresh address and checked to be playable.
    pub struct Library {
        /// The request that lists the saved videos. Its headers are inherited by `item`; they never go to where a video lies.
        pub list: Call,
        /// Which values in the answer are the videos: `$.items[*]`.
        pub items: JsonPath,
        /// Where a video has its name, counted from the video; `$.id` unless given.
        pub id: Option<JsonPath>,
        /// Where a video has the time at which it was saved (RFC 3339, or Unix seconds or milliseconds), counted from the video.
        /// Without it, the list's order counts, the newest first.
        pub created: Option<JsonPath>,
        /// How many videos must be listed. Fewer fail as `no_output`: saved videos are missing.
        #[serde(default = "Library::default_at_least")]
        pub at_least: u32,
        /// The newest video must be younger than this, or the attempt fails as `stale`: what is made is no longer saved.
        pub newest_within: Option<HumanDuration>,
        /// Which video is opened.
        #[serde(default)]
        pub pick: Pick,
        /// Opens only videos that were saved so long ago; none of that age fails as `no_output`: old videos are missing.
        pub older_than: Option<HumanDuration>,
        /// The request that gives a video's fresh address; `{id}` is its name. Without it, the list has the address.
        pub item: Option<Call>,
        /// Where the answer to `item` (or the video in the list) has the address.
        pub url: JsonPath,
        /// How much of the video is fetched.
        #[serde(default = "Library::default_mode")]
        pub mode: Mode,
        /// The most bytes of video to accept.
        #[serde(default = "Library::default_max_bytes")]
        pub max_bytes: ByteSize,
        /// What the video must be.
        #[serde(default)]
        pub media: MediaRules,
        /// What should hold, or the attempt is degraded.
        #[serde(default)]
        pub warn: Warn,
    }
}

/// Which of the listed videos is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// The oldest: what was saved long ago is lost first.
    #[default]
    Oldest,
    /// The newest.
    Newest,
}

/// What should hold of a library, or the attempt is degraded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Warn {
    /// The longest that listing may take.
    pub list: Option<HumanDuration>,
    /// The longest that the whole attempt may take.
    pub within: Option<HumanDuration>,
}

impl Library {
    const fn default_at_least() -> u32 {
        1
    }

    const fn default_mode() -> Mode {
        Mode::Ranges
    }

    const fn default_max_bytes() -> ByteSize {
        ByteSize(256 << 20)
    }
}

impl ProbeType for Library {
    fn kind() -> &'static Kind {
        &kind::KIND
    }

    fn pace() -> Pace {
        Pace { every: Some(Duration::from_secs(10 * 60)), timeout: Some(Duration::from_secs(60)), is_paid: false }
    }

    fn conflicts(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        for (key, call, known) in [("list", Some(&self.list), &[][..]), ("item", self.item.as_ref(), &["id"])] {
            let Some(call) = call else { continue };
            found.extend(call.conflict().map(|message| (key, message)));
            for place in call.url.places().filter(|place| !known.contains(place)) {
                found.push((key, format!("`{{{place}}}` in its address is not known; `item` knows `{{id}}`")));
            }
        }
        if self.created.is_none() && (self.newest_within.is_some() || self.older_than.is_some()) {
            found.push((
                "created",
                "`newest_within` and `older_than` need `created`, which says how old a video is".to_owned(),
            ));
        }
        if self.mode == Mode::Ranges && self.media.decode.is_some() {
            found.push(("media", "`decode` needs the whole video; set `mode: full`".to_owned()));
        }
        found.extend(self.media.conflicts().into_iter().map(|message| ("media", message)));
        found.extend(self.tls.conflict().map(|message| ("tls", message)));
        found
    }

    fn host(&self) -> Option<String> {
        let url = self.list.url.literal_url()?;
        Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
    }

    fn prober(self: &Arc<Self>, shared: &Arc<Shared>) -> Arc<dyn Prober> {
        Arc::new(run::LibraryProber::new(Arc::clone(self), shared))
    }
}
