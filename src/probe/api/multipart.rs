//! A `multipart/form-data` body (RFC 7578) from texts and small files.
//!
//! Built whole in memory: what a probe uploads is small.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::template::{Values, fill_text};
use crate::base::hash::spread_64;
use crate::base::secret::Text;

/// The parts by name, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multipart(Vec<(String, Part)>);

/// One part of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Text),
    File(File),
}

/// A part that is a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    /// Its bytes in base64: `${file:image.b64}`.
    base64: Text,
    /// Its name.
    #[serde(default = "File::default_name")]
    filename: String,
    /// Its media type.
    #[serde(rename = "type", default = "File::default_type")]
    kind: String,
}

impl File {
    fn default_name() -> String {
        "file".to_owned()
    }

    fn default_type() -> String {
        "application/octet-stream".to_owned()
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        let text: String = self.base64.expose().split_ascii_whitespace().collect();
        BASE64.decode(text).ok()
    }
}

impl Multipart {
    /// The body, and its content type with the boundary.
    #[must_use]
    pub fn body(&self, values: &Values) -> (Bytes, String) {
        let boundary = self.boundary();
        let mut out = Vec::new();
        for (name, part) in &self.0 {
            out.extend_from_slice(
                format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"").as_bytes(),
            );
            match part {
                Part::Text(text) => {
                    out.extend_from_slice(b"\r\n\r\n");
                    out.extend_from_slice(fill_text(text.expose(), values).as_bytes());
                }
                Part::File(file) => {
                    let File { filename, kind, .. } = file;
                    out.extend_from_slice(
                        format!("; filename=\"{filename}\"\r\ncontent-type: {kind}\r\n\r\n").as_bytes(),
                    );
                    out.extend_from_slice(&file.bytes().unwrap_or_default());
                }
            }
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        (out.into(), format!("multipart/form-data; boundary={boundary}"))
    }

    /// Calls `visit` with every text, any of which may hold a secret.
    pub fn each_text<'parts>(&'parts self, visit: &mut dyn FnMut(&'parts Text)) {
        for (_, part) in &self.0 {
            match part {
                Part::Text(text) | Part::File(File { base64: text, .. }) => visit(text),
            }
        }
    }

    /// A boundary that none of the parts holds: made from them, and made anew until it fits.
    fn boundary(&self) -> String {
        let mut texts = Vec::new();
        self.each_text(&mut |text| texts.push(text.expose()));
        let mut round = 0_u32;
        loop {
            let seed = round.to_string();
            let boundary = format!("forewarn-{:016x}", spread_64(&[texts.concat().as_str(), seed.as_str()]));
            if !texts.iter().any(|text| text.contains(&boundary)) {
                return boundary;
            }
            round += 1;
        }
    }
}

impl<'de> Deserialize<'de> for Multipart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PartsVisitor)
    }
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Multipart;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("parts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Multipart, A::Error> {
        let mut parts = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let part: Part = map.next_value()?;
            let texts = match &part {
                Part::Text(_) => [&*name, "", ""],
                Part::File(file) => [&*name, &*file.filename, &*file.kind],
            };
            if texts.iter().any(|text| text.contains(['"', '\r', '\n'])) {
                return Err(de::Error::custom("a name, file name or type may hold neither quotes nor line ends"));
            }
            parts.push((name, part));
        }
        Ok(Multipart(parts))
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(crate::base::json::JSON, PartVisitor)
    }
}

struct PartVisitor;

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text, or a file such as `{base64: …, filename: a.png, type: image/png}`")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Part, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Part, D::Error> {
        Text::deserialize(deserializer).map(Part::Text)
    }

    fn visit_str<E>(self, text: &str) -> Result<Part, E> {
        Ok(Part::Text(Text::plain(text)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Part, E> {
        Ok(Part::Text(Text::plain(&number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Part, E> {
        Ok(Part::Text(Text::plain(&number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Part, E> {
        Ok(Part::Text(Text::plain(&number.to_string())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Part, E> {
        Ok(Part::Text(Text::plain(if value { "true" } else { "false" })))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Part, A::Error> {
        let file = File::deserialize(MapAccessDeserializer::new(map))?;
        if file.bytes().is_none() {
            return Err(de::Error::custom("expected base64; make it with `base64 -w0 image.png > image.b64`"));
        }
        Ok(Part::File(file))
    }
}

impl JsonSchema for Multipart {
    fn schema_name() -> Cow<'static, str> {
        "Multipart".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let file = generator.subschema_for::<File>();
        json_schema!({
            "type": "object",
            "description": "Parts by name: texts, or files in base64.",
            "additionalProperties": {"anyOf": [{"type": ["string", "number", "boolean"]}, file]},
        })
    }
}
