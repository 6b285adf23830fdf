//! What the top of the YAML may say: the agent, the services, the defaults, and what every probe has whatever its type.
//!
//! Types with their documentation and the checks that need nothing else. The parts' own settings live with the parts;
//! [`super::plan`] puts all together.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::labels::Labels;
use super::region::Region;
use crate::base::duration::HumanDuration;
use crate::base::listen::Listen;
use crate::base::parse::from_text;
use crate::model::money::Amount;
use crate::model::name::{Name, NameError, SurfaceRef};
use crate::schedule::settings::{Confirm, CronExpression, Overlap, Zone};
use crate::store::settings::StoreSettings;

/// The configuration of Forewarn. Any number of files hold these keys; lists merge.
///
/// Keys that start with `x-` are ignored: a place for anchors.
#[derive(Debug, Default, JsonSchema)]
#[schemars(title = "Forewarn configuration", extend("additionalProperties" = false, "patternProperties" = {"^x-": {}}))]
#[expect(dead_code, reason = "names the keys for the schema; `plan` reads them one by one")]
pub(super) struct File {
    /// About this agent. Once across all files.
    agent: Option<AgentSettings>,
    /// What must survive a restart, and where it is kept. Once across all files.
    store: Option<StoreSettings>,
    /// The services that are watched, with their surfaces. Without any, they follow from the probes' `surface`.
    services: Option<Vec<ServiceSettings>>,
    /// What holds for every probe that does not say otherwise. Once across all files.
    defaults: Option<DefaultsSettings>,
    /// What is done, when, and what must come of it.
    probes: Option<Vec<ProbeSettings>>,
}

/// About this agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentSettings {
    /// Where this agent stands, as the label `region` says.
    pub region: Region,
    /// Where metrics, the API and the status page are served.
    pub listen: Listen,
    /// Labels for every probe's metrics.
    pub labels: Labels,
    /// How long running attempts may go on when the agent is asked to stop.
    pub grace: HumanDuration,
    /// How many attempts may run at once. Further ones wait, which shows as lag.
    #[schemars(range(min = 1))]
    pub concurrency: u32,
    /// How many attempts may run at once against one host.
    #[schemars(range(min = 1))]
    pub per_host: u32,
    /// The most that all probes together may spend in one day (UTC), by unit: `{USD: 20}`.
    pub budget: BTreeMap<String, Amount>,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            region: Region::default(),
            listen: Listen::default(),
            labels: Labels::default(),
            grace: HumanDuration(std::time::Duration::from_secs(10)),
            concurrency: 10_000,
            per_host: 100,
            budget: BTreeMap::new(),
        }
    }
}

/// A service: something that users call by one name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    /// Its name, unique.
    pub name: Name,
    /// Its name for people; `name` unless given.
    pub title: Option<String>,
    /// The parts of it that users can tell apart.
    #[schemars(length(min = 1))]
    pub surfaces: Vec<SurfaceSettings>,
}

/// A surface: a part of a service that users can tell apart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SurfaceSettings {
    /// Its name, unique within the service.
    pub name: Name,
    /// Its name for people; `name` unless given.
    pub title: Option<String>,
    /// Surfaces without which this one cannot work: `surface` of the same service, or `service/surface`.
    #[serde(default)]
    pub depends_on: Vec<Dependency>,
}

/// A surface as another one refers to it: `surface` of the same service, or `service/surface`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependency {
    /// A surface of the same service.
    Here(Name),
    /// A surface of any service.
    Anywhere(SurfaceRef),
}

impl Dependency {
    /// The surface that a surface of `service` means by this.
    pub(super) fn of(self, service: &Name) -> SurfaceRef {
        match self {
            Self::Here(surface) => SurfaceRef { service: service.clone(), surface },
            Self::Anywhere(surface) => surface,
        }
    }
}

impl FromStr for Dependency {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains('/') { text.parse().map(Self::Anywhere) } else { text.parse().map(Self::Here) }
    }
}

impl<'de> Deserialize<'de> for Dependency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a surface")
    }
}

impl JsonSchema for Dependency {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Dependency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "examples": ["web", "other-service/web"]})
    }
}

/// What holds for every probe that does not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsSettings {
    /// How often; 30s unless given.
    pub every: Option<HumanDuration>,
    /// How long an attempt may take; 10s unless given.
    pub timeout: Option<HumanDuration>,
    /// What happens when an attempt is due while the previous one runs; `skip` unless given.
    pub overlap: Option<Overlap>,
    /// A quick second look after a first failure; none unless given.
    pub confirm: Option<Confirm>,
    /// The time zone of `cron`; UTC unless given.
    pub timezone: Option<Zone>,
    /// Labels for every probe's metrics, beside the agent's.
    #[serde(default)]
    pub labels: Labels,
}

macro_rules! probe_settings {
    ($($(#[doc = $about:literal])+ $key:ident: $settings:ty, $variant:ident;)+) => {
        /// A probe: what is done, how often, and what must come of it. It has exactly one key that names its type.
        #[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(extend("oneOf" = [$({"required": [stringify!($key)]}),+]))]
        pub struct ProbeSettings {
            /// Its name, unique across all files.
            #[schemars(required)]
            pub name: Option<Name>,
            /// What it watches.
            #[schemars(required)]
            pub surface: Option<SurfaceRef>,
            /// How often it runs; at least 100ms. The default is that of `defaults`.
            pub every: Option<HumanDuration>,
            /// When it runs, instead of `every`.
            pub cron: Option<CronExpression>,
            /// The time zone of `cron`. The default is that of `defaults`.
            pub timezone: Option<Zone>,
            /// How long an attempt may take, from 10ms to 1d; may be longer than `every`. The default is that of
            /// `defaults`.
            pub timeout: Option<HumanDuration>,
            /// What happens when an attempt is due while the previous one runs. The default is that of `defaults`.
            pub overlap: Option<Overlap>,
            /// A quick second look after a first failure. The default is that of `defaults`.
            pub confirm: Option<Confirm>,
            /// Labels for its metrics, beside those of `agent` and `defaults`.
            #[serde(default)]
            pub labels: Labels,
            $(
                $(#[doc = $about])+
                pub $key: Option<Box<$settings>>,
            )+
        }

        impl ProbeSettings {
            /// The keys that every probe may have.
            pub(super) const COMMON: &[&str] =
                &["name", "surface", "every", "cron", "timezone", "timeout", "overlap", "confirm", "labels"];
            /// The keys that name a type.
            pub(super) const TYPES: &[&str] = &[$(stringify!($key)),+];

            /// The settings of its type; the first, if there are several.
            pub(super) fn take_spec(&mut self) -> Option<crate::probe::Spec> {
                $(if let Some(settings) = self.$key.take() {
                    return Some(crate::probe::Spec::$variant(settings.into()));
                })+
                None
            }
        }
    };
}
crate::probe::probe_types!(probe_settings);
