//! What kind of trouble an answer means, by rules that users write: most of all, whether it says anything about the
//! service.

use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::Answer;
use super::extract::scalar;
use crate::base::json::Json;
use crate::base::many::Many;
use crate::base::secret::Text;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::http::HeaderKey;
use crate::probe::http::rules::StatusRange;
use crate::probe::pattern::{JsonPath, Pattern, Regexes};

/// A rule: an answer to which all of it applies means trouble of this class. Rules are tried in order, on any answer.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The answer has one of these statuses.
    pub status: Option<Many<StatusRange>>,
    /// The answer's JSON has something here; what, say `equals`, `matches` or `absent`.
    pub path: Option<JsonPath>,
    /// The answer has this header; with what value, say `equals` or `matches`.
    pub header: Option<HeaderKey>,
    /// What `path` or `header` gives is exactly this.
    pub equals: Option<Json>,
    /// What `path` or `header` gives matches this expression.
    pub matches: Option<Pattern>,
    /// True: `path` gives nothing, or null.
    #[serde(default)]
    pub absent: bool,
    /// What it then means.
    #[serde(rename = "as")]
    pub class: Class,
}

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The content was refused by policy: `content_refused`, which does not count against the service.
    Content,
    /// Our credit or quota is spent: `quota`, which does not count against the service.
    Quota,
    /// Our request is wrong: `config`, which does not count against the service.
    Client,
    /// The key was rejected: `auth`.
    Auth,
    /// The service has no room: `rate_limited`.
    Capacity,
    /// The service failed: `job_failed`.
    Service,
}

impl Class {
    /// The reason that a failure of this class has.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Content => Reason::ContentRefused,
            Self::Quota => Reason::Quota,
            Self::Client => Reason::Config,
            Self::Auth => Reason::Auth,
            Self::Capacity => Reason::RateLimited,
            Self::Service => Reason::JobFailed,
        }
    }
}

impl Rule {
    /// True when all of the rule applies to `answer`.
    #[must_use]
    pub fn applies(&self, answer: &Answer, regexes: &Regexes) -> bool {
        let Self { status, path, header, .. } = self;
        status.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(answer.status)))
            && path.as_ref().is_none_or(|path| self.path_applies(path, answer, regexes))
            && header.as_ref().is_none_or(|name| match answer.header(&name.0) {
                None => false,
                Some(value) => self.holds(value, regexes),
            })
    }

    /// What is wrong with the rule, if anything.
    #[must_use]
    pub fn conflict(&self) -> Option<&'static str> {
        let has_value = self.equals.is_some() || self.matches.is_some();
        if self.status.is_none() && self.path.is_none() && self.header.is_none() {
            Some("a rule of `classify` needs `status`, `path` or `header`")
        } else if (has_value || self.absent) && self.path.is_none() && self.header.is_none() {
            Some("`equals`, `matches` and `absent` need a `path` or a `header` to look at")
        } else if self.absent && (has_value || self.path.is_none()) {
            Some("`absent` goes with `path` alone")
        } else {
            None
        }
    }

    fn path_applies(&self, path: &JsonPath, answer: &Answer, regexes: &Regexes) -> bool {
        let Some(json) = answer.json() else { return false };
        let found = path.select(json);
        let mut found = found.iter().filter(|value| !value.is_null());
        if self.absent {
            return found.next().is_none();
        }
        found.any(|value| self.holds(&scalar(value).unwrap_or_else(|| value.to_string()), regexes))
    }

    fn holds(&self, value: &str, regexes: &Regexes) -> bool {
        let wanted = self.equals.as_ref().map(|wanted| match wanted {
            Json::Text(text) => text.expose().to_owned(),
            other => other.expose().to_string(),
        });
        let regex = self.matches.as_ref().and_then(|pattern| regexes.compiled(pattern));
        wanted.is_none_or(|wanted| wanted == value) && regex.is_none_or(|regex| regex.is_match(value.as_bytes()))
    }

    fn each_text<'rule>(&'rule self, visit: &mut dyn FnMut(&'rule Text)) {
        if let Some(wanted) = &self.equals {
            wanted.each_text(visit);
        }
    }
}

/// The failure that the first rule that applies makes of `answer`.
#[must_use]
pub fn classified(rules: &[Rule], answer: &Answer, words: &[JsonPath], regexes: &Regexes) -> Option<Failure> {
    let rule = rules.iter().find(|rule| rule.applies(answer, regexes))?;
    let words = answer.words(words).unwrap_or_else(|| "the service gave no words for it".to_owned());
    Some(Failure::new(rule.class.reason(), format!("status {}: {words}", answer.status)))
}

/// Calls `visit` with every text in the rules, any of which may hold a secret.
pub fn each_text<'rules>(rules: &'rules [Rule], visit: &mut dyn FnMut(&'rules Text)) {
    for rule in rules {
        rule.each_text(visit);
    }
}
