//! YAML as a tree in which every node knows its place.
//!
//! Text goes in ([`Source`]); a [`Document`] comes out, from which [`collect`](collect::collect) reads typed values and
//! every problem at once. Knows nothing of probes or services.

pub mod collect;
mod de;
mod expand;
mod fail;
mod parse;
mod scalar;
mod syntax;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use self::expand::Expansion;
use super::problem::{Excerpt, Place, Problem, Problems};

/// Tells the value of an environment variable, if it is set.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One YAML file as it was read.
#[derive(Debug, Clone)]
pub struct Source {
    /// The name that problems show.
    pub name: Arc<str>,
    /// The folder that `${file:…}` starts from.
    pub folder: PathBuf,
    /// What the file holds.
    pub bytes: Vec<u8>,
}

/// A parsed file.
#[derive(Debug)]
pub struct Document {
    name: Arc<str>,
    text: String,
    is_ascii: bool,
    tree: Tree,
    line_starts: OnceCell<Vec<usize>>,
}

impl Document {
    /// Parses a file and resolves its references. `None` when there is nothing to go on with; then, and for every
    /// flaw that can be stepped over, `problems` says why.
    pub fn read(source: Source, variables: Variables<'_>, problems: &mut Problems) -> Option<Self> {
        let Source { name, folder, bytes } = source;
        let text = parse::decode(&name, bytes).map_err(|problem| problems.add(problem)).ok()?;
        let is_ascii = text.is_ascii();
        let mut document = Self { name, text, is_ascii, tree: Tree::default(), line_starts: OnceCell::default() };
        let mut flaws = Vec::new();
        let whole = parse::parse(&document.text, &mut document.tree, &mut flaws);
        if whole {
            let expansions = expand::expand(&document, &folder, variables, &mut flaws);
            document.tree.apply(expansions);
        }
        problems.extend(flaws.into_iter().map(|flaw| document.problem(flaw.place, flaw.message).maybe_hint(flaw.hint)));
        whole.then_some(document)
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The file's name, as problems show it.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// An error at a place in this file.
    #[must_use]
    pub fn problem(&self, place: Place, message: impl Into<String>) -> Problem {
        let excerpt = self.line(place.line).map(|line| Excerpt::around(line, place, self.is_ascii));
        Problem { place: Some(place), excerpt, ..Problem::in_file(&self.name, message) }
    }

    /// An error at a node of this file.
    #[must_use]
    pub fn problem_at(&self, node: NodeId, message: impl Into<String>) -> Problem {
        self.problem(self.tree.place(node), message)
    }

    fn line(&self, line: u32) -> Option<&str> {
        let starts = self.line_starts.get_or_init(|| line_starts(&self.text));
        let index = (line as usize).checked_sub(1)?;
        let start = *starts.get(index)?;
        let end = starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text.get(start..end).map(|line| line.trim_end_matches(['\n', '\r']))
    }
}

/// Points at a node of one [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

/// The nodes of one document. Aliases point at what they stand for; nothing is copied.
#[derive(Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Elements of sequences; keys and values of mappings, in turn.
    children: Vec<NodeId>,
    /// The texts of all scalars, end to end.
    scalars: String,
    expansions: HashMap<NodeId, Expansion>,
    root: Option<NodeId>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    place: Place,
    /// Where its text starts in `scalars`, or its children in `children`; the target of an alias.
    start: u32,
    /// How many bytes of text or how many children.
    count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A scalar without quotes, whose text decides what it is.
    Plain,
    /// A scalar that is a text, whatever it looks like.
    Quoted,
    Sequence,
    Mapping,
    /// A mapping with at least one merge key (`<<`).
    Merging,
    Alias,
    /// Something that a problem was already made of.
    Broken,
}

/// What a node is, aliases followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'tree> {
    /// A scalar.
    Scalar(Scalar<'tree>),
    /// A list of nodes.
    Sequence(&'tree [NodeId]),
    /// A mapping; [`Tree::pairs`] gives its entries.
    Mapping,
    /// Something that a problem was already made of.
    Broken,
}

/// A scalar with its references resolved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scalar<'tree> {
    /// The text as it stands in the file, without quotes: what may be shown.
    pub shown: &'tree str,
    /// The text that counts.
    pub value: &'tree str,
    /// True when it was written without quotes, so that it may be a number, a boolean or null.
    pub plain: bool,
    /// True when `value` holds something from outside that must not be shown.
    pub secret: bool,
}

impl Tree {
    /// The top of the document; `None` in an empty one.
    #[must_use]
    pub fn root(&self) -> Option<NodeId> {
        self.root
    }

