//! JSON text as a tree, bounded in depth and in the number of its values.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::path::Path;

/// The deepest nesting of arrays, objects and fields. It bounds the recursion of all code that walks a tree.
pub(crate) const MAX_DEPTH: usize = 64;

/// The most values of a text, keys included. A value of two bytes in the text takes 64 bytes in memory.
pub(crate) const MAX_VALUES: usize = 8_192;

/// A JSON value. Strings without escapes borrow from the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    /// Exact for integers of 64 bits.
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// The members in their order. A key may occur twice: whether that is wrong depends on the message.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Reads a text that is one JSON value. None: a violation at `root` says why it is none.
pub(crate) fn parse<'t>(text: &'t [u8], root: &Path<'_>) -> Option<Json<'t>> {
    let text = match str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => return root.refuse(format_args!("not UTF-8 from byte {} on", error.valid_up_to())),
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let tree = Node { depth: 0, values_left: &Cell::new(MAX_VALUES) }.deserialize(&mut deserializer);
    let tree = tree.and_then(|tree| deserializer.end().map(|()| tree));
    tree.map_or_else(|error| root.refuse(format_args!("not readable as JSON: {error}")), Some)
}

impl Json<'_> {
    /// The violation of a value that should be of another kind.
    pub(crate) fn mismatch(&self, expected: &str) -> String {
        let found = match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        };
        format!("expected {expected}, found {found}")
    }
}

/// Reads a value inside `depth` arrays and objects.
#[derive(Clone, Copy)]
struct Node<'c> {
    depth: usize,
    /// The number of values that are still allowed in the text.
    values_left: &'c Cell<usize>,
}

impl Node<'_> {
    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(Node { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        let too_many = || D::Error::custom(format_args!("more than {MAX_VALUES} values"));
        self.values_left.set(self.values_left.get().checked_sub(1).ok_or_else(too_many)?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json<'de>, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("a number is finite"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Json<'de>, A::Error> {
        let inner = self.inner()?;
        let mut elements = Vec::new();
        while let Some(element) = array.next_element_seed(inner)? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json<'de>, A::Error> {
        let inner = self.inner()?;
        let mut members = Vec::new();
        // A key is read as a value, because Serde would copy a `Cow<str>`.
        while let Some(key) = object.next_key_seed(inner)? {
            let Json::String(key) = key else { return Err(A::Error::custom("a key is a string")) };
            members.push((key, object.next_value_seed(inner)?));
        }
        Ok(Json::Object(members))
    }
}
