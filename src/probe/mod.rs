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

pub mod http;
pub mod net;
pub mod pattern;

/// The table of probe types: the key in YAML, the settings' type, and one line for the reference.
///
/// Calls `$then!` with the rows, so that whoever needs a list of types (the settings of a probe, the catalogue, the
/// references) makes it from this one.
#[macro_export]
macro_rules! probe_types {
    ($then:path) => {
        $then! {
            /// One HTTP request, redirects followed, judged by what a user would notice.
            http: $crate::probe::http::Http, Http;
        }
    };
}
pub use crate::probe_types;

macro_rules! spec {
    ($($(#[doc = $about:literal])+ $key:ident: $settings:ty, $variant:ident;)+) => {
        /// The settings of one probe, of whichever type.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Spec {
            $($(#[doc = $about])+ $variant(Box<$settings>),)+
        }
    };
}
probe_types!(spec);
