//! "Did you mean": the known word that a typing mistake most likely stands for.
//!
//! Only a word that is close is offered; a far-fetched guess misleads more than it helps.

use std::fmt::Write;

/// The candidate nearest to `word`, if it is near enough for a typing mistake.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    let allowed = (length / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= 4 * LONGEST)
        .filter(|candidate| !differ_in_digits(&lower, candidate))
        .map(|candidate| (strsim::osa_distance(&lower, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `http1` is no mistyped `http3`, nor `pika-2` a mistyped `pika-1`.
fn differ_in_digits(one: &str, other: &str) -> bool {
    let letters = |c: &char| !c.is_ascii_digit();
    one != other && one.chars().filter(letters).eq(other.chars().filter(letters))
}

/// A hint about a word that is none of `candidates`: the nearest, else all of them (as far as a line holds them).
#[must_use]
pub(super) fn hint(word: &str, candidates: &[&str]) -> Option<String> {
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => Some(format!("did you mean `{candidate}`?")),
        None if candidates.is_empty() => None,
        None => Some(format!("expected {}", one_of(candidates))),
    }
}

/// `` `a` ``, `` `a` or `b` ``, `` one of `a`, `b`, `c` ``.
#[must_use]
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [one, other] => format!("`{one}` or `{other}`"),
        more => format!("one of {}", all(more)),
    }
}

/// `` `a`, `b`, `c` ``, as far as a line holds them.
#[must_use]
pub(super) fn all(words: &[&str]) -> String {
    let mut out = String::new();
    for (index, word) in words.iter().take(MOST_LISTED).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(out, "{comma}`{word}`");
    }
    if words.len() > MOST_LISTED {
        out.push_str(", …");
    }
    out
}

/// A word longer than this is no mistyped word; bounds the quadratic comparison.
const LONGEST: usize = 210;
const MOST_LISTED: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_offered_and_far_ones_are_not() {
        let keys = ["timeout", "every", "surface", "name"];
        assert_eq!(nearest("tiemout", keys), Some("timeout"));
        assert_eq!(nearest("Every", keys), Some("every"));
        assert_eq!(nearest("nmae", keys), Some("name"));
        assert_eq!(nearest("interval", keys), None);
        assert_eq!(nearest("http3", ["http1", "http2"]), None);
        assert_eq!(hint("interval", &keys[..2]), Some("expected `timeout` or `every`".to_owned()));
        assert_eq!(hint("x", &[]), None);
    }
}
