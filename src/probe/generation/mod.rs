//! The `generation` probe: a prompt goes in, a playable video comes out, or the attempt says which stage failed.
//!
//! This file is the settings: a declarative asynchronous job. It knows no provider by name; those are YAML.

pub mod budget;
pub mod credits;
pub mod desk;
pub mod kind;
pub mod ledger;
pub mod marks;
pub mod pace;
pub mod run;
pub mod state;
pub mod webhook;

mod called;
mod finish;
mod follow;
mod stream;
mod submit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use self::budget::Budget;
use self::credits::Credits;
use self::marks::Marks;
use self::pace::Poll;
use self::state::State;
use self::webhook::{Verify, Webhook};
use super::api::classify::{self, Rule};
use super::api::extract::Extract;
use super::api::template::{Template, is_place_name};
use super::api::{Call, call_settings, service_settings};
use super::attempt::Prober;
use super::download::Mode;
use super::http::rules::JsonRule;
use super::media::MediaRules;
use super::net::shared::Shared;
use super::{Pace, ProbeType};
use crate::base::duration::HumanDuration;
use crate::base::many::Many;
use crate::base::parse::from_text;
use crate::base::secret::Scrubber;
use crate::base::size::ByteSize;
use crate::model::measure::Kind;
use crate::probe::pattern::JsonPath;

service_settings! {
    /// An asynchronous job: submitted, followed until it ends, its result fetched and checked to be playable.
    ///
    /// A submission is never repeated by itself. A job that is not done when the attempt's `timeout` passes, or that the agent
    /// can follow no longer, is cancelled. `timeout` is 10m and `every` 15m unless the probe says otherwise, whatever
    /// `defaults` says.
    pub struct Generation {
        /// The request that starts the job. Its headers are inherited by the other requests, and go to its own origin and to
        /// those that are `trusted`; never to where the video lies, never across a redirect to another host.
        pub submit: Call,
        /// What the answer to the submission gives, by the name under which later requests use it: a JSON path, or a header.
        /// A missing one is an error only when it is needed.
        #[serde(default)]
        pub job: BTreeMap<String, Extract>,
        /// How the job is followed.
        pub poll: Poll,
        /// How the service tells that the job has ended, where it can.
        pub webhook: Option<Box<Webhook>>,
        /// How an answer tells where the job stands.
        pub state: State,
        /// Where an answer tells the job's place in the queue.
        pub position: Option<JsonPath>,
        /// When the job was queued, begun and done by the service's own clock, where it says so. Without it, stages are timed by
        /// what was observed, to within a poll interval.
        #[serde(default)]
        pub marks: Marks,
        /// What must hold of the last answer, or the job has not succeeded although it is called done.
        #[serde(default)]
        pub succeeded_if: Many<JsonRule>,
        /// Where the video is; without it, the attempt ends when the job is done.
        pub result: Option<Box<ResultCall>>,
        /// What the video must be.
        pub media: Option<Box<MediaRules>>,
        /// The request that cancels a job which is given up.
        pub cancel: Option<Box<Call>>,
        /// A request made after the end of a job, such as one that deletes the video. It is made once, and what comes of it is
        /// only noted.
        pub cleanup: Option<Box<Call>>,
        /// What the account's balance says about jobs that fail.
        pub credits: Option<Box<Credits>>,
        /// The longest that the job may wait in the queue: `queue_stuck`.
        pub queue_deadline: Option<HumanDuration>,
        /// What a job costs, and how much may be spent. Without it, nothing is counted.
        pub budget: Option<Box<Budget>>,
        /// What trouble means, tried in order on any answer.
        #[serde(default)]
        pub classify: Vec<Rule>,
        /// Where an answer holds its error's words; where APIs usually have them, unless given.
        #[serde(default)]
        pub error_text: Many<JsonPath>,
        /// What should hold, or the attempt is degraded.
        #[serde(default)]
        pub warn: Warn,
    }
}

call_settings! {
    /// Where the video is. Without `url`, the last answer about the job has it.
    pub struct ResultCall {
        /// Where in the answer: a JSON path to an address (or to base64, with `encoding: base64`), or `body` when the answer
        /// itself is the video.
        pub media: Place,
        /// How the text that `media` selects holds the video.
        #[serde(default)]
        pub encoding: Encoding,
        /// Checks every video that `media` selects, up to 8, instead of the first.
        #[serde(default)]
        pub all: bool,
        /// How much of the video is fetched.
        #[serde(default)]
        pub mode: Mode,
        /// The most bytes of video to accept.
        #[serde(default = "ResultCall::default_max_bytes")]
        pub max_bytes: ByteSize,
        /// Sends the inherited headers with the video's download too, if it lies at the submission's origin or a trusted one.
        #[serde(default)]
        pub send_key: bool,
    }
}

