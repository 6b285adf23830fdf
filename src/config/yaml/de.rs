//! The tree as a serde deserializer, so that the settings' types are the YAML.
//!
//! Numbers, booleans and nulls are so only where they have no quotes; where a text is expected, any scalar but null is
//! one. An unknown key is a problem but no failure. Whatever fails is settled by the [`Item`] where its place is known.

use std::borrow::Cow;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::collect::Item;
use super::fail::{Failure, plainly};
use super::scalar::Core;
use super::{NodeId, Scalar, Value};
use crate::base::json::JSON;
use crate::base::many::MANY;
use crate::base::secret::EXPANDED;
use crate::config::suggest;

/// A node about to be read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'item, 'de> {
    item: &'item Item<'de>,
    node: NodeId,
}

impl<'item, 'de> Reader<'item, 'de> {
    pub(super) fn new(item: &'item Item<'de>, node: NodeId) -> Self {
        Self { item, node }
    }

    fn value(self) -> Value<'de> {
        self.item.tree().value(self.node)
    }

    /// The scalar with the text that may be handed over, or a failure that says what was expected.
    fn scalar(self, expected: &dyn de::Expected) -> Result<Scalar<'de>, Failure> {
        match self.value() {
            Value::Scalar(scalar) => Ok(Scalar { value: self.item.hand_over(self.node, scalar), ..scalar }),
            Value::Broken => Err(Failure::Unusable),
            _ => Err(Failure::Expected(plainly(&expected.to_string()))),
        }
    }

    fn text(self, expected: &dyn de::Expected) -> Result<&'de str, Failure> {
        let scalar = self.scalar(expected)?;
        if scalar.is_null() { Err(Failure::Expected(plainly(&expected.to_string()))) } else { Ok(scalar.value) }
    }

    fn integer(self, low: i128, high: i128) -> Result<i128, Failure> {
        let expected = || format!("a whole number from {low} to {high}");
        let scalar = self.scalar(&expected().as_str())?;
        let quoted = Scalar { plain: true, ..scalar };
        match scalar.core() {
            Core::Integer(number) if (low..=high).contains(&number) => Ok(number),
            Core::Text if !scalar.plain && !scalar.secret && matches!(quoted.core(), Core::Integer(_)) => {
                Err(self.refuse(&expected(), Some("remove the quotes")))
            }
            Core::Text if scalar.value.contains('_') => Err(self.refuse(&expected(), Some("write it without `_`"))),
            _ => Err(Failure::Expected(expected())),
        }
    }

    fn float(self) -> Result<f64, Failure> {
        let scalar = self.scalar(&"a number")?;
        match scalar.core() {
            // Wide integers lose digits, as in every JSON reader.
            #[expect(clippy::cast_precision_loss, reason = "a float was asked for")]
            Core::Integer(number) => Ok(number as f64),
            Core::Float(number) if number.is_finite() => Ok(number),
            Core::Text if !scalar.plain && !scalar.secret => Err(self.refuse("a number", Some("remove the quotes"))),
            _ => Err(Failure::Expected("a number".to_owned())),
        }
    }

    fn refuse(self, expected: &str, hint: Option<&str>) -> Failure {
        let message = format!("expected {expected}, got {}", self.item.tree().describe(self.node));
        Failure::Refused(message, hint.map(ToOwned::to_owned))
    }

    fn entries(self) -> Entries<'item, 'de> {
        Entries { item: self.item, pairs: self.item.tree().pairs(self.node), next: 0, known: None, value: None }
    }

    fn elements(self, ids: &'de [NodeId]) -> Elements<'item, 'de> {
        Elements { item: self.item, ids: ids.iter() }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty,)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            let number = self.integer(i128::from(<$type>::MIN), i128::from(<$type>::MAX))?;
            // In range, as was just checked.
            visitor.$visit(<$type>::try_from(number).unwrap_or_default())
        }
    )+};
}

impl<'de> Deserializer<'de> for Reader<'_, 'de> {
    type Error = Failure;

