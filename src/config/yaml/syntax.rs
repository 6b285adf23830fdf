//! Says in an SRE's words what the YAML parser says in a parser's.
//!
//! Only wording: what is an error, and where, is the parser's decision.

use super::parse::Flaw;
use crate::config::problem::Place;

/// A flaw for the parser's complaint `info` at `place`.
pub(super) fn explain(_text: &str, place: Place, info: &str) -> Flaw {
    let known = KNOWN.iter().find(|(part, ..)| info.contains(part));
    match known {
        Some((_, message, hint)) => Flaw::new(place, *message, hint),
        None => Flaw { place, message: format!("this is not YAML: {info}"), hint: None },
    }
}

/// A part of the parser's message, what is wrong, what to do.
const KNOWN: &[(&str, &str, &str)] = &[];
