//! The tables of what the `generation` probe learns, and the metrics made from it.

use crate::model::job::{JOBS, OLDEST, PLACE};
use crate::model::measure::{Fact, Form, Kind, Label, Measure, Metric, Series, Source, joined};
use crate::probe::download::kind::{MEDIA_FACT, TRANSFER_MEASURES, TRANSFER_SERIES};

/// Until the submission is answered.
pub const SUBMIT: &str = "submit";
/// From then until the job is begun.
pub const QUEUE: &str = "queue";
/// From then until it is called done.
pub const RENDER: &str = "render";
/// Until the video's address is known.
pub const RESULT: &str = "result";
/// Until the video has come and was looked into.
pub const DOWNLOAD: &str = "download";
/// The stages, in order.
pub const STAGES: [&str; 5] = [SUBMIT, QUEUE, RENDER, RESULT, DOWNLOAD];

/// Key of the measure of the whole.
pub const TOTAL: &str = "total";
/// Key of the measure of the last known place in the queue.
pub const POSITION: &str = "position";
/// Key of the measure of the money spent.
pub const SPENT: &str = "spent";
/// Key of the measure of how often the service was asked.
pub const POLLS: &str = "polls";
/// Key of the measure of how often it gave no usable answer.
pub const POLL_FAILURES: &str = "poll_failures";
/// Key of the measure of answers with a state that the settings do not know.
pub const UNKNOWN_STATES: &str = "unknown_states";
/// Key of the measure of the balance before the submission.
pub const BALANCE: &str = "credit_balance";
/// Key of the measure of credit that did not come back.
pub const CREDITS_LOST: &str = "credits_lost";
/// Key of the fact of what the service calls the job.
pub const JOB: &str = "job";
/// Key of the setting that names the budget's unit.
pub const UNIT: &str = "unit";

/// The `generation` probe's tables.
pub static KIND: Kind = Kind {
    name: "generation",
    about: "An asynchronous job: submitted, followed until it ends, its result fetched and checked to be playable.",
    phases: &STAGES,
    measures: &MEASURES,
    facts: &[Fact { key: JOB, about: "What the service calls the job." }, MEDIA_FACT],
    series: &SERIES,
    infos: &[],
};

const fn stage(name: &'static str) -> Series {
    Series { metric: &STAGE_METRIC, label: Some(Label::Value("stage", name)), from: Source::Measure(name) }
}

const fn last(name: &'static str) -> Series {
    Series { metric: &LAST_METRIC, label: Some(Label::Value("stage", name)), from: Source::Measure(name) }
}

const fn pending(metric: &'static Metric, key: &'static str) -> Series {
    Series { metric, label: None, from: Source::Pending(key) }
}

static STAGE_METRIC: Metric = Metric {
    name: "forewarn_generation_stage_seconds",
    help: "Time that jobs took in each stage, up to where they failed.",
    form: Form::Histogram(&STAGE_BUCKETS),
};
static LAST_METRIC: Metric = Metric::gauge(
    "forewarn_generation_stage_last_seconds",
    "Time that the last job took in each stage; a stage that it did not reach is absent.",
);
static JOBS_METRIC: Metric =
    Metric::gauge("forewarn_generation_outstanding_jobs", "Jobs that were submitted and have not ended.");
static POSITION_METRIC: Metric = Metric::gauge(
    "forewarn_generation_queue_position",
    "Place in the service's queue of the oldest outstanding job; absent when there is none or the service does not say.",
);
static OLDEST_METRIC: Metric = Metric::gauge(
    "forewarn_generation_oldest_job_age_seconds",
    "How long ago the oldest outstanding job was submitted; 0 when there is none.",
);
static SPENT_METRIC: Metric = Metric {
    name: "forewarn_generation_spent_total",
    help: "What jobs were counted with in the budget, by its unit.",
    form: Form::Counter,
};
static FAILURES_METRIC: Metric = Metric {
    name: "forewarn_generation_poll_failures_total",
    help: "Questions about a job's state that got no usable answer.",
    form: Form::Counter,
};
static UNKNOWN_METRIC: Metric = Metric {
    name: "forewarn_generation_unknown_states_total",
    help: "Answers with a state that the settings do not know; the service may have changed its API.",
    form: Form::Counter,
};
static BALANCE_METRIC: Metric =
    Metric::gauge("forewarn_generation_credit_balance", "The account's balance before the last submission.");
static LOST_METRIC: Metric = Metric {
    name: "forewarn_generation_credits_lost_total",
    help: "Credit taken for failed jobs that did not come back.",
    form: Form::Counter,
};

/// Seconds: from an answer in a tenth to a render of an hour.
const STAGE_BUCKETS: [f64; 15] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

static MEASURES: [Measure; 20] = joined(&[
    &[
        Measure::seconds(SUBMIT, "Until the submission is answered, in seconds."),
        Measure::seconds(
            QUEUE,
            "From then until the job is begun, in seconds: by the service's marks, else as observed.",
        ),
        Measure::seconds(
            RENDER,
            "From then until it is called done, in seconds: by the service's marks, else as observed.",
        ),
        Measure::seconds(RESULT, "Until the video's address is known, in seconds."),
        Measure::seconds(DOWNLOAD, "Until the video has come, in seconds."),
        Measure::seconds(
            TOTAL,
            "From the submission to the end, in seconds; absent for a job taken over after a restart.",
        ),
        Measure::number(POSITION, "The last known place in the queue."),
        Measure::number(SPENT, "What the job was counted with in the budget, in the budget's unit."),
        Measure::number(POLLS, "How often the service was asked where the job stands."),
        Measure::number(POLL_FAILURES, "How often it gave no usable answer."),
        Measure::number(UNKNOWN_STATES, "Answers with a state that the settings do not know."),
        Measure::number(BALANCE, "The account's balance before the submission."),
        Measure::number(CREDITS_LOST, "Credit taken for a failed job that did not come back."),
    ],
    &TRANSFER_MEASURES,
]);

static SERIES: [Series; 24] = joined(&[
    &[
        stage(SUBMIT),
        stage(QUEUE),
        stage(RENDER),
        stage(RESULT),
        stage(DOWNLOAD),
        last(SUBMIT),
        last(QUEUE),
        last(RENDER),
        last(RESULT),
        last(DOWNLOAD),
        pending(&JOBS_METRIC, JOBS),
        pending(&POSITION_METRIC, PLACE),
        pending(&OLDEST_METRIC, OLDEST),
        Series { metric: &SPENT_METRIC, label: Some(Label::Setting(UNIT, UNIT)), from: Source::Measure(SPENT) },
        Series::measured(&FAILURES_METRIC, POLL_FAILURES),
        Series::measured(&UNKNOWN_METRIC, UNKNOWN_STATES),
        Series::measured(&BALANCE_METRIC, BALANCE),
        Series::measured(&LOST_METRIC, CREDITS_LOST),
    ],
    &TRANSFER_SERIES,
]);
