//! JSON in an answer: read within a bound on memory, and quoted in a few words.
//!
//! Does not decide what the document should hold.

use serde_json::Value;

use crate::base::bounded::printable;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;

/// The JSON document that `body` is, of which up to `limit` bytes were allowed.
///
/// # Errors
/// A [`Failure`] of reason `assertion` if it is none, `body_too_large` if it would take too much memory.
pub fn document(body: &[u8], limit: u64) -> Result<Value, Failure> {
    let values = json_values(body);
    if json_memory(body, values) > limit.saturating_mul(5) / 2 {
        let detail =
            format!("the body's JSON of about {values} values takes too much memory; raise max_body to allow it");
        return Err(Failure::new(Reason::BodyTooLarge, detail));
    }
    serde_json::from_slice(body)
        .map_err(|error| Failure::new(Reason::Assertion, format!("expected JSON in the body: {error}{}", got(body))))
}

/// What a text starts with, as the end of a sentence.
#[must_use]
pub fn got(text: &[u8]) -> String {
    if text.is_empty() {
        "; it is empty".to_owned()
    } else {
        format!("; it starts with `{}`", excerpt(text.trim_ascii_start(), 60))
    }
}

/// The first `limit` characters of what may not be UTF-8, printable.
#[must_use]
pub fn excerpt(text: &[u8], limit: usize) -> String {
    // A character has at most four bytes; one more shows that there is more.
    let start = text.get(..limit * 4 + 4).unwrap_or(text);
    printable(&String::from_utf8_lossy(start), limit)
}

/// The first hundred characters of a value as JSON, made without making the rest.
#[must_use]
pub fn json_excerpt(value: &Value) -> String {
    let mut start = [0; 500];
    let mut room = &mut start[..];
    // It fails where there is no more room, which is the point.
    let _ = serde_json::to_writer(&mut room, value);
    let left = room.len();
    excerpt(&start[..start.len() - left], 100)
}

/// What a JSON text takes in memory, in bytes: itself, its strings once more, and what each value costs.
///
/// A value takes a hundred times the memory of its shortest text, so a hostile body of a few MiB would take hundreds.
const fn json_memory(json: &[u8], values: u64) -> u64 {
    (json.len() as u64).saturating_mul(2).saturating_add(values.saturating_mul(JSON_VALUE))
}

/// How many values a JSON text has at most: one more than it has commas and opening brackets outside of strings.
fn json_values(json: &[u8]) -> u64 {
    let (mut count, mut in_string, mut escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

/// Measured for members of an object, the dearest.
const JSON_VALUE: u64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_counted_outside_of_its_strings() {
        for (text, count) in
            [("1", 1), ("[]", 2), ("[1,2,3]", 4), (r#"{"a,[{": "b\"],", "c": {}}"#, 4), (r#""a\\", 1"#, 2)]
        {
            assert_eq!(json_values(text.as_bytes()), count, "{text}");
        }
    }
}