    /// What a node is.
    #[must_use]
    pub fn value(&self, id: NodeId) -> Value<'_> {
        let id = self.resolve(id);
        let node = self.node(id);
        match node.kind {
            Kind::Plain | Kind::Quoted => Value::Scalar(self.scalar(id, node)),
            Kind::Sequence => Value::Sequence(self.children_of(node)),
            Kind::Mapping | Kind::Merging => Value::Mapping,
            // An alias points at a node that is none.
            Kind::Broken | Kind::Alias => Value::Broken,
        }
    }

    /// Where a node stands; for an alias, where what it stands for is written.
    #[must_use]
    pub fn place(&self, id: NodeId) -> Place {
        self.node(self.resolve(id)).place
    }

    /// True for a null: nothing after the colon, `~` or `null`.
    #[must_use]
    pub fn is_null(&self, id: NodeId) -> bool {
        matches!(self.value(id), Value::Scalar(scalar) if scalar.is_null())
    }

    /// Keys and values of a mapping in turn, merged mappings included; empty for any other node.
    ///
    /// A key of the mapping itself wins over a merged one, and of several merged mappings the first wins.
    #[must_use]
    pub fn pairs(&self, id: NodeId) -> Cow<'_, [NodeId]> {
        let node = self.node(self.resolve(id));
        match node.kind {
            Kind::Mapping => Cow::Borrowed(self.children_of(node)),
            Kind::Merging => {
                let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
                self.merge_into(node, &mut pairs, &mut seen);
                Cow::Owned(pairs)
            }
            _ => Cow::Borrowed(&[]),
        }
    }

    /// The entry of a mapping with this key: its key and its value.
    #[must_use]
    pub fn entry(&self, mapping: NodeId, key: &str) -> Option<(NodeId, NodeId)> {
        let pairs = self.pairs(mapping);
        pairs.as_chunks::<2>().0.iter().find(|[name, _]| self.key(*name) == key).map(|[name, value]| (*name, *value))
    }

    /// The text of a mapping's key, as written.
    #[must_use]
    pub fn key(&self, id: NodeId) -> &str {
        let id = self.resolve(id);
        let node = self.node(id);
        if matches!(node.kind, Kind::Plain | Kind::Quoted) { self.written(node) } else { "" }
    }

    /// What a node is, in words for a message: as it is written, never what a reference stands for.
    #[must_use]
    pub fn describe(&self, id: NodeId) -> String {
        match self.value(id) {
            Value::Scalar(scalar) => scalar.describe(),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping => "a mapping".to_owned(),
            Value::Broken => "something unreadable".to_owned(),
        }
    }

    /// The scalars that are no keys, as written.
    fn scalar_values(&self) -> impl Iterator<Item = (NodeId, &str)> {
        let mut is_key = vec![false; self.nodes.len()];
        for mapping in self.nodes.iter().filter(|node| matches!(node.kind, Kind::Mapping | Kind::Merging)) {
            for [key, _] in self.children_of(*mapping).as_chunks::<2>().0 {
                if let Some(slot) = is_key.get_mut(key.0 as usize) {
                    *slot = true;
                }
            }
        }
        let values = self.nodes.iter().zip(0..).zip(is_key).filter(|(_, is_key)| !is_key).map(|(node, _)| node);
        let scalars = values.filter(|(node, _)| matches!(node.kind, Kind::Plain | Kind::Quoted));
        scalars.map(|(node, index)| (NodeId(index), self.written(*node)))
    }

    fn apply(&mut self, expansions: Vec<(NodeId, Option<Expansion>)>) {
        for (id, expansion) in expansions {
            match expansion {
                Some(expansion) => {
                    self.expansions.insert(id, expansion);
                }
                None => {
                    if let Some(node) = self.nodes.get_mut(id.0 as usize) {
                        node.kind = Kind::Broken;
                    }
                }
            }
        }
    }

    fn merge_into<'tree>(&'tree self, node: Node, pairs: &mut Vec<NodeId>, seen: &mut HashSet<&'tree str>) {
        let own = self.children_of(node).as_chunks::<2>().0;
        for [key, value] in own.iter().filter(|[key, _]| !self.is_merge_key(*key)) {
            if seen.insert(self.key(*key)) {
                pairs.extend([*key, *value]);
            }
        }
        for [_, value] in own.iter().filter(|[key, _]| self.is_merge_key(*key)) {
            let merged = self.node(self.resolve(*value));
            if merged.kind == Kind::Sequence {
                for one in self.children_of(merged) {
                    self.merge_into(self.node(self.resolve(*one)), pairs, seen);
                }
            } else {
                self.merge_into(merged, pairs, seen);
            }
        }
    }

    fn is_merge_key(&self, id: NodeId) -> bool {
        let node = self.node(id);
        node.kind == Kind::Plain && self.written(node) == "<<"
    }

    fn resolve(&self, id: NodeId) -> NodeId {
        let node = self.node(id);
        if node.kind == Kind::Alias { NodeId(node.start) } else { id }
    }

    /// Every id was made by the tree that it is used with, so the node is there; the answer for a foreign one is broken.
    fn node(&self, id: NodeId) -> Node {
        self.nodes.get(id.0 as usize).copied().unwrap_or(BROKEN)
    }

    fn children_of(&self, node: Node) -> &[NodeId] {
        let start = node.start as usize;
        match node.kind {
            Kind::Sequence | Kind::Mapping | Kind::Merging => {
                self.children.get(start..start + node.count as usize).unwrap_or_default()
            }
            _ => &[],
        }
    }

    fn written(&self, node: Node) -> &str {
        let start = node.start as usize;
        self.scalars.get(start..start + node.count as usize).unwrap_or_default()
    }

    fn scalar(&self, id: NodeId, node: Node) -> Scalar<'_> {
        let shown = self.written(node);
        let plain = node.kind == Kind::Plain;
        match self.expansions.get(&id) {
            Some(Expansion { value, secret }) => Scalar { shown, value, plain, secret: *secret },
            None => Scalar { shown, value: shown, plain, secret: false },
        }
    }
}