    integers! {
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value() {
            Value::Sequence(ids) => visitor.visit_seq(self.elements(ids)),
            Value::Mapping => visitor.visit_map(self.entries()),
            Value::Broken => Err(Failure::Unusable),
            Value::Scalar(_) => {
                let scalar = self.scalar(&visitor)?;
                // A value from outside must not change its type with its content.
                match if scalar.secret { Core::Text } else { scalar.core() } {
                    Core::Null => visitor.visit_unit(),
                    Core::Bool(value) => visitor.visit_bool(value),
                    Core::Integer(number) => match (u64::try_from(number), i64::try_from(number)) {
                        (Ok(number), _) => visitor.visit_u64(number),
                        (_, Ok(number)) => visitor.visit_i64(number),
                        _ => Err(Failure::Expected(format!("a whole number from {} to {}", i64::MIN, u64::MAX))),
                    },
                    Core::Float(number) => visitor.visit_f64(number),
                    Core::Text => visitor.visit_borrowed_str(scalar.value),
                }
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let scalar = self.scalar(&visitor)?;
        let hint = match (scalar.core(), scalar.value.to_ascii_lowercase().as_str()) {
            (Core::Bool(value), _) => return visitor.visit_bool(value),
            (Core::Text, "yes" | "on" | "y") => Some("write `true`"),
            (Core::Text, "no" | "off" | "n") => Some("write `false`"),
            (Core::Text, "true" | "false") if !scalar.plain && !scalar.secret => Some("remove the quotes"),
            _ => None,
        };
        Err(self.refuse("`true` or `false`", hint))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let text = self.text(&visitor)?;
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let text = self.text(&visitor)?;
        visitor.visit_borrowed_bytes(text.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if self.item.tree().is_null(self.node) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if self.item.tree().is_null(self.node) {
            visitor.visit_unit()
        } else {
            Err(Failure::Expected("nothing".to_owned()))
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        match name {
            EXPANDED => {
                let text = self.text(&visitor)?;
                match self.value() {
                    // Withheld, the text is what may be shown: then there is no second half.
                    Value::Scalar(scalar) if scalar.secret && std::ptr::eq(text, scalar.value) => {
                        visitor.visit_seq(de::value::SeqDeserializer::new([scalar.shown, text].into_iter()))
                    }
                    _ => visitor.visit_borrowed_str(text),
                }
            }
            JSON => match self.value() {
                Value::Scalar(scalar) if scalar.secret => visitor.visit_some(self),
                _ => visitor.visit_newtype_struct(self),
            },
            MANY => match self.value() {
                Value::Sequence(ids) => visitor.visit_seq(self.elements(ids)),
                _ => visitor.visit_newtype_struct(self),
            },
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value() {
            Value::Sequence(ids) => visitor.visit_seq(self.elements(ids)),
            Value::Broken => Err(Failure::Unusable),
            _ => Err(Failure::Expected(plainly(&(&visitor as &dyn de::Expected).to_string()))),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        match self.value() {
            Value::Sequence(ids) if ids.len() != length => {
                Err(Failure::refused(format!("expected a list of {length}, got a list of {}", ids.len())))
            }
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value() {
            Value::Mapping => visitor.visit_map(self.entries()),
            Value::Broken => Err(Failure::Unusable),
            _ => Err(Failure::Expected(plainly(&(&visitor as &dyn de::Expected).to_string()))),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match self.value() {
            Value::Mapping => {}
            Value::Broken => return Err(Failure::Unusable),
            _ => return Err(self.refuse("a mapping", Some(&format!("its keys are {}", suggest::all(known))))),
        }
        visitor.visit_map(Entries { known: Some(known), ..self.entries() }).map_err(|failure| match failure {
            // The key is there; what was wrong with its value has been said.
            Failure::Missing(field) if self.item.tree().entry(self.node, &field).is_some() => Failure::Unusable,
            failure => failure,
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match self.value() {
            Value::Scalar(_) => {
                let name = self.text(&suggest::one_of(known).as_str())?;
                if !known.contains(&name) {
                    return Err(Failure::unknown_value(name, known));
                }
                visitor.visit_enum(Choice { item: self.item, name, key: None, value: None })
            }
            Value::Mapping => {
                let pairs = self.item.tree().pairs(self.node);
                let &[key, value] = &*pairs else { return Err(self.refuse_choice(&pairs, known)) };
                let name = self.item.tree().key(key);
                if !known.contains(&name) {
                    self.item.unknown_key(key, value, known);
                    return Err(Failure::Unusable);
                }
                if self.item.skips(value) {
                    return Err(Failure::Unusable);
                }
                visitor.visit_enum(Choice { item: self.item, name, key: Some(key), value: Some(value) })
            }
            Value::Broken => Err(Failure::Unusable),
            Value::Sequence(_) => Err(Failure::Expected(suggest::one_of(known))),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }
}

impl Reader<'_, '_> {
    fn refuse_choice(self, pairs: &[NodeId], known: &[&str]) -> Failure {
        let given: Vec<_> = pairs.as_chunks::<2>().0.iter().map(|[key, _]| self.item.tree().key(*key)).collect();
        let expected = format!("expected exactly {}", suggest::one_of(known));
        match given.as_slice() {
            [] => Failure::refused(format!("{expected}, got none")),
            given => Failure::refused(format!("{expected}, got {}", suggest::all(given))),
        }
    }
}

/// The entries of a mapping. With `known`, keys that are not known are reported and stepped over.
struct Entries<'item, 'de> {
    item: &'item Item<'de>,
    pairs: Cow<'de, [NodeId]>,
    next: usize,
    known: Option<&'static [&'static str]>,
    value: Option<(NodeId, NodeId)>,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        while let Some(&[key, value]) = self.pairs.get(self.next..self.next + 2) {
            self.next += 2;
            let name = self.item.tree().key(key);
            match self.known {
                Some(known) if !known.contains(&name) => self.item.unknown_key(key, value, known),
                _ if self.item.skips(value) => {}
                _ => {
                    self.value = Some((key, value));
                    let mark = self.item.mark();
                    let read = seed.deserialize(BorrowedStrDeserializer::new(name));
                    return read.map(Some).map_err(|failure| self.bad_key(key, value, mark, failure));
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Failure> {
        let Some((key, value)) = self.value.take() else { return Err(Failure::Unusable) };
        let mark = self.item.mark();
        let read = seed.deserialize(Reader::new(self.item, value));
        read.map_err(|failure| self.item.settle(value, Some(key), mark, failure))
    }

    fn size_hint(&self) -> Option<usize> {
        Some((self.pairs.len() - self.next) / 2)
    }
}

impl Entries<'_, '_> {
    /// A key that is refused is reported at the key; its value goes with it.
    fn bad_key(&self, key: NodeId, value: NodeId, mark: super::collect::Mark, failure: Failure) -> Failure {
        let settled = self.item.settle(key, None, mark, failure);
        self.item.settle(value, None, mark, Failure::Unusable);
        settled
    }
}

/// The elements of a list.
struct Elements<'item, 'de> {
    item: &'item Item<'de>,
    ids: std::slice::Iter<'de, NodeId>,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Failure;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failure> {
        let Some(node) = self.ids.by_ref().find(|node| !self.item.skips(**node)) else { return Ok(None) };
        let mark = self.item.mark();
        let read = seed.deserialize(Reader::new(self.item, *node));
        read.map(Some).map_err(|failure| self.item.settle(*node, None, mark, failure))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.ids.len())
    }
}

/// One of an enum's variants: a word, or a mapping with one entry.
struct Choice<'item, 'de> {
    item: &'item Item<'de>,
    name: &'de str,
    key: Option<NodeId>,
    value: Option<NodeId>,
}

impl<'de> EnumAccess<'de> for Choice<'_, 'de> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Failure> {
        Ok((seed.deserialize(BorrowedStrDeserializer::<Failure>::new(self.name))?, self))
    }
}

impl<'item, 'de> Choice<'item, 'de> {
    fn read<T>(self, read: impl FnOnce(Reader<'item, 'de>) -> Result<T, Failure>) -> Result<T, Failure> {
        let Some(value) = self.value else {
            return Err(Failure::refused(format!("`{0}` needs a value: write `{{{0}: …}}`", self.name)));
        };
        let mark = self.item.mark();
        read(Reader::new(self.item, value)).map_err(|failure| self.item.settle(value, self.key, mark, failure))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_, 'de> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        match self.value {
            Some(value) if !self.item.tree().is_null(value) => {
                Err(Failure::refused(format!("`{0}` takes no value; write `{0}` alone", self.name)))
            }
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Failure> {
        self.read(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        self.read(|reader| reader.deserialize_tuple(length, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        self.read(|reader| reader.deserialize_struct("", fields, visitor))
    }
}
