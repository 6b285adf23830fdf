//! Builds the tree from the parser's events, and refuses what would be ambiguous or would never end.
//!
//! Bounds: depth, number of nodes, and the number of nodes that aliases stand for, each counted while building, so that
//! an anchor bomb costs no more than its text. Does not resolve references and knows no keys but `<<`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::syntax::{Complaint, explain};
use super::{Kind, Node, NodeId, Tree};
use crate::base::bounded::printable;
use crate::config::problem::{Excerpt, Place, Problem};

/// Something wrong in one document.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Flaw {
    pub(super) fn new(place: Place, message: impl Into<String>, hint: &str) -> Self {
        Self { place, message: message.into(), hint: Some(hint.to_owned()) }
    }
}

/// The text of a file without a byte order mark, or a problem that says where it stops being UTF-8.
pub(super) fn decode(name: &Arc<str>, bytes: Vec<u8>) -> Result<String, Problem> {
    let error = match String::from_utf8(bytes) {
        Ok(mut text) => {
            if text.starts_with('\u{feff}') {
                text.remove(0);
            }
            return Ok(text);
        }
        Err(error) => error,
    };
    let (offset, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
    let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let hint = if utf16 { "this looks like UTF-16; save the file as UTF-8" } else { "save the file as UTF-8" };
    let before = String::from_utf8_lossy(bytes.get(..offset).unwrap_or_default());
    let line = before.rsplit('\n').next().unwrap_or_default();
    let place =
        Place { line: narrow(before.matches('\n').count() + 1), column: narrow(line.chars().count() + 1), length: 1 };
    let bad = bytes.get(offset).copied().unwrap_or_default();
    let message = format!("the file is not UTF-8: byte 0x{bad:02x} at offset {offset}");
    let rest = bytes.get(offset - line.len()..).unwrap_or_default();
    let rest = String::from_utf8_lossy(rest.split(|byte| *byte == b'\n').next().unwrap_or_default());
    let excerpt = (!utf16).then(|| Excerpt::around(&rest, place, false));
    Err(Problem { place: Some(place), excerpt, ..Problem::in_file(name, message) }.hint(hint))
}

/// Parses `text` into `tree`. False when the document cannot be used at all; `flaws` says why.
pub(super) fn parse(text: &str, tree: &mut Tree, flaws: &mut Vec<Flaw>) -> bool {
    let mut builder = Builder { tree, flaws, open: Vec::new(), pending: Vec::new(), anchors: Vec::new(), aliased: 0 };
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((Event::DocumentStart(_), span)) => {
                documents += 1;
                if documents > 1 { Err(second_document(span)) } else { Ok(()) }
            }
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                let (info, place) = (error.info(), point(*error.marker()));
                Err(explain(text, &Complaint { info, place, bracket: builder.open_bracket() }))
            }
        };
        if let Err(flaw) = step {
            flaws.push(flaw);
            return false;
        }
    }
    true
}

fn second_document(span: Span) -> Flaw {
    Flaw::new(
        Place { length: 3, ..point(span.start) },
        "a second YAML document starts here; a file may hold one",
        "remove the `---`, or move what follows into a file of its own",
    )
}

struct Builder<'a> {
    tree: &'a mut Tree,
    flaws: &'a mut Vec<Flaw>,
    open: Vec<Open>,
    /// Finished nodes whose parents are not.
    pending: Vec<NodeId>,
    /// By the parser's anchor number, from 1.
    anchors: Vec<Option<Anchor>>,
    /// How many nodes the aliases so far stand for.
    aliased: u64,
}

/// A list or mapping that has not ended.
struct Open {
    node: NodeId,
    anchor: usize,
    first: usize,
    extent: Extent,
}

#[derive(Clone, Copy)]
struct Anchor {
    node: NodeId,
    /// `None` while the node has not ended.
    extent: Option<Extent>,
}

