//! Which part of a file a request asks for (RFC 9110, sections 13.1.5 and 14).
//!
//! One range is honoured; of several, the whole file comes, which the RFC allows. Dates in If-Range never match.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderValue, header};

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of it.
    Whole,
    /// These bytes of it; at least one.
    Part(Range<usize>),
    /// The range lies outside the file.
    Outside,
}

/// What a request asks for of a file of this many bytes.
pub(super) fn select(request: &HeaderMap, etag: &HeaderValue, length: usize) -> Selection {
    let stale = request.get(header::IF_RANGE).is_some_and(|known| known != etag);
    let asked = request.get(header::RANGE).and_then(|value| value.to_str().ok());
    match asked.filter(|_| !stale).and_then(parse) {
        None => Selection::Whole,
        Some((first, last)) => match (first, last) {
            // The last so many bytes.
            (None, count) if count > 0 && length > 0 => Selection::Part(length.saturating_sub(count)..length),
            (Some(first), last) if first < length => Selection::Part(first..last.saturating_add(1).min(length)),
            _ => Selection::Outside,
        },
    }
}

/// The first and the last byte of a single range; without a first one, the second is a count from the end. None when it
/// is not in that form, which means that the header is ignored.
fn parse(text: &str) -> Option<(Option<usize>, usize)> {
    let digits = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More digits than fit are more than any file has.
        is_number.then(|| text.parse().unwrap_or(usize::MAX))
    };
    let (first, last) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
    match (first, last) {
        ("", count) => Some((None, digits(count)?)),
        (first, "") => Some((Some(digits(first)?), usize::MAX)),
        (first, last) => {
            let (first, last) = (digits(first)?, digits(last)?);
            (first <= last).then_some((Some(first), last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: HeaderValue = HeaderValue::from_static("\"a\"");

    fn of(range: &str, length: usize) -> Selection {
        let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_str(range).unwrap())]);
        select(&headers, &ETAG, length)
    }

    #[test]
    fn one_range_is_honoured() {
        for (range, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-4", 2..5),
            ("bytes=5-", 5..10),
            ("bytes=-3", 7..10),
            ("bytes=-30", 0..10),
            ("bytes=9-99999999999999999999999", 9..10),
        ] {
            assert_eq!(of(range, 10), Selection::Part(part), "{range}");
        }
    }

    #[test]
    fn what_lies_outside_is_refused() {
        for (range, length) in
            [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-5", 0)]
        {
            assert_eq!(of(range, length), Selection::Outside, "{range} of {length}");
        }
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for range in ["bytes=0-1,3-4", "bytes=4-2", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=+1-2", ""] {
            assert_eq!(of(range, 10), Selection::Whole, "{range}");
        }
        assert_eq!(select(&HeaderMap::new(), &ETAG, 10), Selection::Whole);
    }

    #[test]
    fn a_range_of_another_version_gets_the_whole() {
        let ask = |known| {
            let range = (header::RANGE, HeaderValue::from_static("bytes=1-2"));
            select(&HeaderMap::from_iter([range, (header::IF_RANGE, HeaderValue::from_static(known))]), &ETAG, 10)
        };
        assert_eq!(ask("\"a\""), Selection::Part(1..3));
        assert_eq!(ask("\"b\""), Selection::Whole);
        assert_eq!(ask("W/\"a\""), Selection::Whole);
        assert_eq!(ask("Thu, 01 Jan 2026 00:00:00 GMT"), Selection::Whole);
    }
}
