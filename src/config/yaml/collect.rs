//! Reads one typed value and reports everything that is wrong with it, not only the first thing.
//!
//! serde stops at the first error. So a value that fails is noted at its place and left out, and the whole is read
//! again, until it succeeds or nothing new is learned. What merely follows from something left out is not reported.
//!
//! An error text may quote the value that it refuses. So when a value that came from `${env:…}` or `${file:…}` is
//! refused, the text is thrown away, and the value is read again as it is written in the file: only that text is shown.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::de::Reader;
use super::fail::Failure;
use super::{Document, NodeId, Scalar, Tree, Value};
use crate::config::problem::Problems;

/// Reads the value at `node`.
///
/// # Errors
/// With problems, what remains of the value without its wrong parts, if anything does; it serves for further checks.
pub fn collect<'a, T: Deserialize<'a>>(
    document: &'a Document,
    node: NodeId,
    problems: &mut Problems,
) -> Result<T, Option<T>> {
    let item = Item { document, state: RefCell::default() };
    let value = loop {
        let before = item.state.borrow_mut().begin();
        match T::deserialize(Reader::new(&item, node)) {
            Ok(value) => break Some(value),
            Err(failure) => {
                item.settle(node, None, Mark::default(), failure);
                let state = item.state.borrow();
                if state.progress() == before || state.is_enough() || state.left_out.contains(&node) {
                    break None;
                }
            }
        }
    };
    let mut state = item.state.into_inner();
    let value = value.filter(|_| !state.left_out.contains(&node));
    for (node, reference) in state.unexplained() {
        let message = format!("the value of `{reference}` is not accepted here");
        state.found.push(document.problem_at(node, message));
    }
    let is_whole = state.found.is_empty() && state.left_out.is_empty();
    problems.extend(state.found);
    match value {
        Some(value) if is_whole => Ok(value),
        value => Err(value),
    }
}

/// One value on its way to be read, over all attempts.
pub(super) struct Item<'a> {
    document: &'a Document,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    found: Vec<crate::config::problem::Problem>,
    /// Values that are left out, because they or something in them is wrong.
    left_out: HashSet<NodeId>,
    /// Scalars whose value is withheld, because an error text might quote it.
    withheld: HashSet<NodeId>,
    /// Values that were refused with a text that cannot be shown, with the reference that they hold.
    refused: HashMap<NodeId, String>,
    /// Per attempt: how many values were left out so far.
    skips: usize,
    /// Per attempt: scalars from outside, handed over or withheld, so far.
    outside: Vec<NodeId>,
    /// Nodes read in all attempts.
    visits: usize,
}

/// A point in an attempt, to tell later what happened since.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    skips: usize,
    outside: usize,
}

impl State {
    fn begin(&mut self) -> (usize, usize) {
        self.skips = 0;
        self.outside.clear();
        self.progress()
    }

    fn progress(&self) -> (usize, usize) {
        (self.left_out.len(), self.withheld.len())
    }

    fn is_enough(&self) -> bool {
        self.found.len() >= MAX_PROBLEMS || self.visits > MAX_VISITS
    }

    /// Values whose refusal was not explained by a second reading.
    fn unexplained(&self) -> Vec<(NodeId, String)> {
        let open = self.refused.iter().filter(|(node, _)| !self.left_out.contains(node));
        open.map(|(node, reference)| (*node, reference.clone())).collect()
    }
}

