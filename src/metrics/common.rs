//! The metrics that every probe has, whatever its type, and the numbers that they are made from.
//!
//! Written as a [`Kind`] like those of the probe types, so that one mechanism lays out, fills and renders them all.
//! It measures nothing: [`state`](super::state) derives the numbers from the result's own fields.

use crate::model::measure::{Form, Kind, Label, Measure, Metric, Series, Source};

/// The tables of every probe.
///
/// The keys `ok`, `degraded` and `failed` are [`Outcome::LABELS`](crate::model::outcome::Outcome::LABELS).
pub(super) static COMMON: Kind = Kind {
    name: "all",
    about: "What is known of every attempt.",
    phases: &[],
    measures: &[
        Measure::number(SUCCESS, "1 unless the attempt failed"),
        Measure::seconds(DURATION, "seconds from the real start to the end"),
        Measure::seconds(TIMEOUT, "seconds that an attempt may take"),
        Measure::moment(STARTED, "Unix time of the real start"),
        Measure::number("ok", "1 for an attempt that met every expectation"),
        Measure::number("degraded", "1 for an attempt that only broke a `warn` rule"),
        Measure::number("failed", "1 for an attempt that failed"),
        Measure::number(SKIPPED, "1 for an attempt that was due and not made"),
        Measure::number(CONFIRMED, "1 for a second look that failed again"),
        Measure::number(RECOVERED, "1 for a second look that found all well"),
    ],
    facts: &[],
    series: &[
        Series::measured(&PROBE_SUCCESS, SUCCESS),
        Series::measured(&PROBE_DURATION, DURATION),
        Series::measured(&PROBE_TIMEOUT, TIMEOUT),
        Series::measured(&LAST_RUN, STARTED),
        Series { metric: &RUNS, label: Some(Label::Value("outcome", "ok")), from: Source::Measure("ok") },
        Series { metric: &RUNS, label: Some(Label::Value("outcome", "degraded")), from: Source::Measure("degraded") },
        Series { metric: &RUNS, label: Some(Label::Value("outcome", "failed")), from: Source::Measure("failed") },
        Series { metric: &RUNS, label: Some(Label::Value("outcome", "skipped")), from: Source::Measure(SKIPPED) },
        Series {
            metric: &CONFIRMATIONS,
            label: Some(Label::Value("result", "confirmed")),
            from: Source::Measure(CONFIRMED),
        },
        Series {
            metric: &CONFIRMATIONS,
            label: Some(Label::Value("result", "recovered")),
            from: Source::Measure(RECOVERED),
        },
        Series::measured(&RUN_DURATION, DURATION),
    ],
    infos: &[],
};

pub(super) const SUCCESS: &str = "success";
pub(super) const DURATION: &str = "duration";
pub(super) const TIMEOUT: &str = "timeout";
pub(super) const STARTED: &str = "started";
pub(super) const SKIPPED: &str = "skipped";
pub(super) const CONFIRMED: &str = "confirmed";
pub(super) const RECOVERED: &str = "recovered";

/// Failed attempts by reason. Its series are not in the tables: each appears when it is first needed.
///
/// 33 reasons × 3 blames × 10,000 probes would be a million series at zero. `increase()` therefore misses the very first
/// failure of each reason; rules that must not miss it use `forewarn_probe_runs_total{outcome="failed"}`, which is there
/// from the start and always equals the sum over the reasons.
pub(super) static FAILURES: Metric = Metric {
    name: "forewarn_probe_failures_total",
    help: "Failed attempts by reason and by who is to blame; a series appears with its first failure.",
    form: Form::Counter,
};

/// The labels of [`FAILURES`].
pub(super) const FAILURE_LABELS: [&str; 2] = ["reason", "blame"];

/// Attempts that were due and not made, by cause. Appears when first needed, like [`FAILURES`].
pub(super) static SKIPS: Metric = Metric {
    name: "forewarn_probe_runs_skipped_total",
    help: "Attempts that were due and not made, by cause; a series appears with its first skip.",
    form: Form::Counter,
};

/// The label of [`SKIPS`].
pub(super) const SKIP_LABEL: &str = "why";

static PROBE_SUCCESS: Metric = Metric {
    name: "probe_success",
    help: "Whether the last attempt succeeded: 1 for ok and degraded, 0 for failed.",
    form: Form::Gauge,
};

static PROBE_DURATION: Metric = Metric {
    name: "probe_duration_seconds",
    help: "How long the last attempt took, from its real start.",
    form: Form::Gauge,
};

static PROBE_TIMEOUT: Metric =
    Metric { name: "probe_timeout_seconds", help: "How long an attempt of this probe may take.", form: Form::Gauge };

static LAST_RUN: Metric = Metric {
    name: "forewarn_probe_last_run_timestamp_seconds",
    help: "When the attempt that finished last was started.",
    form: Form::Gauge,
};

static RUNS: Metric = Metric {
    name: "forewarn_probe_runs_total",
    help: "Attempts by outcome; skipped ones were due and not made.",
    form: Form::Counter,
};

static CONFIRMATIONS: Metric = Metric {
    name: "forewarn_probe_confirmations_total",
    help: "Second looks after a first failure: confirmed ones failed again, recovered ones did not.",
    form: Form::Counter,
};

static RUN_DURATION: Metric = Metric {
    name: "forewarn_probe_run_duration_seconds",
    help: "How long attempts took, from their real start.",
    form: Form::Histogram(&[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0]),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Outcome;

    #[test]
    fn every_outcome_is_counted() {
        let counted: Vec<_> = COMMON.series.iter().filter(|series| series.metric == &RUNS).collect();
        assert_eq!(counted.len(), Outcome::LABELS.len() + 1);
        for (series, outcome) in counted.iter().zip(Outcome::LABELS.into_iter().chain([SKIPPED])) {
            assert_eq!(series.label, Some(Label::Value("outcome", outcome)));
            assert_eq!(series.from, Source::Measure(outcome));
        }
    }
}
