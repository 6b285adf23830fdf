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
        if let Failure::Refused(message, hint) = Failure::unknown("key", self.tree().key(key), known) {
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
            Failure::Expected(what) => (format!("expected {what}, got {}", self.tree().describe(node)), None),
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