const BROKEN: Node = Node { kind: Kind::Broken, place: Place { line: 1, column: 1, length: 0 }, start: 0, count: 0 };

/// Where each line starts, by the breaks that YAML knows: `\n`, `\r\n` and `\r`.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let ends = bytes.iter().enumerate().filter(|(index, byte)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(index + 1) != Some(&b'\n'),
        _ => false,
    });
    std::iter::once(0).chain(ends.map(|(index, _)| index + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        let source = Source { name: "a.yml".into(), folder: PathBuf::new(), bytes: text.as_bytes().to_vec() };
        let mut problems = Problems::default();
        let document = Document::read(source, &|_| Some("outside".to_owned()), &mut problems);
        assert!(!problems.has_errors(), "{problems}");
        document.unwrap()
    }

    /// The entries of the root's entry `key`, as `key=value`.
    fn entries(document: &Document, key: &str) -> Vec<String> {
        let tree = document.tree();
        let (_, mapping) = tree.entry(tree.root().unwrap(), key).unwrap();
        let pairs = tree.pairs(mapping);
        pairs.as_chunks::<2>().0.iter().map(|[key, value]| format!("{}={}", tree.key(*key), tree.key(*value))).collect()
    }

    #[test]
    fn own_keys_win_over_merged_ones_and_the_first_merge_over_the_next() {
        let document =
            document("a: &a {x: a, y: a, z: a}\nb: &b {<<: *a, y: b}\nc: {<<: [{x: c}, *b], w: c}\nd: {\"<<\": d}\n");
        assert_eq!(entries(&document, "b"), ["y=b", "x=a", "z=a"]);
        assert_eq!(entries(&document, "c"), ["w=c", "x=c", "y=b", "z=a"]);
        assert_eq!(entries(&document, "d"), ["<<=d"]);
    }

    #[test]
    fn places_count_characters_and_every_kind_of_line_break() {
        let document = document("\u{feff}a: 1\r\n# ü\rb: [ü, \"x\"]\n");
        let tree = document.tree();
        let (_, list) = tree.entry(tree.root().unwrap(), "b").unwrap();
        let Value::Sequence(&[first, second]) = tree.value(list) else { panic!() };
        assert_eq!(tree.place(first), Place { line: 3, column: 5, length: 1 });
        assert_eq!(tree.place(second), Place { line: 3, column: 8, length: 3 });
        assert_eq!(document.line(3), Some("b: [ü, \"x\"]"));
    }

    #[test]
    fn references_are_resolved_in_values_and_not_in_keys() {
        let document = document("a: {\"${env:X}\": \"${env:X}\"}");
        let tree = document.tree();
        let (_, mapping) = tree.entry(tree.root().unwrap(), "a").unwrap();
        let &[key, value] = &*tree.pairs(mapping) else { panic!() };
        assert_eq!(tree.key(key), "${env:X}");
        let Value::Scalar(scalar) = tree.value(value) else { panic!() };
        assert_eq!((scalar.shown, scalar.value, scalar.secret), ("${env:X}", "outside", true));
        assert_eq!(tree.describe(value), "the value of `${env:X}`");
    }

    /// Texts that a parser might stumble over end in a tree or in a problem, soon and without a panic.
    #[test]
    fn mangled_texts_end_in_problems() {
        let whole = "x-a: &a {b: [1, \"c\", 'd'], e: |\n  f\n  g\n}\nh: !!str 5\n? i\n: - j\n  - *a\n<<: *a\n# k\n---\nl: ${env:M}\n";
        let mut tried = 0;
        for cut in 0..whole.len() {
            for insert in ["", "\t", "{", "]", "\"", "*", "&", "!", "\0", "\n", ": ", "- ", "\u{feff}", "%", "|"] {
                let text = format!("{}{insert}{}", &whole[..cut], &whole[cut + 1..]);
                let source = Source { name: "a.yml".into(), folder: PathBuf::new(), bytes: text.into_bytes() };
                let mut problems = Problems::default();
                let document = Document::read(source, &|_| None, &mut problems);
                assert!(document.is_some() || problems.has_errors());
                tried += 1;
            }
        }
        assert!(tried > 1_000);
    }
}
