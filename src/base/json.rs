//! JSON documents from the configuration, in which a text may hold a secret.
//!
//! Not for documents that come from a target: those hold no secrets of ours, and `serde_json` reads them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::secret::Text;

/// The newtype name under which the configuration reader hands over a text with a secret through `visit_some`, and
/// anything else through `visit_newtype_struct`.
pub const JSON: &str = "$forewarn::json";

/// A JSON document. Where a text held `${env:…}` or `${file:…}`, it shows that reference, never the value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// Null, a boolean or a number.
    Plain(Value),
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Json>),
    /// Members in their order. The last of a name counts.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The document with its secrets. Every caller sends it to a target or compares with it; none may print it.
    #[must_use]
    pub fn expose(&self) -> Value {
        self.with(&Text::expose)
    }

    /// The document as people may see it.
    #[must_use]
    pub fn shown(&self) -> Value {
        self.with(&Text::shown)
    }

    /// Calls `visit` with every text in it.
    pub fn each_text<'json>(&'json self, visit: &mut dyn FnMut(&'json Text)) {
        match self {
            Self::Plain(_) => {}
            Self::Text(text) => visit(text),
            Self::List(items) => items.iter().for_each(|item| item.each_text(visit)),
            Self::Object(members) => members.iter().for_each(|(_, member)| member.each_text(visit)),
        }
    }

    fn with(&self, read: &dyn Fn(&Text) -> &str) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Text(text) => read(text).into(),
            Self::List(items) => items.iter().map(|item| item.with(read)).collect(),
            Self::Object(members) => members.iter().map(|(name, member)| (name.clone(), member.with(read))).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(JSON, JsonVisitor)
    }
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Value::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Value::json_schema(generator)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        Text::deserialize(deserializer).map(Json::Text)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Plain(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(Text::plain(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_comes_through_as_it_is() {
        let value = json!({"z": null, "a": [true, 1, -2, 1.5, "text", {"b": {}}, []]});
        let document: Json = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(document.expose(), value);
        assert_eq!(document.expose().to_string(), value.to_string(), "in its order");
        assert_eq!(document.shown(), value);
    }

    #[test]
    fn a_secret_in_it_is_not_shown() {
        let secret = Text::expanded("Key ${env:KEY}", "Key hunter2");
        let document = Json::Object(vec![("keys".to_owned(), Json::List(vec![Json::Text(secret)]))]);
        assert_eq!(document.expose(), json!({"keys": ["Key hunter2"]}));
        assert_eq!(document.shown(), json!({"keys": ["Key ${env:KEY}"]}));
        assert!(!format!("{document:?}").contains("hunter2"));
        let mut texts = Vec::new();
        document.each_text(&mut |text| texts.push(text.expose()));
        assert_eq!(texts, ["Key hunter2"]);
    }
}
