//! The tables of what the `http` probe learns, and the metrics made from it.
//!
//! Names shared with `blackbox_exporter` mean the same as there. Values are found elsewhere in this folder.

use crate::model::measure::{Fact, Kind, Measure, Metric, Series, joined};
use crate::probe::net;

/// From the request being sent to the first byte of the answer.
pub const PROCESSING: &str = "processing";
/// From the first byte of the answer to its last.
pub const TRANSFER: &str = "transfer";

/// Key of the measure of the final status.
pub const STATUS: &str = "status";
/// Key of the measure of the announced length.
pub const CONTENT_LENGTH: &str = "content_length";
/// Key of the measure of the body's size after decompression.
pub const BODY_BYTES: &str = "body_bytes";
/// Key of the measure of redirects followed.
pub const REDIRECTS: &str = "redirects";
/// Key of the measure of whether the final answer came over TLS.
pub const HTTPS: &str = "https";
/// Key of the measure of the HTTP version.
pub const HTTP_VERSION: &str = "http_version";
/// Key of the measure of when the content was last modified.
pub const LAST_MODIFIED: &str = "last_modified";
/// Key of the measure of whether a pattern decided.
pub const FAILED_DUE_TO_REGEX: &str = "failed_due_to_regex";
/// Key of the fact of the protocol.
pub const PROTOCOL: &str = "protocol";
/// Key of the fact of the final address.
pub const FINAL_URL: &str = "final_url";

/// The `http` probe's tables.
pub static KIND: Kind = Kind {
    name: "http",
    about: "One HTTP request, redirects followed, judged by what a user would notice.",
    phases: &[net::RESOLVE, net::CONNECT, net::TLS, PROCESSING, TRANSFER],
    measures: &MEASURES,
    facts: &FACTS,
    series: &SERIES,
    infos: &net::TLS_INFOS,
};

static PHASES: Metric = Metric::gauge(
    "probe_http_duration_seconds",
    "Time taken by each phase of the request, summed over redirects; a phase that was not entered is absent.",
);
static STATUS_METRIC: Metric = Metric::gauge("probe_http_status_code", "Status of the final answer.");
static LENGTH_METRIC: Metric =
    Metric::gauge("probe_http_content_length", "Announced length of the final answer; -1 when unknown.");
static BODY_METRIC: Metric = Metric::gauge(
    "probe_http_uncompressed_body_length",
    "Bytes of body read from the final answer, after decompression.",
);
static REDIRECTS_METRIC: Metric = Metric::gauge("probe_http_redirects", "Redirects followed.");
static SSL_METRIC: Metric = Metric::gauge("probe_http_ssl", "Whether the final answer came over TLS.");
static VERSION_METRIC: Metric = Metric::gauge("probe_http_version", "HTTP version of the final answer: 1, 1.1 or 2.");
static MODIFIED_METRIC: Metric = Metric::gauge(
    "probe_http_last_modified_timestamp_seconds",
    "The final answer's last-modified header, in Unix seconds.",
);
static REGEX_METRIC: Metric =
    Metric::gauge("probe_failed_due_to_regex", "Whether a pattern on body or header failed the attempt.");

static MEASURES: [Measure; 11] = joined(&[
    &[
        Measure::number(STATUS, "The final answer's status."),
        Measure::number(CONTENT_LENGTH, "The final answer's `content-length`; -1 when it has none."),
        Measure::bytes(BODY_BYTES, "Bytes of body read, after decompression."),
        Measure::number(REDIRECTS, "Redirects followed."),
        Measure::number(HTTPS, "1 when the final answer came over TLS, else 0."),
        Measure::number(HTTP_VERSION, "The final answer's HTTP version: 1, 1.1 or 2."),
        Measure::moment(LAST_MODIFIED, "The final answer's `last-modified`, in Unix seconds."),
        Measure::number(FAILED_DUE_TO_REGEX, "1 when a pattern on body or header failed the attempt, else 0."),
    ],
    &net::ADDRESS_MEASURES,
    &[net::CERTIFICATE_MEASURE],
]);

static FACTS: [Fact; 12] = joined(&[
    &[
        Fact { key: PROTOCOL, about: "The final answer's protocol, such as `HTTP/1.1`." },
        Fact { key: FINAL_URL, about: "Where redirects led, without its query." },
    ],
    &net::CONNECTION_FACTS,
]);

static SERIES: [Series; 17] = joined(&[
    &[
        Series::phase(&PHASES, net::RESOLVE),
        Series::phase(&PHASES, net::CONNECT),
        Series::phase(&PHASES, net::TLS),
        Series::phase(&PHASES, PROCESSING),
        Series::phase(&PHASES, TRANSFER),
        Series::measured(&STATUS_METRIC, STATUS),
        Series::measured(&LENGTH_METRIC, CONTENT_LENGTH),
        Series::measured(&BODY_METRIC, BODY_BYTES),
        Series::measured(&REDIRECTS_METRIC, REDIRECTS),
        Series::measured(&SSL_METRIC, HTTPS),
        Series::measured(&VERSION_METRIC, HTTP_VERSION),
        Series::measured(&MODIFIED_METRIC, LAST_MODIFIED),
        Series::measured(&REGEX_METRIC, FAILED_DUE_TO_REGEX),
    ],
    &net::ADDRESS_SERIES,
    &[net::CERTIFICATE_SERIES],
]);
