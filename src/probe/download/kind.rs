//! The tables of what a download learns, and the metrics made from it; generations and libraries share them.

use crate::model::measure::{Fact, Kind, Measure, Metric, Series, Unit, joined};
use crate::probe::http::kind::{PROCESSING, TRANSFER};
use crate::probe::net;

/// Key of the measure of the time to the first byte.
pub const FIRST_BYTE: &str = "first_byte";
/// Key of the measure of bytes read.
pub const BYTES: &str = "bytes";
/// Key of the measure of bytes a second.
pub const THROUGHPUT: &str = "throughput";
/// Key of the measure of the longest gap.
pub const LONGEST_STALL: &str = "longest_stall";
/// Key of the measure of how long the video plays.
pub const MEDIA_DURATION: &str = "media_duration";
/// Key of the measure of how long a signed address still holds.
pub const URL_TIME_LEFT: &str = "url_time_left";
/// Key of the measure of how many ranged requests were made.
pub const REQUESTS: &str = "requests";
/// Key of the fact of what the file is.
pub const MEDIA: &str = "media";
/// Asking the service for the file's address.
pub const LOCATE: &str = "locate";

/// The measures of a transfer.
pub const TRANSFER_MEASURES: [Measure; 7] = [
    Measure::seconds(FIRST_BYTE, "From the start of the transfer to its first byte, in seconds."),
    Measure::bytes(BYTES, "Bytes of the file that came."),
    Measure {
        key: THROUGHPUT,
        about: "Bytes a second from the first byte to the last; absent with `mode: ranges`.",
        unit: Unit::BytesPerSecond,
    },
    Measure::seconds(LONGEST_STALL, "The longest time in which nothing came, in seconds."),
    Measure::seconds(MEDIA_DURATION, "How long the video plays, in seconds, by the file's own index."),
    Measure::seconds(URL_TIME_LEFT, "How long the signed address still holds, in seconds; negative when it does not."),
    Measure::number(REQUESTS, "Requests made with `mode: ranges`."),
];

/// The fact of a transfer.
pub const MEDIA_FACT: Fact = Fact { key: MEDIA, about: "What the file is: container, codecs, size, duration." };

/// The series of a transfer.
pub const TRANSFER_SERIES: [Series; 6] = [
    Series::measured(&FIRST_BYTE_METRIC, FIRST_BYTE),
    Series::measured(&BYTES_METRIC, BYTES),
    Series::measured(&THROUGHPUT_METRIC, THROUGHPUT),
    Series::measured(&STALL_METRIC, LONGEST_STALL),
    Series::measured(&DURATION_METRIC, MEDIA_DURATION),
    Series::measured(&TIME_LEFT_METRIC, URL_TIME_LEFT),
];

/// The `download` probe's tables.
pub static KIND: Kind = Kind {
    name: "download",
    about: "One file fetched as a user would, measured on the way, and checked to be playable.",
    phases: &[LOCATE, net::RESOLVE, net::CONNECT, net::TLS, PROCESSING, TRANSFER],
    measures: &MEASURES,
    facts: &FACTS,
    series: &SERIES,
    infos: &net::TLS_INFOS,
};

static PHASES: Metric = Metric::gauge(
    "forewarn_download_phase_seconds",
    "Time taken by each phase of the download; a phase that was not entered is absent.",
);
static FIRST_BYTE_METRIC: Metric =
    Metric::gauge("forewarn_download_first_byte_seconds", "From the start of the transfer to its first byte.");
static BYTES_METRIC: Metric = Metric::gauge("forewarn_download_bytes", "Bytes of the file that came.");
static THROUGHPUT_METRIC: Metric = Metric::gauge(
    "forewarn_download_throughput_bytes_per_second",
    "Bytes a second from the first byte to the last; absent when the file is read by ranges.",
);
static STALL_METRIC: Metric =
    Metric::gauge("forewarn_download_longest_stall_seconds", "The longest time in which nothing came.");
static DURATION_METRIC: Metric =
    Metric::gauge("forewarn_media_duration_seconds", "How long the video plays, by its own index.");
static TIME_LEFT_METRIC: Metric = Metric::gauge(
    "forewarn_download_url_time_left_seconds",
    "How long the signed address still held when it was used; negative when it did not.",
);

static MEASURES: [Measure; 10] = joined(&[&TRANSFER_MEASURES, &net::ADDRESS_MEASURES, &[net::CERTIFICATE_MEASURE]]);

static FACTS: [Fact; 11] = joined(&[&[MEDIA_FACT], &net::CONNECTION_FACTS]);

static SERIES: [Series; 16] = joined(&[
    &[
        Series::phase(&PHASES, LOCATE),
        Series::phase(&PHASES, net::RESOLVE),
        Series::phase(&PHASES, net::CONNECT),
        Series::phase(&PHASES, net::TLS),
        Series::phase(&PHASES, PROCESSING),
        Series::phase(&PHASES, TRANSFER),
    ],
    &TRANSFER_SERIES,
    &net::ADDRESS_SERIES,
    &[net::CERTIFICATE_SERIES],
]);