impl<'a> Item<'a> {
    pub(super) fn tree(&self) -> &'a Tree {
        self.document.tree()
    }

    pub(super) fn mark(&self) -> Mark {
        let mut state = self.state.borrow_mut();
        state.visits += 1;
        Mark { skips: state.skips, outside: state.outside.len() }
    }

    /// True when the value is to be stepped over, because it or something in it is wrong.
    pub(super) fn skips(&self, value: NodeId) -> bool {
        let mut state = self.state.borrow_mut();
        let skips = state.left_out.contains(&value);
        state.skips += usize::from(skips);
        skips
    }

    /// The text of a scalar as it may be handed over, and whether it is really its value.
    pub(super) fn hand_over(&self, node: NodeId, scalar: Scalar<'a>) -> &'a str {
        if !scalar.secret {
            return scalar.value;
        }
        let node = self.tree().resolve(node);
        let mut state = self.state.borrow_mut();
        state.outside.push(node);
        if state.withheld.contains(&node) { scalar.shown } else { scalar.value }
    }

    /// Notes an unknown key, once.
    pub(super) fn unknown_key(&self, key: NodeId, value: NodeId, known: &[&str]) {
        if !self.state.borrow_mut().left_out.insert(value) {
            return;
        }
        if let Failure::Refused(message, hint) = Failure::unknown_key(self.tree().key(key), known) {
            self.report(key, message, hint);
        }
    }

    /// Notes why the value at `node` failed, so that the next attempt leaves it out. `key` is the key that it stands
    /// under; `mark` was taken before it was read.
    pub(super) fn settle(&self, node: NodeId, key: Option<NodeId>, mark: Mark, failure: Failure) -> Failure {
        let (message, hint) = match failure {
            Failure::Recorded => return Failure::Recorded,
            Failure::Unusable => return self.leave_out(node),
            Failure::Missing(field) => {
                let whose = key.map_or_else(|| "this entry".to_owned(), |key| format!("`{}`", self.tree().key(key)));
                let message = format!("{whose} lacks the key `{field}`");
                self.report(key.unwrap_or(node), message, None);
                return self.leave_out(node);
            }
            Failure::Expected(what) => {
                let hint = self.tree().is_null(node).then(|| "give it a value, or remove the key".to_owned());
                (format!("expected {what}, got {}", self.tree().describe(node)), hint)
            }
            Failure::Refused(message, hint) => (message, hint),
        };
        // What is wrong with a value that was read without some of its parts may be their absence.
        if self.state.borrow().skips > mark.skips {
            return self.leave_out(node);
        }
        match self.reference_since(mark) {
            None => self.report(self.at(node, key), message, hint),
            Some(reference) => {
                if self.withhold_since(mark, node, &reference) {
                    return Failure::Recorded;
                }
                let reason = message.split(", got ").next().unwrap_or_default().to_owned();
                let message = format!("the value of `{reference}` is not accepted here");
                self.report(
                    self.at(node, key),
                    message,
                    Some(hint.map_or(reason.clone(), |hint| format!("{reason}; {hint}"))),
                );
            }
        }
        self.leave_out(node)
    }

    /// A scalar is pointed at itself; a list or a mapping by the key before it.
    fn at(&self, node: NodeId, key: Option<NodeId>) -> NodeId {
        match self.tree().value(node) {
            Value::Scalar(scalar) if !scalar.shown.is_empty() => node,
            _ => key.unwrap_or(node),
        }
    }

    fn reference_since(&self, mark: Mark) -> Option<String> {
        let state = self.state.borrow();
        let node = state.outside.get(mark.outside)?;
        Some(crate::base::bounded::printable(self.tree().key(*node), 100))
    }

    /// Withholds the values from outside that were handed over since `mark`. False when all of them are already.
    fn withhold_since(&self, mark: Mark, refused: NodeId, reference: &str) -> bool {
        let mut state = self.state.borrow_mut();
        let State { outside, withheld, .. } = &mut *state;
        let before = withheld.len();
        withheld.extend(outside.iter().skip(mark.outside));
        let news = withheld.len() > before;
        if news {
            state.refused.insert(refused, reference.to_owned());
        }
        news
    }

    fn leave_out(&self, node: NodeId) -> Failure {
        self.state.borrow_mut().left_out.insert(node);
        Failure::Recorded
    }

    fn report(&self, node: NodeId, message: String, hint: Option<String>) {
        let problem = self.document.problem_at(node, message).maybe_hint(hint);
        self.state.borrow_mut().found.push(problem);
    }
}

