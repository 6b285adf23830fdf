//! One call of an API within an attempt that makes several: settings, templates, extraction, classification, sending.
//!
//! What the calls mean together is the probe type's business. Nothing here is retried in secret.

pub mod answer;
pub mod caller;
pub mod classify;
pub mod extract;
pub mod multipart;
pub mod pool;
pub mod template;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use self::multipart::Multipart;
use self::template::Template;
use super::http::rules::StatusRange;
use super::http::{Headers, HttpUrl, Method, Version};
use super::net::settings::{Resolve, Tls};
use crate::base::duration::HumanDuration;
use crate::base::json::Json;
use crate::base::many::Many;
use crate::base::secret::{Scrubber, Text};
use crate::base::size::ByteSize;

/// Declares settings that are a call with something more: the call's keys stand once, here.
macro_rules! call_settings {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$field_about:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Where the request goes; `{name}` stands for what an earlier answer gave.
            pub url: Option<$crate::probe::api::template::Template>,
            /// The request method; GET, or POST where there is a body, unless given.
            pub method: Option<$crate::probe::http::Method>,
            /// Request headers, beside those that are inherited.
            #[serde(default)]
            pub headers: $crate::probe::http::Headers,
            /// The request body as JSON. In its texts `{name}` stands for what an earlier answer gave.
            pub json: Option<$crate::base::json::Json>,
            /// The request body as a web form.
            pub form: Option<std::collections::BTreeMap<String, $crate::base::secret::Text>>,
            /// The request body as `multipart/form-data`.
            pub multipart: Option<$crate::probe::api::multipart::Multipart>,
            /// Statuses that are fine; `2xx` unless given.
            pub accept: Option<$crate::base::many::Many<$crate::probe::http::rules::StatusRange>>,
            /// How long this request may take, within the attempt's own deadline.
            pub timeout: Option<$crate::base::duration::HumanDuration>,
            /// The most bytes of answer to accept.
            pub max_body: Option<$crate::base::size::ByteSize>,
            $($(#[$field_about])* pub $field: $type,)*
        }

        impl $name {
            /// The call alone; `None` without an address.
            #[must_use]
            pub fn call(&self) -> Option<$crate::probe::api::Call> {
                Some($crate::probe::api::Call {
                    url: self.url.clone()?,
                    method: self.method.clone(),
                    headers: self.headers.clone(),
                    json: self.json.clone(),
                    form: self.form.clone(),
                    multipart: self.multipart.clone(),
                    accept: self.accept.clone(),
                    timeout: self.timeout,
                    max_body: self.max_body,
                })
            }
        }
    };
}
pub(super) use call_settings;

/// Declares the settings of a probe type that makes calls: how they reach their services stands once, here.
macro_rules! service_settings {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$field_about:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_about])* pub $field: $type,)*
            /// How names become addresses.
            #[serde(default)]
            pub resolve: $crate::probe::net::settings::Resolve,
            /// How TLS is spoken and certificates checked.
            #[serde(default)]
            pub tls: $crate::probe::net::settings::Tls,
            /// The protocol version to speak.
            #[serde(default)]
            pub version: $crate::probe::http::Version,
            /// Further origins, such as `https://rest.example`, that may be sent what headers and bodies say when an answer
            /// leads there.
            #[serde(default)]
            pub trusted: $crate::base::many::Many<$crate::probe::http::HttpUrl>,
        }

        impl $name {
            /// How its requests reach their services.
            #[must_use]
            pub fn connection(&self) -> $crate::probe::api::Connection {
                $crate::probe::api::Connection {
                    resolve: self.resolve.clone(),
                    tls: self.tls.clone(),
                    version: self.version,
                    trusted: self.trusted.clone(),
                }
            }
        }
    };
}
pub(super) use service_settings;

/// One request to an API.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Where the request goes; `{name}` stands for what an earlier answer gave.
    pub url: Template,
    /// The request method; GET, or POST where there is a body, unless given.
    pub method: Option<Method>,
    /// Request headers, beside those that are inherited.
    #[serde(default)]
    pub headers: Headers,
    /// The request body as JSON. In its texts `{name}` stands for what an earlier answer gave.
    pub json: Option<Json>,
    /// The request body as a web form.
    pub form: Option<BTreeMap<String, Text>>,
    /// The request body as `multipart/form-data`.
    pub multipart: Option<Multipart>,
    /// Statuses that are fine; `2xx` unless given.
    pub accept: Option<Many<StatusRange>>,
    /// How long this request may take, within the attempt's own deadline.
    pub timeout: Option<HumanDuration>,
    /// The most bytes of answer to accept.
    pub max_body: Option<ByteSize>,
}

impl Call {
    /// True when `status` is one that the settings call fine.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        self.accepted().iter().any(|range| range.contains(status))
    }

    /// How long it may take where `usual` is the limit unless it says otherwise.
    #[must_use]
    pub fn limit(&self, usual: Duration) -> Duration {
        self.timeout.map_or(usual, HumanDuration::get)
    }

    /// The statuses that are fine.
    #[must_use]
    pub fn accepted(&self) -> &[StatusRange] {
        self.accept.as_deref().unwrap_or(&[StatusRange::SUCCESS])
    }

    /// What is wrong with settings that are each fine alone.
    #[must_use]
    pub fn conflict(&self) -> Option<String> {
        let bodies = [self.json.is_some(), self.form.is_some(), self.multipart.is_some()];
        let several = bodies.into_iter().filter(|given| *given).count() > 1;
        if several {
            return Some("at most one of `json`, `form` and `multipart` may be given".to_owned());
        }
        let is_none = self.timeout.is_some_and(|timeout| timeout.get().is_zero());
        is_none.then(|| "`timeout` must be more than nothing".to_owned())
    }

    /// Teaches `scrubber` every secret in the call.
    pub fn hide(&self, scrubber: &mut Scrubber) {
        scrubber.hide_text(self.url.text());
        self.headers.0.iter().for_each(|(_, text)| scrubber.hide_text(text));
        self.json.iter().for_each(|json| json.each_text(&mut |text| scrubber.hide_text(text)));
        self.form.iter().flat_map(BTreeMap::values).for_each(|text| scrubber.hide_text(text));
        self.multipart.iter().for_each(|multipart| multipart.each_text(&mut |text| scrubber.hide_text(text)));
    }
}

/// How calls reach their service: the same for all calls of a probe.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connection {
    /// How names become addresses.
    pub resolve: Resolve,
    /// How TLS is spoken and certificates checked.
    pub tls: Tls,
    /// The protocol version to speak.
    pub version: Version,
    /// Further origins, such as `https://rest.example`, that may be sent the credentials of the first call when an answer
    /// leads there.
    pub trusted: Many<HttpUrl>,
}

/// Bytes of answer that are accepted unless a call says otherwise.
pub const MAX_ANSWER: ByteSize = ByteSize(1 << 20);
