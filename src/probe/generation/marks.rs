//! What the service's own clock says of a job: when it was queued, begun and done.
//!
//! Its clock may differ from ours, so only spans between its marks are used, never a mark against our time.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::base::clock::Timestamp;
use crate::probe::api::answer::Answer;
use crate::probe::api::extract::moment;
use crate::probe::pattern::JsonPath;

/// Where answers hold the service's own times. Times are RFC 3339, or Unix seconds or milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Marks {
    /// When the job was queued.
    pub created: Option<JsonPath>,
    /// When it was begun.
    pub started: Option<JsonPath>,
    /// When it was done.
    pub completed: Option<JsonPath>,
    /// How long it was worked on, in seconds; instead of `started` and `completed`.
    pub render: Option<JsonPath>,
}

/// Spans by the service's own clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spans {
    /// In the queue.
    pub queue: Option<Duration>,
    /// Being worked on.
    pub render: Option<Duration>,
}

impl Marks {
    /// What `answer` says.
    #[must_use]
    pub fn spans(&self, answer: &Answer) -> Spans {
        let Some(document) = answer.json() else { return Spans::default() };
        let find = |path: &Option<JsonPath>| path.as_ref()?.select(document).first().copied();
        let (created, started, completed) = (
            find(&self.created).and_then(moment),
            find(&self.started).and_then(moment),
            find(&self.completed).and_then(moment),
        );
        let render = find(&self.render).and_then(seconds);
        Spans { queue: span(created, started), render: render.or_else(|| span(started, completed)) }
    }
}

fn seconds(value: &Value) -> Option<Duration> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    Duration::try_from_secs_f64(number).ok().filter(|span| *span < LONGEST)
}

/// From one mark to the next; a span that is negative or absurd is a clock's mistake.
fn span(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<Duration> {
    Duration::try_from(to?.duration_since(from?)).ok().filter(|span| *span < LONGEST)
}

const LONGEST: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spans(marks: Value, body: &Value) -> Spans {
        let marks: Marks = serde_json::from_value(marks).unwrap();
        let (head, ()) = hyper::Response::new(()).into_parts();
        marks.spans(&Answer::new(head, body.to_string().into(), 1 << 20))
    }

    #[test]
    fn spans_come_from_the_services_own_marks() {
        let marks = json!({"created": "$.c", "started": "$.s", "completed": "$.d"});
        for body in [
            json!({"c": "2026-01-01T00:00:00Z", "s": "2026-01-01T00:00:41Z", "d": "2026-01-01T00:01:44Z"}),
            json!({"c": 1_767_225_600, "s": 1_767_225_641.0, "d": 1_767_225_704}),
            json!({"c": 1_767_225_600_000_u64, "s": 1_767_225_641_000_u64, "d": 1_767_225_704_000_u64}),
        ] {
            let expected = Spans { queue: Some(Duration::from_secs(41)), render: Some(Duration::from_secs(63)) };
            assert_eq!(spans(marks.clone(), &body), expected, "{body}");
        }
        let render = spans(json!({"render": "$.metrics.predict_time"}), &json!({"metrics": {"predict_time": 2.5}}));
        assert_eq!(render, Spans { queue: None, render: Some(Duration::from_millis(2500)) });
    }

    #[test]
    fn nonsense_gives_no_spans() {
        let marks = json!({"created": "$.c", "started": "$.s"});
        for body in [
            json!({"c": "2026-01-02T00:00:00Z", "s": "2026-01-01T00:00:00Z"}),
            json!({"c": "yesterday", "s": 1e300}),
            json!({"c": null, "s": []}),
            json!({"c": 0, "s": 1e10}),
        ] {
            assert_eq!(spans(marks.clone(), &body), Spans::default(), "{body}");
        }
    }
}