/// Problems of one value: whoever has more, started from a different format.
const MAX_PROBLEMS: usize = 50;
/// Bounds the attempts on one value, however large aliases make it.
const MAX_VISITS: usize = 5_000_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::super::Source;
    use super::*;
    use crate::base::duration::HumanDuration;
    use crate::base::json::Json;
    use crate::base::many::Many;
    use crate::base::secret::{Secret, Text};

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        span: HumanDuration,
        #[serde(default)]
        many: Many<u8>,
        text: Option<Text>,
        secret: Option<Secret>,
        #[serde(default)]
        map: BTreeMap<String, i64>,
        choice: Option<Choice>,
        pair: Option<(u8, bool)>,
        any: Option<serde_json::Value>,
        json: Option<Json>,
        checked: Option<Checked>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase", deny_unknown_fields)]
    enum Choice {
        Plain,
        One(u8),
        Keys { a: u8 },
    }

    /// Refuses with a text that quotes what it refuses.
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(try_from = "Inner")]
    struct Checked(String);

    #[derive(Deserialize)]
    struct Inner {
        word: String,
        #[serde(default)]
        list: Vec<u8>,
    }

    impl TryFrom<Inner> for Checked {
        type Error = String;

        fn try_from(inner: Inner) -> Result<Self, String> {
            if inner.word.len() > 5 || inner.list.is_empty() {
                return Err(format!("`{}` is refused", inner.word));
            }
            Ok(Self(inner.word))
        }
    }

    fn read(text: &str) -> (Result<Sample, Option<Sample>>, Vec<String>) {
        let source = Source { name: "a.yml".into(), folder: PathBuf::new(), bytes: text.as_bytes().to_vec() };
        let variables = |name: &str| match name {
            "FIVE" => Some("5".to_owned()),
            "LONG" => Some("hunter2".to_owned()),
            _ => Some("x".to_owned()),
        };
        let mut problems = Problems::default();
        let document = Document::read(source, &variables, &mut problems).unwrap();
        let value = collect(&document, document.tree().root().unwrap(), &mut problems);
        let lines = problems.into_sorted().into_iter();
        let shown = lines.map(|problem| {
            let place = problem.place.unwrap();
            format!("{}:{} {}", place.line, place.column, problem.message)
        });
        (value, shown.collect())
    }

    #[test]
    fn what_is_right_is_read() {
        let (value, problems) = read(
            "span: 5s\nmany: 3\ntext: a ${env:X}\nsecret: b\nmap: {a: -1, b: 0x10}\nchoice: {keys: {a: 1}}\n\
             pair: [\"${env:FIVE}\", true]\nany: {n: 1, t: \"1\", e: ${env:FIVE}, l: [1.5, null]}\n\
             json: {n: 1, keys: [\"Key ${env:LONG}\", null]}\n"
                .replace("e: ${env:FIVE}", "e: \"${env:FIVE}\"")
                .as_str(),
        );
        assert_eq!(problems, Vec::<String>::new());
        let value = value.unwrap();
        assert_eq!(*value.many, [3]);
        assert_eq!(value.text, Some(Text::expanded("a ${env:X}", "a x")));
        assert_eq!(value.map, BTreeMap::from([("a".to_owned(), -1), ("b".to_owned(), 16)]));
        assert_eq!(value.choice, Some(Choice::Keys { a: 1 }));
        assert_eq!(value.pair, Some((5, true)));
        let json = value.json.unwrap();
        assert_eq!(json.expose(), serde_json::json!({"n": 1, "keys": ["Key hunter2", null]}));
        assert_eq!(json.shown(), serde_json::json!({"n": 1, "keys": ["Key ${env:LONG}", null]}));
        assert_eq!(value.any, Some(serde_json::json!({"n": 1, "t": "1", "e": "5", "l": [1.5, null]})));
    }

    #[test]
    fn every_mistake_is_told_and_the_rest_is_kept() {
        let (value, problems) = read(
            "span: 5s\nmany: [1, x, 3, 300]\nmap: {a: b, c: 1}\nchoice: {one: many}\npair: [1]\nunknown: 1\nspam: 2\n",
        );
        assert_eq!(
            problems,
            [
                "2:11 expected a whole number from 0 to 255, got `x`",
                "2:17 expected a whole number from 0 to 255, got `300`",
                "3:10 expected a whole number from -9223372036854775808 to 9223372036854775807, got `b`",
                "4:15 expected a whole number from 0 to 255, got `many`",
                "5:1 expected a list of 2, got a list of 1",
                "6:1 unknown key `unknown`",
                "7:1 unknown key `spam`",
            ]
        );
        let rest = value.unwrap_err().unwrap();
        assert_eq!((&*rest.many, rest.map.len(), rest.choice, rest.pair), ([1, 3].as_slice(), 1, None, None));
    }

    #[test]
    fn what_follows_from_a_mistake_is_not_told() {
        // The span is there but wrong, so it is not missing; the list is not empty, its element is wrong.
        let (value, problems) = read("span: 5\nchecked: {word: a, list: [x]}\n");
        assert_eq!(value.unwrap_err(), None);
        assert_eq!(
            problems,
            [
                "1:7 expected a duration with a unit, got `5`; write for example `5s` or `5ms`",
                "2:27 expected a whole number from 0 to 255, got `x`",
            ]
        );
    }

    #[test]
    fn a_text_that_quotes_a_value_from_outside_is_not_shown() {
        // `${env:LONG}` itself is refused for the same reason, so the reason can be told with the reference.
        let (_, problems) = read("span: 5s\nchecked: {word: \"${env:LONG}\", list: [1]}\n");
        assert_eq!(problems, ["2:1 the value of `${env:LONG}` is not accepted here"]);
    }

    #[test]
    fn choices_are_words_or_mappings_of_one_key() {
        for (choice, problem) in [
            ("one", "1:9 `one` needs a value: write `{one: …}`"),
            ("{plain: 1}", "1:1 `plain` takes no value; write `plain` alone"),
            ("{}", "1:1 expected exactly one of `plain`, `one`, `keys`, got none"),
            ("{one: 1, plain: }", "1:1 expected exactly one of `plain`, `one`, `keys`, got `one`, `plain`"),
            ("{onee: 1}", "1:10 unknown key `onee`"),
            ("[one]", "1:1 expected one of `plain`, `one`, `keys`, got a list"),
            ("two", "1:9 unknown value `two`"),
        ] {
            assert_eq!(read(&format!("choice: {choice}\nspan: 5s\n")).1, [problem], "{choice}");
        }
        assert_eq!(read("choice: plain\nspan: 5s\n").0.unwrap().choice, Some(Choice::Plain));
        assert_eq!(read("choice: {one: 7}\nspan: 5s\n").0.unwrap().choice, Some(Choice::One(7)));
    }
}
