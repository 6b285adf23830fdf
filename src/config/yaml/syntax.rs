//! Says in an operator's words what the YAML parser says in a parser's, at the place that has to be changed.
//!
//! Only wording and place: whether something is an error is the parser's decision. A complaint that is not known here
//! is passed on as it is, so a new version of the parser loses no error.

use super::parse::Flaw;
use crate::base::bounded::printable;
use crate::config::problem::Place;

/// The parser's complaint.
pub(super) struct Complaint<'a> {
    /// What it says.
    pub(super) info: &'a str,
    /// Where it says so.
    pub(super) place: Place,
    /// The innermost `[` or `{` that is not closed yet.
    pub(super) bracket: Option<Place>,
}

/// What is wrong with `text`, by the parser's complaint about it.
pub(super) fn explain(text: &str, complaint: &Complaint<'_>) -> Flaw {
    let Complaint { info, place, bracket } = complaint;
    let line = |number: u32| lines(text).nth(number.saturating_sub(1) as usize).unwrap_or_default();
    let rest: String = line(place.line).chars().skip(place.column.saturating_sub(1) as usize).collect();
    if info.contains("unknown anchor") {
        return unknown_anchor(*place, &rest);
    }
    if info.contains("tab") {
        return tab(text, *place);
    }
    if let Some(bracket) = bracket.filter(|_| info.contains("flow") || info.contains("placement of ':'")) {
        return in_brackets(text, *place, bracket);
    }
    if let (Some(first), true) = (rest.chars().next(), info.contains("unexpected character")) {
        return Flaw::new(*place, format!("a value cannot begin with `{first}`"), "put it in quotes");
    }
    match KNOWN.iter().find(|(part, ..)| info.contains(part)) {
        Some((_, message, hint)) => Flaw::new(*place, *message, hint),
        None => Flaw { place: *place, message: format!("this is not YAML: {info}"), hint: None },
    }
}

fn unknown_anchor(place: Place, rest: &str) -> Flaw {
    let name = rest.split([' ', ',', ']', '}']).next().unwrap_or_default();
    let length = u32::try_from(name.chars().count()).unwrap_or(u32::MAX);
    let message = format!("`{}` refers to an anchor that is not defined above it", printable(name, 60));
    Flaw::new(
        Place { length, ..place },
        message,
        "define the anchor with `&` first; a text that begins with `*` needs quotes",
    )
}

/// The first tab in an indentation from the place on, which the parser sometimes notices one value too early or one
/// character too late.
fn tab(text: &str, place: Place) -> Flaw {
    let indentations = lines(text).zip(1..).skip(place.line.saturating_sub(1) as usize).take(100);
    let found = indentations.filter_map(|(line, number)| {
        let column = line.chars().take_while(|c| c.is_whitespace()).position(|c| c == '\t')?;
        Some(Place { line: number, column: u32::try_from(column + 1).unwrap_or(u32::MAX), length: 1 })
    });
    let place = { found }.next().unwrap_or(place);
    Flaw::new(place, "a tab cannot indent YAML", "indent with spaces")
}

/// Something that fits no list or mapping in brackets: the bracket's end is missing, or a value needs quotes.
fn in_brackets(text: &str, place: Place, bracket: Place) -> Flaw {
    let at = |place: Place, back: u32| {
        let line = lines(text).nth(place.line.saturating_sub(1) as usize)?;
        line.chars().nth(place.column.checked_sub(1 + back)? as usize)
    };
    let closing = if at(bracket, 0) == Some('{') { '}' } else { ']' };
    if (at(place, 1), at(place, 0)) == (Some('$'), Some('{')) {
        return Flaw::new(place, "in brackets, `${…}` needs quotes", "write for example `[\"${env:NAME}\"]`");
    }
    let at_end = lines(text).skip(place.line.saturating_sub(1) as usize).all(|line| line.trim().is_empty());
    if at_end || at(place, 0) == Some(':') {
        let message = format!("this bracket is not closed; `{closing}` is missing");
        return Flaw::new(bracket, message, "close it where the list or mapping ends");
    }
    let message = format!("expected `,` or `{closing}` here");
    let hint = format!(
        "the bracket was opened on line {}; in brackets, a text that contains any of `, [ ] {{ }}` needs quotes",
        bracket.line
    );
    Flaw { place, message, hint: Some(hint) }
}

/// Lines by the breaks that YAML knows.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// A part of the parser's message, what is wrong, what to do.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "unexpected end of stream",
        "the text in quotes that begins here never ends",
        "close it with the same kind of quote",
    ),
    (
        "indentation in quoted scalar",
        "the text in quotes that begins here goes on at a line that is not indented",
        "close the quote, or indent the lines that it goes on for",
    ),
    (
        "trailing content after double-quoted",
        "something follows the closing quote",
        "put the whole value in quotes; a quote inside is written `\\\"`",
    ),
    (
        "unknown escape character",
        "the text in double quotes that begins here holds an unknown escape such as `\\d`",
        "use single quotes, in which `\\` is an ordinary character",
    ),
    (
        "mapping values are not allowed",
        "this `:` begins no value",
        "a value that contains `: ` needs quotes; or the `:` of the line before lacks the space after it",
    ),
    (
        "did not find expected '-' indicator",
        "this line belongs neither to the list above nor to its last entry",
        "indent it as the lines that belong to the same entry; mind single spaces",
    ),
    (
        "block mapping, did not find expected key",
        "this line does not fit the mapping above",
        "indent it as the keys that it belongs to, and write `key: value`",
    ),
    ("invalid indentation", "this line does not fit the indentation above", "indent it as its neighbours"),
    (
        "simple key expect",
        "the line before is neither a value nor a `key: value`",
        "write the `:` after its key; an anchor's mapping is merged with `<<: *name`",
    ),
    (
        "did not find expected <document start>",
        "this does not belong to what stands above",
        "indent it as the keys that it belongs to, and write `key: value`",
    ),
    ("unprintable character", "a control character does not belong into YAML", "remove it"),
    ("byte order mark", "a byte order mark stands inside the file", "remove it; files were probably joined"),
    ("misplaced bracket", "this bracket closes nothing", "remove it, or put the text in quotes"),
    ("recursion limit", "lists and mappings nest too deep", "nothing here needs such depth"),
    (
        "comment intercepting",
        "a comment stands between two lines of one value",
        "move the comment; a `#` that belongs to the value needs quotes",
    ),
    (
        "block sequence entries are not allowed",
        "a list cannot begin here",
        "put the `- ` on a line of its own; a text that begins with `- ` needs quotes",
    ),
    ("is only valid inside a block", "`- ` cannot stand in brackets", "write `[a, b]`, without dashes"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn about(text: &str, info: &str, line: u32, bracket: Option<Place>) -> Flaw {
        explain(text, &Complaint { info, place: Place { line, column: 1, length: 1 }, bracket })
    }

    #[test]
    fn an_unknown_complaint_is_passed_on() {
        assert_eq!(about("a", "a new complaint", 1, None).message, "this is not YAML: a new complaint");
    }

    #[test]
    fn a_tab_is_found_where_it_stands() {
        let place = about("a: b\r\n \tc: d\r\n", "tabs disallowed", 1, None).place;
        assert_eq!((place.line, place.column), (2, 2));
    }

    #[test]
    fn a_bracket_that_never_ends_is_pointed_at() {
        let bracket = Place { line: 1, column: 4, length: 1 };
        let flaw = about("a: [1\n\n", "while parsing a flow sequence", 2, Some(bracket));
        assert_eq!((flaw.place, flaw.message.as_str()), (bracket, "this bracket is not closed; `]` is missing"));
    }
}