impl ResultCall {
    const fn default_max_bytes() -> ByteSize {
        ByteSize(256 << 20)
    }
}

/// Where the video is in an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// The answer itself is the video.
    Body,
    /// Its address, or its base64, is there.
    Path(JsonPath),
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "body" { Ok(Self::Body) } else { text.parse().map(Self::Path) }
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a JSON path such as `$.video.url`, or `body`")
    }
}

impl JsonSchema for Place {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MediaPlace".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": r"^(\$|body$)", "examples": ["$.video.url", "body"]})
    }
}

/// How a text holds a video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// It is the video's address.
    #[default]
    Url,
    /// It is the video itself, in base64, with or without a `data:` prefix.
    Base64,
}

/// The longest that each stage should take, or the attempt is degraded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Warn {
    /// Until the submission is answered.
    pub submit: Option<HumanDuration>,
    /// From then until the job is begun.
    pub queue: Option<HumanDuration>,
    /// From then until it is called done.
    pub render: Option<HumanDuration>,
    /// Until the video's address is known.
    pub result: Option<HumanDuration>,
    /// Until the video has come.
    pub download: Option<HumanDuration>,
    /// From the submission until the video has come.
    pub total: Option<HumanDuration>,
}

impl Generation {
    /// Every request that it may make, with the key under which it stands.
    fn calls(&self) -> impl Iterator<Item = (&'static str, Call)> {
        let result = self.result.as_deref().and_then(ResultCall::call);
        let credits = self.credits.as_deref().and_then(Credits::call);
        [
            ("submit", Some(self.submit.clone())),
            ("poll", self.poll.call()),
            ("result", result),
            ("cancel", self.cancel.as_deref().cloned()),
            ("cleanup", self.cleanup.as_deref().cloned()),
            ("credits", credits),
        ]
        .into_iter()
        .filter_map(|(key, call)| Some((key, call?)))
    }

    fn check_places(&self, found: &mut Vec<(&'static str, String)>) {
        for name in self.job.keys().filter(|name| !is_place_name(name)) {
            found.push(("job", format!("`{name}` cannot be a name; use a-z and _")));
        }
        let stream = self.poll.stream.iter().map(|url| ("poll", Call { url: url.clone(), ..self.submit.clone() }));
        for (key, call) in self.calls().chain(stream) {
            let known = |place: &str| match key {
                "submit" => place == WEBHOOK_URL && self.webhook.is_some(),
                _ => self.job.contains_key(place),
            };
            for place in call.url.places().filter(|place| !known(place)) {
                let hint = match key {
                    "submit" => "the first request knows `{webhook_url}` alone, with `webhook`",
                    _ => "add it to `job`",
                };
                found.push((key, format!("`{{{place}}}` in its address is not known; {hint}")));
            }
        }
        if self.submit.url.origin().is_none() {
            found.push(("submit", "the first request's address must be written out".to_owned()));
        }
    }

    /// Settings that would do nothing.
    fn check_idle(&self, found: &mut Vec<(&'static str, String)>) {
        let mut check = |key: &'static str, is_wrong: bool, message: &str| {
            if is_wrong {
                found.push((key, message.to_owned()));
            }
        };
        check("job", self.job.len() > MAX_NAMES, "`job` may have at most 16 names, which is what the store remembers");
        let is_status = self.state.from == state::Origin::HttpStatus;
        let told = "`from: http_status` goes with asking: neither an event nor a callback has a status";
        check("state", is_status && self.poll.stream.is_some(), told);
        if let Some(webhook) = &self.webhook {
            check("state", is_status && webhook.verify.is_some(), told);
            let place = format!("{{{WEBHOOK_URL}}}");
            let mut texts = vec![self.submit.url.text().shown().to_owned()];
            texts.extend(self.submit.json.iter().map(|json| json.shown().to_string()));
            texts.extend(self.submit.form.iter().flat_map(|form| form.values()).map(|text| text.shown().to_owned()));
            self.submit
                .multipart
                .iter()
                .for_each(|parts| parts.each_text(&mut |text| texts.push(text.shown().to_owned())));
            let is_named = texts.iter().any(|text| text.contains(&place));
            check(
                "webhook",
                !is_named,
                "the service is never told where to call: put `{webhook_url}` into the address or body of `submit`",
            );
        }
        if let Some(result) = &self.result {
            let has_body = result.json.is_some() || result.form.is_some() || result.multipart.is_some();
            let has_request = has_body || result.method.is_some() || result.accept.is_some();
            check(
                "result",
                result.url.is_none() && has_request,
                "without `url`, no request is made for the result; remove its other keys",
            );
            let is_file = result.url.is_some() && result.media == Place::Body;
            check(
                "result",
                is_file && (has_request || result.timeout.is_some()),
                "with `media: body` the address is downloaded with GET; of the request's keys only `headers` counts",
            );
        }
        for (key, call) in [("cancel", &self.cancel), ("cleanup", &self.cleanup)] {
            let is_long =
                call.as_ref().and_then(|call| call.timeout).is_some_and(|timeout| timeout.get() > run::CANCEL_LIMIT);
            check(key, is_long, "`timeout` can be at most 5s here: nobody waits longer for what is given up");
        }
        if let Some(credits) = &self.credits {
            let is_long = credits.timeout.is_some_and(|timeout| timeout.get() > credits::LIMIT);
            check("credits", is_long, "`timeout` can be at most 10s here");
            let is_idle = credits.refund_within.is_some() && !credits.refunded_on_failure;
            check("credits", is_idle, "`refund_within` means nothing without `refunded_on_failure: true`");
        }
    }

    fn scrubber(&self) -> Scrubber {
        let mut scrubber = Scrubber::default();
        self.calls().for_each(|(_, call)| call.hide(&mut scrubber));
        if let Some(Verify::StandardWebhooks(secret)) =
            self.webhook.as_ref().and_then(|webhook| webhook.verify.as_ref())
        {
            scrubber.hide_secret(secret);
        }
        classify::each_text(&self.classify, &mut |text| scrubber.hide_text(text));
        scrubber
    }
}

impl ProbeType for Generation {
    fn kind() -> &'static Kind {
        &kind::KIND
    }

