//! A node together with its document: where something that was read stands in the files.
//!
//! For checks that look at more than one value. Quotes the YAML as it is written, never what a reference stands for.

use super::problem::Problem;
use super::yaml::{Document, NodeId, Value};
use crate::base::bounded::printable;

/// A node of a document.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) document: &'a Document,
    pub(super) node: NodeId,
}

impl<'a> Spot<'a> {
    /// The value under `key`, or this very spot when there is none.
    pub(super) fn field(self, key: &str) -> Self {
        self.entry(key).map_or(self, |(_, value)| value)
    }

    /// The key `key` itself, or this very spot when there is none.
    pub(super) fn key(self, key: &str) -> Self {
        self.entry(key).map_or(self, |(key, _)| key)
    }

    /// The entry with this key: its key and its value.
    pub(super) fn entry(self, key: &str) -> Option<(Self, Self)> {
        let (key, value) = self.document.tree().entry(self.node, key)?;
        Some((self.at(key), self.at(value)))
    }

    /// Keys and values of a mapping.
    pub(super) fn entries(self) -> Vec<(Self, Self)> {
        let pairs = self.document.tree().pairs(self.node);
        pairs.as_chunks::<2>().0.iter().map(|[key, value]| (self.at(*key), self.at(*value))).collect()
    }

    /// The elements of a list; for anything else, none.
    pub(super) fn elements(self) -> Vec<Self> {
        match self.value() {
            Value::Sequence(ids) => ids.iter().map(|id| self.at(*id)).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn value(self) -> Value<'a> {
        self.document.tree().value(self.node)
    }

    /// True for a null.
    pub(super) fn is_null(self) -> bool {
        self.document.tree().is_null(self.node)
    }

    /// A scalar's text as it is written.
    pub(super) fn text(self) -> &'a str {
        self.document.tree().key(self.node)
    }

    /// A scalar's text as it is written, for a message.
    pub(super) fn quoted(self) -> String {
        format!("`{}`", printable(self.text(), 100))
    }

    /// What stands here, in words for a message.
    pub(super) fn describe(self) -> String {
        self.document.tree().describe(self.node)
    }

    /// The file and the line, for a message about another place.
    pub(super) fn shown(self) -> String {
        format!("{}:{}", self.document.name(), self.document.tree().place(self.node).line)
    }

    /// An error here.
    pub(super) fn problem(self, message: impl Into<String>) -> Problem {
        self.document.problem_at(self.node, message)
    }

    fn at(self, node: NodeId) -> Self {
        Self { node, ..self }
    }
}
