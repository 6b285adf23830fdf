//! Settings from JSON the way the configuration reader gives them: lists where several values may stand, and texts with
//! secrets.
//!
//! `serde_json` alone cannot: it knows neither of the two names by which settings ask for that.

use forewarn::base::json::JSON;
use forewarn::base::many::MANY;
use forewarn::base::secret::EXPANDED;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// Reads settings. `{"$shown": …, "value": …}` stands for a text that was expanded from `${env:…}`.
pub(crate) fn read<'de, T: Deserialize<'de>>(json: Value) -> Result<T, Error> {
    T::deserialize(Settings(json))
}

struct Settings(Value);

impl<'de> Deserializer<'de> for Settings {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(values) => visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(Settings))),
            Value::Object(map) => {
                visitor.visit_map(MapDeserializer::new(map.into_iter().map(|(key, value)| (key, Settings(value)))))
            }
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match (name, self.0) {
            (MANY, list @ Value::Array(_)) => Settings(list).deserialize_any(visitor),
            (JSON, secret @ Value::Object(_)) if secret.get("$shown").is_some() => visitor.visit_some(Settings(secret)),
            (EXPANDED, Value::Object(mut map)) => {
                let halves = ["$shown", "value"].map(|key| Settings(map.remove(key).unwrap()));
                visitor.visit_seq(SeqDeserializer::new(halves.into_iter()))
            }
            (_, value) => visitor.visit_newtype_struct(Settings(value)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Settings {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