/// How much a node holds, aliases followed.
#[derive(Clone, Copy)]
struct Extent {
    nodes: u64,
    height: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Flaw> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = match self.tag(tag.as_deref(), span) {
                    Tagged::Unknown => Kind::Broken,
                    Tagged::No if style == ScalarStyle::Plain => Kind::Plain,
                    Tagged::No | Tagged::Text => Kind::Quoted,
                };
                let start = narrow(self.tree.scalars.len());
                self.tree.scalars.push_str(&text);
                let node = self.push(kind, span, start, narrow(text.len()))?;
                self.finish(node, anchor, Extent { nodes: 1, height: 0 });
            }
            Event::SequenceStart(anchor, tag) => self.begin(Kind::Sequence, anchor, tag.as_deref(), span)?,
            Event::MappingStart(anchor, tag) => self.begin(Kind::Mapping, anchor, tag.as_deref(), span)?,
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, span)?,
            _ => {}
        }
        Ok(())
    }

    /// The innermost bracket that is open. What is indented has no bracket, so no length.
    fn open_bracket(&self) -> Option<Place> {
        let innermost = self.open.last()?;
        Some(self.tree.node(innermost.node).place).filter(|place| place.length == 1)
    }

    fn begin(&mut self, kind: Kind, anchor: usize, tag: Option<&Tag>, span: Span) -> Result<(), Flaw> {
        self.tag(tag, span);
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(point(span.start)));
        }
        let node = self.push(kind, span, 0, 0)?;
        self.remember(anchor, Anchor { node, extent: None });
        self.open.push(Open { node, anchor, first: self.pending.len(), extent: Extent { nodes: 1, height: 0 } });
        Ok(())
    }

    fn end(&mut self) {
        let Some(Open { node, anchor, first, extent }) = self.open.pop() else { return };
        let mut children = self.pending.split_off(first.min(self.pending.len()));
        let index = node.0 as usize;
        let Some(kind) = self.tree.nodes.get(index).map(|node| node.kind) else { return };
        let mut kind = kind;
        if kind == Kind::Mapping {
            let is_whole = self.drop_bad_keys(&mut children);
            kind = match self.keep_good_merges(&mut children) {
                _ if !is_whole => Kind::Broken,
                true => Kind::Merging,
                false => Kind::Mapping,
            };
        }
        let first_place = children.first().map(|child| self.tree.node(*child).place);
        let start = narrow(self.tree.children.len());
        self.tree.children.extend(&children);
        if let Some(node) = self.tree.nodes.get_mut(index) {
            (node.kind, node.start, node.count) = (kind, start, narrow(children.len()));
            // A block mapping has no bracket to point at: its first key stands for it.
            if let (0, false, Some(place)) = (node.place.length, kind == Kind::Sequence, first_place) {
                node.place = place;
            }
        }
        self.finish(node, anchor, extent);
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Flaw> {
        let Some(Anchor { node, extent }) = self.anchors.get(anchor).copied().flatten() else {
            return Err(Flaw::new(stretch(span), "the alias refers to nothing", "define the anchor before it is used"));
        };
        let Some(extent) = extent else {
            self.flaws.push(Flaw::new(
                stretch(span),
                "the alias stands inside the very thing that it refers to",
                "an anchor can be used only after the value it names has ended",
            ));
            let node = self.push(Kind::Broken, span, 0, 0)?;
            self.finish(node, 0, Extent { nodes: 1, height: 0 });
            return Ok(());
        };
        self.aliased = self.aliased.saturating_add(extent.nodes);
        if self.aliased > MAX_ALIASED {
            return Err(Flaw::new(
                stretch(span),
                format!("with this alias, the file's aliases stand for more than {MAX_ALIASED} values"),
                "aliases of aliases multiply; write out less, or split the file",
            ));
        }
        if self.open.len() + extent.height >= MAX_DEPTH {
            return Err(too_deep(point(span.start)));
        }
        let alias = self.push(Kind::Alias, span, node.0, 0)?;
        self.finish(alias, 0, extent);
        Ok(())
    }

    fn push(&mut self, kind: Kind, span: Span, start: u32, count: u32) -> Result<NodeId, Flaw> {
        if self.tree.nodes.len() >= MAX_NODES {
            return Err(Flaw::new(
                point(span.start),
                format!("the file holds more than {MAX_NODES} values"),
                "split it into several files",
            ));
        }
        let id = NodeId(narrow(self.tree.nodes.len()));
        self.tree.nodes.push(Node { kind, place: stretch(span), start, count });
        Ok(id)
    }

    fn finish(&mut self, node: NodeId, anchor: usize, extent: Extent) {
        self.remember(anchor, Anchor { node, extent: Some(extent) });
        if let Some(parent) = self.open.last_mut() {
            parent.extent.nodes = parent.extent.nodes.saturating_add(extent.nodes);
            parent.extent.height = parent.extent.height.max(extent.height + 1);
            self.pending.push(node);
        } else {
            self.tree.root = Some(node);
        }
    }

    fn remember(&mut self, number: usize, anchor: Anchor) {
        if number > 0 {
            if self.anchors.len() <= number {
                self.anchors.resize(number + 1, None);
            }
            if let Some(slot) = self.anchors.get_mut(number) {
                *slot = Some(anchor);
            }
        }
    }

    /// Tells what a tag makes of its value. Any tag but `!!str` is a flaw.
    fn tag(&mut self, tag: Option<&Tag>, span: Span) -> Tagged {
        let Some(tag) = tag else { return Tagged::No };
        if tag.is_yaml_core_schema() && tag.suffix == "str" {
            return Tagged::Text;
        }
        let shown = if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() };
        let place = Place { length: narrow(shown.chars().count()), ..point(span.start) };
        let message = format!("the tag `{}` is not known", printable(&shown, 60));
        self.flaws.push(Flaw::new(place, message, "remove it; a text that begins with `!` needs quotes"));
        Tagged::Unknown
    }

    /// Leaves out entries whose key is no text or was given before. False when one was no text, so that the mapping is
    /// probably not meant as one.
    fn drop_bad_keys(&mut self, children: &mut Vec<NodeId>) -> bool {
        let mut is_whole = true;
        let (tree, flaws) = (&*self.tree, &mut *self.flaws);
        let mut seen = HashMap::with_capacity(children.len() / 2);
        let mut kept = Vec::with_capacity(children.len());
        for [key, value] in children.as_chunks::<2>().0 {
            let node = tree.node(*key);
            if !matches!(node.kind, Kind::Plain | Kind::Quoted) {
                flaws.push(complex_key(node));
                is_whole = false;
                continue;
            }
            let text = tree.written(node);
            if text.is_empty() && node.kind == Kind::Plain {
                flaws.push(Flaw::new(node.place, "a key is missing before the `:`", "write `key: value`"));
                continue;
            }
            match seen.entry(text) {
                Entry::Occupied(first) => flaws.push(duplicate(text, node.place, *first.get())),
                Entry::Vacant(slot) => {
                    slot.insert(node.place);
                    kept.extend([*key, *value]);
                }
            }
        }
        *children = kept;
        is_whole
    }

    /// True when entries with the key `<<` remain. Those that merge no mapping are left out.
    fn keep_good_merges(&mut self, children: &mut Vec<NodeId>) -> bool {
        let tree = &*self.tree;
        let is_mapping = |id: &NodeId| matches!(tree.node(tree.resolve(*id)).kind, Kind::Mapping | Kind::Merging);
        let Some(at) = children.as_chunks::<2>().0.iter().position(|[key, _]| tree.is_merge_key(*key)) else {
            return false;
        };
        let Some(value) = children.get(2 * at + 1).copied() else { return false };
        let merged = tree.node(tree.resolve(value));
        let fine = match merged.kind {
            Kind::Sequence => tree.children_of(merged).iter().all(is_mapping),
            Kind::Broken => return false,
            _ => is_mapping(&value),
        };
        if !fine {
            let place = tree.node(value).place;
            self.flaws.push(Flaw::new(
                place,
                "`<<` merges mappings, and this is none",
                "write `<<: *anchor` or `<<: [*one, *other]`, where the anchors name mappings",
            ));
            children.drain(2 * at..2 * at + 2);
        }
        fine
    }
}

