//! The tables of what the `library` probe learns, and the metrics made from it.

use crate::model::measure::{Fact, Kind, Measure, Metric, Series, joined};
use crate::probe::download::kind::{MEDIA_FACT, TRANSFER_MEASURES, TRANSFER_SERIES};
use crate::probe::http::kind::{PROCESSING, TRANSFER};
use crate::probe::net;

/// Listing the videos.
pub const LIST: &str = "list";
/// Asking for one video's address.
pub const ITEM: &str = "item";
/// Key of the measure of how many videos are listed.
pub const ITEMS: &str = "items";
/// Key of the measure of the newest's age.
pub const NEWEST: &str = "newest_age";
/// Key of the measure of the oldest's age.
pub const OLDEST: &str = "oldest_age";
/// Key of the fact of which video was opened.
pub const VIDEO: &str = "video";

/// The `library` probe's tables.
pub static KIND: Kind = Kind {
    name: "library",
    about: "Saved videos, listed through the API; an old one is opened by a fresh address and checked to be playable.",
    phases: &[LIST, ITEM, net::RESOLVE, net::CONNECT, net::TLS, PROCESSING, TRANSFER],
    measures: &MEASURES,
    facts: &FACTS,
    series: &SERIES,
    infos: &net::TLS_INFOS,
};

static PHASES: Metric = Metric::gauge(
    "forewarn_library_phase_seconds",
    "Time taken by each phase of the library's check; a phase that was not entered is absent.",
);
static ITEMS_METRIC: Metric = Metric::gauge("forewarn_library_items", "Videos that the library lists.");
static NEWEST_METRIC: Metric = Metric::gauge("forewarn_library_newest_age_seconds", "Age of the newest saved video.");
static OLDEST_METRIC: Metric = Metric::gauge("forewarn_library_oldest_age_seconds", "Age of the oldest saved video.");

static MEASURES: [Measure; 13] = joined(&[
    &[
        Measure::number(ITEMS, "Videos that the library lists."),
        Measure::seconds(NEWEST, "Age of the newest, in seconds."),
        Measure::seconds(OLDEST, "Age of the oldest, in seconds."),
    ],
    &TRANSFER_MEASURES,
    &net::ADDRESS_MEASURES,
    &[net::CERTIFICATE_MEASURE],
]);

static FACTS: [Fact; 12] = joined(&[
    &[Fact { key: VIDEO, about: "Which video was opened, by the library's name for it." }, MEDIA_FACT],
    &net::CONNECTION_FACTS,
]);

static SERIES: [Series; 20] = joined(&[
    &[
        Series::phase(&PHASES, LIST),
        Series::phase(&PHASES, ITEM),
        Series::phase(&PHASES, net::RESOLVE),
        Series::phase(&PHASES, net::CONNECT),
        Series::phase(&PHASES, net::TLS),
        Series::phase(&PHASES, PROCESSING),
        Series::phase(&PHASES, TRANSFER),
        Series::measured(&ITEMS_METRIC, ITEMS),
        Series::measured(&NEWEST_METRIC, NEWEST),
        Series::measured(&OLDEST_METRIC, OLDEST),
    ],
    &TRANSFER_SERIES,
    &net::ADDRESS_SERIES,
    &[net::CERTIFICATE_SERIES],
]);
