//! Configured texts that may hold a secret, and the scrubber that keeps secrets out of what is shown.
//!
//! Never logs, prints or serialises a secret: [`Text`] and [`Secret`] show where the value came from instead of the
//! value. Does not resolve `${env:…}`; that is the configuration reader's work, which hands over both halves.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The newtype name under which a deserializer may hand over `[shown, value]` instead of one string.
pub const EXPANDED: &str = "$forewarn::expanded";

/// A text from the configuration. Where it held `${env:…}` or `${file:…}`, it shows that reference, never the value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text {
    shown: Arc<str>,
    /// The resolved text, where it differs from what may be shown.
    value: Option<Arc<str>>,
}

impl Text {
    /// A text with nothing to hide.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self { shown: text.into(), value: None }
    }

    /// A text that resolved to `value` and is to be shown as `shown`.
    #[must_use]
    pub fn expanded(shown: &str, value: &str) -> Self {
        Self { shown: shown.into(), value: Some(value.into()) }
    }

    /// The real text. Every caller sends it to a target or compares with it; none may print it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.as_deref().unwrap_or(&self.shown)
    }

    /// What people may see.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// True when the text holds something from `${env:…}` or `${file:…}`.
    #[must_use]
    pub fn is_expanded(&self) -> bool {
        self.value.is_some()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.shown, out)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(EXPANDED, TextVisitor)
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text::plain(text))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        String::deserialize(deserializer).map(|text| Text::plain(&text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
        let missing = || de::Error::custom("expected the shown text and the value");
        let shown: String = seq.next_element()?.ok_or_else(missing)?;
        let value: String = seq.next_element()?.ok_or_else(missing)?;
        Ok(Text::expanded(&shown, &value))
    }
}

/// A text that is a secret wherever it came from: a password or a token. A literal shows as `[secret]`.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Secret(Text);

impl Secret {
    /// A secret with this value.
    #[must_use]
    pub fn new(value: &str) -> Self {
        Self(Text::plain(value))
    }

    /// The real value, to be sent to the target only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    fn shown(&self) -> &str {
        if self.0.is_expanded() { self.0.shown() } else { HIDDEN }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.shown())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.shown())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

/// Removes known secrets from texts that a target may have echoed.
#[derive(Clone, Default)]
pub struct Scrubber {
    values: Vec<Arc<str>>,
}

impl Scrubber {
    /// Remembers `value`. Values under four bytes are left out: hiding every `1` would only garble the text.
    pub fn hide(&mut self, value: &str) {
        if value.len() >= SHORTEST && !self.values.iter().any(|known| &**known == value) {
            self.values.push(value.into());
            // Longest first, so that a secret that contains another is replaced whole.
            self.values.sort_by_key(|known| std::cmp::Reverse(known.len()));
        }
    }

    /// Remembers what was put in for each reference of an expanded text, and the whole.
    pub fn hide_text(&mut self, text: &Text) {
        if !text.is_expanded() {
            return;
        }
        self.hide(text.expose());
        for part in inserted(text.shown(), text.expose()) {
            self.hide(part);
        }
    }

    /// Remembers a secret.
    pub fn hide_secret(&mut self, secret: &Secret) {
        self.hide(secret.expose());
    }

    /// `text` with every known secret replaced, and the beginning of one where the text was cut with `…`.
    #[must_use]
    pub fn scrub(&self, text: String) -> String {
        let scrub = |text: String, value: &Arc<str>| {
            let text = if text.contains(&**value) { text.replace(&**value, HIDDEN) } else { text };
            if text.contains(CUT) { without_beginning(&text, value) } else { text }
        };
        self.values.iter().fold(text, scrub)
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Scrubber({} secrets)", self.values.len())
    }
}

/// `text` without what stands before a cut and is the beginning of `value`.
fn without_beginning(text: &str, value: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(CUT) {
        let kept = piece.strip_suffix(CUT).unwrap_or(piece);
        let beginnings = value.char_indices().map(|(at, _)| &value[..at]).rev();
        match beginnings.take_while(|part| part.len() >= SHORTEST).find(|part| kept.ends_with(part)) {
            Some(part) if kept.len() < piece.len() => {
                out.push_str(&kept[..kept.len() - part.len()]);
                out.push_str(HIDDEN);
                out.push(CUT);
            }
            _ => out.push_str(piece),
        }
    }
    out
}

/// The parts of `value` that stand where `shown` has `${…}`; found by the literal text between the references.
fn inserted<'value>(shown: &str, value: &'value str) -> Vec<&'value str> {
    let mut parts = Vec::new();
    let (mut shown, mut value) = (shown, value);
    while let Some((literal, rest)) = shown.split_once("${") {
        let Some(after) = value.strip_prefix(literal) else { break };
        let Some((_, tail)) = rest.split_once('}') else { break };
        let next = tail.split_once("${").map_or(tail, |(next, _)| next);
        let is_last = !tail.contains("${");
        let end = if is_last { after.len().checked_sub(next.len()) } else { after.find(next) };
        let Some((part, remaining)) = end.and_then(|end| after.split_at_checked(end)) else { break };
        parts.push(part);
        (shown, value) = (tail, remaining);
    }
    parts
}

const HIDDEN: &str = "[secret]";
/// The mark that [`printable`](super::bounded::printable) leaves where it cut.
const CUT: char = '…';
/// Hiding shorter texts would only garble what is shown.
const SHORTEST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_formats_shows_a_secret() {
        let text = Text::expanded("Key ${env:FAL_KEY}", "Key hunter2");
        let literal = Secret::new("hunter2");
        let shown =
            format!("{text} {text:?} {literal} {literal:?} {}", serde_json::to_string(&(&text, &literal)).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(text.expose(), "Key hunter2");
        assert_eq!(literal.expose(), "hunter2");
    }

    #[test]
    fn an_echoed_secret_is_scrubbed() {
        let mut scrubber = Scrubber::default();
        scrubber.hide("hunter2");
        scrubber.hide("hunter2-long");
        scrubber.hide("1");
        assert_eq!(scrubber.scrub("1: hunter2-long, hunter2".to_owned()), "1: [secret], [secret]");
        assert_eq!(format!("{scrubber:?}"), "Scrubber(2 secrets)");
    }

    #[test]
    fn the_beginning_of_a_secret_is_hidden_where_a_text_was_cut() {
        let mut scrubber = Scrubber::default();
        scrubber.hide("hunter2-long");
        assert_eq!(scrubber.scrub("got `key hunter2-lo…` and".to_owned()), "got `key [secret]…` and");
        assert_eq!(scrubber.scrub("hunt… a hunt… ahun…".to_owned()), "[secret]… a [secret]… ahun…");
        assert_eq!(scrubber.scrub("hunter".to_owned()), "hunter");
    }

    #[test]
    fn each_reference_of_an_expanded_text_is_scrubbed() {
        assert_eq!(inserted("Key ${env:A}", "Key hunter2"), ["hunter2"]);
        assert_eq!(inserted("${env:A}/x/${env:B}?y", "host/x/token?y"), ["host", "token"]);
        assert_eq!(inserted("plain", "plain"), Vec::<&str>::new());
        let mut scrubber = Scrubber::default();
        scrubber.hide_text(&Text::expanded("Key ${env:A}", "Key hunter2"));
        assert_eq!(scrubber.scrub("bad key: hunter2".to_owned()), "bad key: [secret]");
    }

    #[test]
    fn a_plain_deserializer_gives_a_plain_text() {
        assert_eq!(serde_json::from_str::<Text>("\"hello\"").unwrap(), Text::plain("hello"));
    }
}
