//! The listed videos, and which of them is to be opened: pure.

use std::time::Duration;

use serde_json::Value;

use super::{Library, Pick};
use crate::base::clock::Timestamp;
use crate::base::duration::shown;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::extract::{moment, scalar};
use crate::probe::pattern::JsonPath;

/// What the list says.
pub struct Shelf<'list> {
    /// In the list's order.
    videos: Vec<Video<'list>>,
}

/// One saved video.
#[derive(Debug, Clone, Copy)]
pub struct Video<'list> {
    /// What the list says of it.
    pub entry: &'list Value,
    /// How old it is, if the list says so.
    pub age: Option<Duration>,
}

impl<'list> Shelf<'list> {
    /// The videos in `document`.
    #[must_use]
    pub fn read(settings: &Library, document: &'list Value, now: Timestamp) -> Self {
        let age = |entry: &Value| {
            let created = settings.created.as_ref()?.select(entry).first().copied().and_then(moment)?;
            Some(Duration::try_from(now.duration_since(created)).unwrap_or(Duration::ZERO))
        };
        let entries = settings.items.select(document).into_iter().take(MAX_ENTRIES);
        Self { videos: entries.map(|entry| Video { entry, age: age(entry) }).collect() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.videos.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.videos.is_empty()
    }

    /// The age of the newest and of the oldest.
    #[must_use]
    pub fn ages(&self) -> Option<(Duration, Duration)> {
        let ages = || self.videos.iter().filter_map(|video| video.age);
        ages().min().zip(ages().max())
    }

    /// The video to open.
    ///
    /// # Errors
    /// A [`Failure`] of reason `no_output` when videos are missing, `stale` when no new ones come.
    pub fn pick(&self, settings: &Library) -> Result<Video<'list>, Failure> {
        let missing = |detail: String| Failure::new(Reason::NoOutput, detail);
        let (count, least) = (self.len(), settings.at_least);
        if (count as u64) < u64::from(least) {
            return Err(missing(format!("expected {least} saved videos at least, the library lists {count}")));
        }
        if let Some(limit) = settings.newest_within {
            match self.ages() {
                None => return Err(missing("no listed video says when it was saved".to_owned())),
                Some((newest, _)) if newest > limit.get() => {
                    let detail = format!("the newest saved video is {} old, expected {limit} at most", shown(newest));
                    return Err(Failure::new(Reason::Stale, detail));
                }
                Some(_) => {}
            }
        }
        let old_enough = |video: &&Video<'_>| {
            settings.older_than.is_none_or(|limit| video.age.is_some_and(|age| age >= limit.get()))
        };
        let candidates: Vec<_> = self.videos.iter().filter(old_enough).collect();
        // Without ages the list's order counts, in which the newest is first.
        let picked = match settings.pick {
            Pick::Newest => candidates.iter().min_by_key(|video| video.age),
            Pick::Oldest => candidates.iter().max_by_key(|video| video.age),
        };
        picked.map(|video| **video).ok_or_else(|| {
            let limit = settings.older_than.map(|limit| format!(" of {limit} or more")).unwrap_or_default();
            let oldest = self.ages().map(|(_, oldest)| format!("; the oldest is {} old", shown(oldest)));
            missing(format!("no saved video{limit} is listed{}", oldest.unwrap_or_default()))
        })
    }
}

impl Video<'_> {
    /// What the library calls it, by `path` or else by its `id`.
    #[must_use]
    pub fn name(&self, path: Option<&JsonPath>) -> Option<String> {
        match path {
            Some(path) => self.text(path),
            None => self.entry.get("id").and_then(usable),
        }
    }

    /// The text that `path` selects in it.
    #[must_use]
    pub fn text(&self, path: &JsonPath) -> Option<String> {
        path.select(self.entry).into_iter().find(|value| !value.is_null()).and_then(usable)
    }
}

fn usable(value: &Value) -> Option<String> {
    scalar(value).filter(|text| !text.is_empty() && text.len() <= MAX_TEXT)
}

const MAX_ENTRIES: usize = 10_000;
const MAX_TEXT: usize = 4096;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn picked(settings: &Value, days: &[u32]) -> Result<u64, (Reason, String)> {
        let mut whole = json!({"list": {"url": "https://a.test/"}, "items": "$[*]", "created": "$.at", "url": "$.url"});
        whole.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let settings: Library = serde_json::from_value(whole).unwrap();
        let now: Timestamp = "2026-01-31T00:00:00Z".parse().unwrap();
        let entry = |days: &u32| json!({"at": now.as_second() - i64::from(*days) * 86_400});
        let list = Value::Array(days.iter().map(entry).collect());
        let shelf = Shelf::read(&settings, &list, now);
        let days = |video: Video<'_>| video.age.unwrap().as_secs() / 86_400;
        shelf.pick(&settings).map(days).map_err(|failure| (failure.reason, failure.detail))
    }

    #[test]
    fn the_oldest_is_opened_unless_another_is_asked_for() {
        assert_eq!(picked(&json!({}), &[1, 30, 7]), Ok(30));
        assert_eq!(picked(&json!({"pick": "newest"}), &[7, 1, 30]), Ok(1));
        assert_eq!(picked(&json!({"pick": "newest", "older_than": "5d"}), &[7, 1, 30]), Ok(7));
    }

    #[test]
    fn what_is_missing_says_so() {
        let (reason, detail) = picked(&json!({"at_least": 3}), &[1]).unwrap_err();
        assert_eq!((reason, &*detail), (Reason::NoOutput, "expected 3 saved videos at least, the library lists 1"));
        let (reason, detail) = picked(&json!({"newest_within": "1d"}), &[3, 9]).unwrap_err();
        assert_eq!(reason, Reason::Stale);
        assert!(detail.starts_with("the newest saved video is "), "{detail}");
        let (reason, detail) = picked(&json!({"older_than": "14d"}), &[3, 9]).unwrap_err();
        assert_eq!(reason, Reason::NoOutput);
        assert!(detail.starts_with("no saved video of 14d or more is listed; the oldest is "), "{detail}");
    }
}