enum Tagged {
    No,
    Text,
    Unknown,
}

fn complex_key(node: Node) -> Flaw {
    let hint = if node.kind == Kind::Mapping || node.kind == Kind::Merging {
        "a text that begins with `{` needs quotes"
    } else {
        "a text that begins with `[` or `*` needs quotes"
    };
    Flaw::new(node.place, "a key must be a plain text", hint)
}

fn duplicate(key: &str, place: Place, first: Place) -> Flaw {
    let message = format!("the key `{}` is given twice", printable(key, 60));
    let hint = format!("it was first given on line {}; keep one of the two", first.line);
    Flaw { place, message, hint: Some(hint) }
}

fn too_deep(place: Place) -> Flaw {
    Flaw::new(place, format!("lists and mappings nest more than {MAX_DEPTH} deep"), "nothing here needs such depth")
}

pub(super) fn point(marker: Marker) -> Place {
    Place { line: narrow(marker.line()), column: narrow(marker.col() + 1), length: 1 }
}

/// The place of a span, up to the end of its first line.
fn stretch(span: Span) -> Place {
    let length = if span.start.line() == span.end.line() { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    Place { length: narrow(length), ..point(span.start) }
}

/// Files are far smaller than 4 GiB, so nothing is lost.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 2_000_000;
const MAX_ALIASED: u64 = 1_000_000;
