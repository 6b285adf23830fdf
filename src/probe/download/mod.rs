//! The `download` probe: a file fetched as a user would, measured on the way, and checked to be playable.
//!
//! This file is the settings. It keeps nothing on disk, except a copy for the decoder while that runs.

pub mod kind;
pub mod locate;
pub mod partial;
pub mod ranged;
pub mod refusal;
pub mod rules;
pub mod run;
pub mod signed;
pub mod stream;
pub mod target;
pub mod transfer;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use self::locate::Locate;
use self::rules::Rules;
use super::api::service_settings;
use super::api::template::Template;
use super::attempt::Prober;
use super::http::Headers;
use super::media::MediaRules;
use super::net::shared::Shared;
use super::{Pace, ProbeType};
use crate::base::many::Many;
use crate::base::size::ByteSize;
use crate::model::measure::Kind;

service_settings! {
    /// A file fetched as a user would, measured on the way, and checked to be playable.
    ///
    /// The address is written down (`url`) or asked for (`from`), since signed addresses do not live long.
    pub struct Download {
        /// Where the file lies. With `from`, `{url}` unless given.
        pub url: Option<Template>,
        /// Requests that give the file's address, in order. What one extracts, the next may use; together they must extract
        /// `url`, unless `url` is put together from other names.
        #[serde(default)]
        pub from: Many<Locate>,
        /// Headers of the download itself. They go to the origin that `url` names, to that of the first request of `from`, and
        /// to those that are `trusted`; nowhere else.
        #[serde(default)]
        pub headers: Headers,
        /// How much of it is fetched.
        #[serde(default)]
        pub mode: Mode,
        /// The most bytes to accept.
        #[serde(default = "Download::default_max_bytes")]
        pub max_bytes: ByteSize,
        /// What must hold, or the attempt failed.
        #[serde(default)]
        pub expect: Rules,
        /// What should hold, or the attempt is degraded.
        #[serde(default)]
        pub warn: Rules,
        /// What the file must be. Without it, the file is only fetched.
        pub media: Option<MediaRules>,
    }
}

impl Download {
    const fn default_max_bytes() -> ByteSize {
        ByteSize(256 << 20)
    }
}

/// How much of a file is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All of it, as a user would: throughput, stalls and length are measured.
    #[default]
    Full,
    /// A few small ranges that find and read its index: cheap, and enough to say whether it can be played.
    Ranges,
}

impl ProbeType for Download {
    fn kind() -> &'static Kind {
        &kind::KIND
    }

    fn pace() -> Pace {
        Pace { every: Some(Duration::from_secs(5 * 60)), timeout: Some(Duration::from_secs(60)), is_paid: false }
    }

    fn conflicts(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.url.is_none() && self.from.is_empty() {
            found.push(("", "say where the file lies with `url`, or who gives its address with `from`".to_owned()));
        }
        if self.url.as_ref().is_some_and(|url| url.places().next().is_some()) && self.from.is_empty() {
            found.push(("url", "an address with places to fill in needs `from`, which fills them".to_owned()));
        }
        if !self.from.is_empty() {
            found.extend(locate::conflicts(&self.from, self.url.as_ref()).map(|message| ("from", message)));
        }
        found.extend(self.tls.conflict().map(|message| ("tls", message)));
        for (key, rules) in [("expect", &self.expect), ("warn", &self.warn)] {
            found.extend(rules.conflict(self.mode).map(|message| (key, message.to_owned())));
        }
        let media = self.media.iter().flat_map(MediaRules::conflicts);
        found.extend(media.map(|message| ("media", message)));
        if self.mode == Mode::Ranges && self.media.as_ref().is_some_and(|media| media.decode.is_some()) {
            found.push(("media", "`decode` needs the whole file; set `mode: full`".to_owned()));
        }
        found
    }

    fn host(&self) -> Option<String> {
        let url = self.from.first().and_then(|call| call.url.as_ref()).or(self.url.as_ref())?.literal_url()?;
        Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
    }

    fn prober(self: &Arc<Self>, shared: &Arc<Shared>) -> Arc<dyn Prober> {
        Arc::new(run::DownloadProber::new(Arc::clone(self), shared))
    }
}
