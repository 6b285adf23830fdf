//! What attempts do: one file or folder per probe type, and the table that lists them.
//!
//! A prober does one attempt and says what it learned. It does not decide when to run, keeps no history, and names no
//! metric that is not in its own [`Kind`]'s tables.
//!
//! # One more probe type
//!
//! 1. `src/probe/<type>.rs` (or a folder): a settings struct with `Deserialize` and `JsonSchema`, whose doc comments are
//!    the documentation; its [`ProbeType`], with the tables of what it learns; its [`Prober`].
//! 2. Its tests, beside it.
//! 3. One row in [`probe_types!`] below.
//! 4. `probes/examples/<type>.yml`.
//!
//! Then `UPDATE=1 cargo test` rewrites the schema, the references and the golden files. If another file needs a hand,
//! the design is wrong: mend the design.

pub mod api;
pub mod attempt;
pub mod download;
pub mod generation;
pub mod http;
pub mod library;
pub mod media;
pub mod net;
pub mod pattern;
pub mod tcp;
pub mod timeline;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use self::attempt::Prober;
use self::net::shared::Shared;
use crate::model::measure::Kind;

/// The table of probe types: the key in YAML, the settings' type, and one line for the reference.
///
/// Calls `$then!` with the rows, so that whoever needs a list of types (the settings of a probe, the catalogue, the
/// references) makes it from this one.
#[macro_export]
macro_rules! probe_types {
    ($then:path) => {
        $then! {
            /// An asynchronous job: submitted, followed until it ends, its result fetched and checked to be playable.
            generation: $crate::probe::generation::Generation, Generation;
            /// One HTTP request, redirects followed, judged by what a user would notice.
            http: $crate::probe::http::Http, Http;
            /// One file fetched as a user would, measured on the way, and checked to be playable.
            download: $crate::probe::download::Download, Download;
            /// Saved videos, listed through the API; an old one is opened by a fresh address and checked to be playable.
            library: $crate::probe::library::Library, Library;
            /// One TCP connection, with TLS if asked for, and the reply that comes over it.
            tcp: $crate::probe::tcp::Tcp, Tcp;
        }
    };
}
pub use crate::probe_types;

/// A probe type's own idea of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// From slot to slot.
    pub every: Option<std::time::Duration>,
    /// The longest that an attempt may take.
    pub timeout: Option<std::time::Duration>,
    /// Whether an attempt costs money. Then none is made beside the slots: no first look at start, no second look at a
    /// failure; and attempts do not overlap unless the probe itself says so.
    pub is_paid: bool,
}

/// The settings of one probe type.
pub trait ProbeType: DeserializeOwned + JsonSchema + Clone + PartialEq {
    /// The tables of what it learns.
    fn kind() -> &'static Kind;

    /// What is wrong with settings that are each fine alone: a path of keys below the type's own, and a sentence.
    fn conflicts(&self) -> Vec<(&'static str, String)>;

    /// The host that attempts go to, for the cap on attempts per host; `None` where there is no one host.
    fn host(&self) -> Option<String>;

    /// Settings that are the values of labels, by the keys that the tables name.
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// How often it runs and how long it may take where that has to differ from other types, whatever `defaults` says.
    #[must_use]
    fn pace() -> Pace {
        Pace::default()
    }

    /// What makes the attempts.
    fn prober(self: &Arc<Self>, shared: &Arc<Shared>) -> Arc<dyn Prober>;
}

macro_rules! spec {
    ($($(#[doc = $about:literal])+ $key:ident: $settings:ty, $variant:ident;)+) => {
        /// The settings of one probe, of whichever type. Cheap to clone; its prober shares them.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Spec {
            $($(#[doc = $about])+ $variant(Arc<$settings>),)+
        }

        /// The tables of every probe type, in the order of the table.
        #[must_use]
        pub fn kinds() -> Vec<&'static Kind> {
            vec![$(<$settings as ProbeType>::kind()),+]
        }

        impl Spec {
            /// The tables of what this type learns.
            #[must_use]
            pub fn kind(&self) -> &'static Kind {
                match self { $(Self::$variant(_) => <$settings as ProbeType>::kind(),)+ }
            }

            /// See [`ProbeType::conflicts`].
            #[must_use]
            pub fn conflicts(&self) -> Vec<(&'static str, String)> {
                match self { $(Self::$variant(settings) => settings.conflicts(),)+ }
            }

            /// See [`ProbeType::host`].
            #[must_use]
            pub fn host(&self) -> Option<String> {
                match self { $(Self::$variant(settings) => settings.host(),)+ }
            }

            /// See [`ProbeType::settings`].
            #[must_use]
            pub fn settings(&self) -> Vec<(&'static str, String)> {
                match self { $(Self::$variant(settings) => settings.settings(),)+ }
            }

            /// See [`ProbeType::pace`].
            #[must_use]
            pub fn pace(&self) -> Pace {
                match self { $(Self::$variant(_) => <$settings as ProbeType>::pace(),)+ }
            }

            /// See [`ProbeType::prober`].
            #[must_use]
            pub fn prober(&self, shared: &Arc<Shared>) -> Arc<dyn Prober> {
                match self { $(Self::$variant(settings) => settings.prober(shared),)+ }
            }
        }
    };
}
probe_types!(spec);
