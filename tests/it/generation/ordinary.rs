//! An ordinary service of jobs, and its definition: tests change one thing about it.

use serde_json::{Value, json};

use super::stand_in::{Reply, Script, StandIn, reply};

/// Jobs that wait, are worked on and are done, with the video at `media`.
pub(crate) fn script(media: &StandIn) -> Script {
    Script::keyed("authorization", "Bearer value-of-KEY")
        .on(SUBMIT, [reply(201, json!({"id": "j1"}))])
        .on(JOB, [queued(3), queued(1), running(), done(media)])
        .on(CANCEL, [reply(204, json!(null))])
}

/// The settings that go with it.
pub(crate) fn job(service: &StandIn) -> Value {
    json!({
        "submit": {
            "url": service.url("/jobs"),
            "headers": {"authorization": "Bearer ${env:KEY}"},
            "json": {"prompt": "a red kite"},
        },
        "job": {"id": "$.id"},
        "poll": {"url": service.url("/jobs/{id}"), "every": "250ms"},
        "state": {"from": "$.status", "queued": "queued", "running": "running", "succeeded": "done", "failed": "failed"},
        "position": "$.position",
        "result": {"media": "$.url"},
        "media": {"container": "mp4"},
        "cancel": {"method": "DELETE", "url": service.url("/jobs/{id}")},
    })
}

pub(crate) fn queued(position: u32) -> Reply {
    reply(200, json!({"status": "queued", "position": position}))
}

pub(crate) fn running() -> Reply {
    reply(200, json!({"status": "running"}))
}

pub(crate) fn done(media: &StandIn) -> Reply {
    reply(200, json!({"status": "done", "url": media.url("/kite.mp4")}))
}

pub(crate) fn failed(words: &str) -> Reply {
    reply(200, json!({"status": "failed", "error": words}))
}

pub(crate) const SUBMIT: &str = "POST /jobs";
pub(crate) const JOB: &str = "GET /jobs/j1";
pub(crate) const CANCEL: &str = "DELETE /jobs/j1";
