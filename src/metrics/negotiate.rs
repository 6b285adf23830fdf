//! Which format and encoding a scraper gets, from what its request says it accepts (RFC 9110, section 12.5).
//!
//! Never refuses: a scraper that asks for something unknown gets Prometheus text, which all of them read.

use super::format::Format;

/// How the body's bytes are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// The `Content-Encoding` to answer with, if any.
    pub(super) const fn header(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
        }
    }
}

/// The format that `Accept` prefers among those known; the first of equals.
pub(super) fn format(accept: Option<&str>) -> Format {
    let mut best = (Format::Text, 0.0);
    for choice in choices(accept.unwrap_or_default()) {
        if let Some(format) = offered(&choice)
            && choice.quality > best.1
        {
            best = (format, choice.quality);
        }
    }
    best.0
}

/// gzip if `Accept-Encoding` allows it. By name it counts before `*`.
pub(super) fn encoding(accept_encoding: Option<&str>) -> Encoding {
    let quality = |wanted: fn(&str) -> bool| {
        choices(accept_encoding.unwrap_or_default()).find(|choice| wanted(choice.name)).map(|choice| choice.quality)
    };
    let named = quality(|name| name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip"));
    match named.or_else(|| quality(|name| name == "*")) {
        Some(quality) if quality > 0.0 => Encoding::Gzip,
        _ => Encoding::Identity,
    }
}

/// One element of an `Accept` header.
struct Choice<'a> {
    name: &'a str,
    version: Option<&'a str>,
    quality: f32,
}

/// The elements of a header, as many as a sane client sends. An unreadable quality counts as "not wanted".
fn choices(header: &str) -> impl Iterator<Item = Choice<'_>> {
    header.split(',').take(MOST_CHOICES).map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let mut choice = Choice { name, version: None, quality: 1.0 };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            if key.eq_ignore_ascii_case("q") {
                choice.quality = value.parse().ok().filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(0.0);
            } else if key.eq_ignore_ascii_case("version") {
                choice.version = Some(value.trim_matches('"'));
            }
        }
        choice
    })
}

/// The format that an element of `Accept` asks for, if it is one of ours.
fn offered(choice: &Choice<'_>) -> Option<Format> {
    let is = |name: &str| choice.name.eq_ignore_ascii_case(name);
    match choice.version {
        None | Some("1.0.0") if is("application/openmetrics-text") => Some(Format::OpenMetrics),
        None | Some("0.0.4") if is("text/plain") => Some(Format::Text),
        None if is("*/*") || is("text/*") => Some(Format::Text),
        _ => None,
    }
}

const MOST_CHOICES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapers_get_what_they_prefer() {
        for (accept, expected) in [
            // Prometheus 2.42
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            // Prometheus 3 with native histograms
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4", Format::Text),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("application/openmetrics-text;q=0, */*", Format::Text),
            ("application/openmetrics-text;q=nan", Format::Text),
            ("application/openmetrics-text;q=7", Format::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
            ("image/png", Format::Text),
            (",;;=,q=1", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(format(Some(accept)), expected, "{accept}");
        }
        assert_eq!(format(None), Format::Text);
    }

    #[test]
    fn gzip_is_sent_only_to_those_who_accept_it() {
        for (accept, expected) in [
            ("gzip", Encoding::Gzip),
            ("deflate, GZIP;q=0.5", Encoding::Gzip),
            ("*", Encoding::Gzip),
            ("gzip;q=0, *", Encoding::Identity),
            ("*;q=0", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("br, zstd", Encoding::Identity),
            ("", Encoding::Identity),
        ] {
            assert_eq!(encoding(Some(accept)), expected, "{accept}");
        }
        assert_eq!(encoding(None), Encoding::Identity);
    }
}
