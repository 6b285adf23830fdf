//! Requests that lead to something, each using what those before it extracted.
//!
//! Stops at the first answer that is refused or gives nothing; tries nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use url::Url;

use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::answer::Answer;
use crate::probe::api::call_settings;
use crate::probe::api::caller::{Caller, Manner};
use crate::probe::api::extract::Extract;
use crate::probe::api::template::{Template, Values, is_place_name};
use crate::probe::pattern::Regexes;

call_settings! {
    /// A request that gives something that a later one needs.
    pub struct Locate {
        /// What to take out of the answer, by the name under which later requests use it: a JSON path or a header.
        #[serde(default)]
        pub extract: BTreeMap<String, Extract>,
    }
}

/// What is wrong with a chain of requests that must give `url`, or what the address `last` is put together from.
pub fn conflicts(chain: &[Locate], last: Option<&Template>) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    for (step, locate) in chain.iter().enumerate() {
        let number = step + 1;
        match &locate.url {
            None => found.push(format!("request {number} lacks `url`")),
            Some(url) => {
                if step == 0 && url.origin().is_none() {
                    found.push("the first request's address must be written out".to_owned());
                }
                let missing = url.places().filter(|place| !known.contains(*place));
                found.extend(
                    missing.map(|place| format!("request {number} uses `{{{place}}}`, which none before it extracts")),
                );
            }
        }
        found.extend(locate.call().and_then(|call| call.conflict()));
        for name in locate.extract.keys() {
            if !is_place_name(name) {
                found.push(format!("`{name}` cannot be a name; use a-z and _"));
            }
            known.insert(name.clone());
        }
    }
    let wanted: Vec<String> =
        last.map_or_else(|| vec!["url".to_owned()], |url| url.places().map(str::to_owned).collect());
    let missing = wanted.into_iter().filter(|name| !known.contains(name));
    found.extend(missing.map(|name| format!("no request extracts `{name}`, which the file's address needs")));
    found.into_iter()
}

/// Makes the requests of `chain` in order, each within `limit`; gives back all that was extracted, and where the last
/// answer came from.
///
/// # Errors
/// The [`Failure`] of the first request that was refused, or gave nothing.
pub async fn follow(
    chain: &[Locate],
    caller: &Caller,
    regexes: &Regexes,
    limit: Duration,
) -> Result<(Values, Option<Url>), Failure> {
    let mut values = Values::new();
    let mut base = None;
    let inherited = chain.first().map(|first| first.headers.clone());
    for (step, locate) in chain.iter().enumerate() {
        // Which one it was is worth a word where there are several.
        let told = |failure: Failure| match chain.len() {
            1 => failure,
            _ => Failure { detail: format!("request {} of `from`: {}", step + 1, failure.detail), ..failure },
        };
        let call = locate.call().ok_or_else(|| Failure::new(Reason::Config, "a request of `from` lacks `url`"))?;
        let manner = Manner { inherited: inherited.as_ref(), ..Manner::alone(limit) };
        let reached = caller.call(&call, &values, manner).await.map_err(|unanswered| told(unanswered.into()))?;
        if !call.accepts(reached.answer.status) {
            return Err(told(reached.answer.refusal(&call, &[])));
        }
        take(locate, &reached.answer, regexes, &mut values).map_err(told)?;
        base = Some(reached.url);
    }
    Ok((values, base))
}

/// Takes what `locate` wants out of its answer.
fn take(locate: &Locate, answer: &Answer, regexes: &Regexes, values: &mut Values) -> Result<(), Failure> {
    for (name, extract) in &locate.extract {
        let value = extract.value(answer, regexes)?.ok_or_else(|| {
            // An answer that is no JSON at all says more by its own words.
            let why = answer.document().err().map(|failure| format!("; {}", failure.detail));
            let detail =
                format!("expected a value at {extract} for `{name}`, there is none{}", why.unwrap_or_default());
            Failure::new(Reason::NoOutput, detail)
        })?;
        values.insert(name.clone(), value);
    }
    Ok(())
}

/// The address that `template` makes of what was extracted; an address without a host belongs to where it was found.
///
/// # Errors
/// A [`Failure`] of reason `protocol` for what is no address.
pub fn address(template: Option<&Template>, values: &mut Values, base: Option<&Url>) -> Result<Url, Failure> {
    if let (Some(url), Some(base)) = (values.get("url"), base)
        && let Ok(joined) = base.join(url)
    {
        values.insert("url".to_owned(), joined.into());
    }
    match template {
        Some(template) => template.fill(values),
        None => Template::whole("url").fill(values),
    }
}
