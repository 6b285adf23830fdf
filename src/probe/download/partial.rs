//! What answers to ranged requests say of the part that they bring and of the whole, which must stay the same.
//!
//! Reads headers only.

use hyper::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue};

use crate::model::outcome::Failure;
use crate::model::reason::Reason;

/// The part of a file that a 206 brings, by `content-range` (RFC 9110 §14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its first byte.
    pub start: u64,
    /// Its last byte.
    pub last: u64,
    /// The length of the whole, if it is said.
    pub total: Option<u64>,
}

impl Part {
    /// The part that these headers announce, which was asked for from byte `at`.
    ///
    /// # Errors
    /// A [`Failure`] of reason `protocol` for no part at all, or another one.
    pub fn asked_for(headers: &HeaderMap, at: u64) -> Result<Self, Failure> {
        let unreadable = "the answer is partial (206) and has no content-range that can be read";
        let part = Self::read(headers).ok_or_else(|| Failure::new(Reason::Protocol, unreadable))?;
        if part.start == at {
            return Ok(part);
        }
        Err(Failure::new(Reason::Protocol, format!("asked for bytes from {at}, got those from {}", part.start)))
    }

    fn read(headers: &HeaderMap) -> Option<Self> {
        let (range, total) = halves(headers)?;
        let (start, last) = range.split_once('-')?;
        let (start, last) = (start.trim().parse().ok()?, last.trim().parse().ok()?);
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        let is_sane = start <= last && total.is_none_or(|total| last < total);
        is_sane.then_some(Self { start, last, total })
    }
}

/// The length of the whole that a 416 says.
#[must_use]
pub fn length_of_whole(headers: &HeaderMap) -> Option<u64> {
    halves(headers)?.1.parse().ok()
}

/// What stands on either side of the slash.
fn halves(headers: &HeaderMap) -> Option<(&str, &str)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim();
    let (unit, rest) = text.split_at_checked("bytes".len())?;
    let (range, total) = rest.split_once('/')?;
    unit.eq_ignore_ascii_case("bytes").then_some((range.trim(), total.trim()))
}

/// By what a file is known to be the same from request to request.
#[derive(Debug, Default)]
pub struct Same {
    total: Option<u64>,
    tag: Option<HeaderValue>,
}

impl Same {
    /// The length of the whole, once an answer said it.
    #[must_use]
    pub const fn total(&self) -> Option<u64> {
        self.total
    }

    /// The tag for `if-range`. A weak one does not vouch for single bytes (RFC 9110 §8.8.3).
    #[must_use]
    pub fn condition(&self) -> Option<HeaderValue> {
        self.tag.clone().filter(|tag| tag.as_bytes().starts_with(b"\""))
    }

    /// Takes in what one more answer says.
    ///
    /// # Errors
    /// A [`Failure`] of reason `protocol` when it is of another file.
    pub fn agree(&mut self, total: Option<u64>, headers: &HeaderMap) -> Result<(), Failure> {
        if let (Some(old), Some(new)) = (self.total, total)
            && old != new
        {
            let detail = format!("the file changed while it was read: from {old} bytes to {new}");
            return Err(Failure::new(Reason::Protocol, detail));
        }
        let tag = headers.get(ETAG);
        if self.tag.is_some() && tag.is_some() && self.tag.as_ref() != tag {
            return Err(Failure::new(Reason::Protocol, "the file changed while it was read: it has another etag"));
        }
        self.total = total.or(self.total);
        self.tag = tag.cloned().or_else(|| self.tag.take());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(range: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_str(range).unwrap())])
    }

    #[test]
    fn a_content_range_is_read_or_refused() {
        let part = |range: &str| Part::asked_for(&headers(range), 10).map_err(|failure| failure.detail);
        assert_eq!(part("bytes 10-19/100"), Ok(Part { start: 10, last: 19, total: Some(100) }));
        assert_eq!(part(" Bytes 10-19/* "), Ok(Part { start: 10, last: 19, total: None }));
        assert_eq!(part("bytes 0-19/100").unwrap_err(), "asked for bytes from 10, got those from 0");
        for bad in ["bytes 10-9/100", "bytes 10-100/100", "bytes */100", "lines 10-19/100", "bytes 10-19", "", "byte"] {
            assert!(part(bad).unwrap_err().contains("no content-range that can be read"), "{bad}");
        }
        assert!(part("bytes 10-99999999999999999999/*").is_err());
        assert_eq!(length_of_whole(&headers("bytes */7")), Some(7));
        assert_eq!(length_of_whole(&headers("bytes */*")), None);
    }
}