    fn pace() -> Pace {
        Pace { every: Some(Duration::from_secs(15 * 60)), timeout: Some(Duration::from_secs(10 * 60)), is_paid: true }
    }

    fn conflicts(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        self.check_places(&mut found);
        found.extend(self.calls().filter_map(|(key, call)| Some((key, call.conflict()?))));
        found.extend(self.state.conflict().map(|message| ("state", message)));
        found.extend(self.poll.conflict().map(|message| ("poll", message)));
        let rules = self.classify.iter().filter_map(Rule::conflict);
        found.extend(rules.map(|message| ("classify", message.to_owned())));
        found.extend(self.webhook.as_deref().and_then(Webhook::conflict).map(|message| ("webhook", message)));
        found.extend(self.budget.as_deref().and_then(Budget::conflict).map(|message| ("budget", message.to_owned())));
        if self.credits.as_ref().is_some_and(|credits| credits.url.is_none()) {
            found.push(("credits", "`credits` lacks `url`".to_owned()));
        }
        if self.media.is_some() && self.result.is_none() {
            found.push(("media", "`media` needs `result`, which says where the video is".to_owned()));
        }
        if let Some(result) = &self.result {
            if result.media == Place::Body && (result.all || result.encoding == Encoding::Base64) {
                found.push(("result", "`all` and `encoding` go with a path, not with `body`".to_owned()));
            }
            if result.mode == Mode::Ranges && self.media.as_ref().is_some_and(|media| media.decode.is_some()) {
                found.push(("media", "`decode` needs the whole video; set `mode: full` in `result`".to_owned()));
            }
        }
        found.extend(
            self.media.as_deref().into_iter().flat_map(MediaRules::conflicts).map(|message| ("media", message)),
        );
        found.extend(self.tls.conflict().map(|message| ("tls", message)));
        self.check_idle(&mut found);
        found
    }

    fn host(&self) -> Option<String> {
        // A job waits for minutes and asks now and then: it must not hold one of its host's few places all that time.
        None
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.budget.iter().map(|budget| (kind::UNIT, budget.unit.clone())).collect()
    }

    fn prober(self: &Arc<Self>, shared: &Arc<Shared>) -> Arc<dyn Prober> {
        Arc::new(run::GenerationProber::new(Arc::clone(self), shared))
    }
}

/// The most names that `job` may have.
const MAX_NAMES: usize = 16;
/// The place for where the service is to call.
const WEBHOOK_URL: &str = "webhook_url";

/// The address of a job's answer, where the settings give none.
fn place_of(name: &str) -> Template {
    Template::whole(name)
}
