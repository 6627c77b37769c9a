//! The values of scalar and enum fields, and the keys of maps.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{EnumDescriptor, Kind, MapKey, Value};
use serde_json::Number;

use super::tree::Json;
use crate::error::client_text::quoted;

/// Padding is optional, as in canonical JSON.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Whether `null` is a value of this kind. For other kinds it stands for an unset field.
pub(crate) fn takes_null(kind: &Kind) -> bool {
    match kind {
        Kind::Message(descriptor) => descriptor.full_name() == "google.protobuf.Value",
        Kind::Enum(descriptor) => descriptor.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

/// Reads a value of a kind other than a message. The error says what is wrong.
pub(crate) fn scalar(kind: &Kind, json: &Json<'_>) -> Result<Value, String> {
    match (kind, json) {
        (Kind::Double, _) => float(json).map(Value::F64),
        (Kind::Float, _) => match float(json)? {
            wide if wide.is_finite() && wide.abs() > f32::MAX.into() => Err(format!("{wide} is out of range")),
            wide => Ok(Value::F32(wide as f32)),
        },
        (Kind::Int32 | Kind::Sint32 | Kind::Sfixed32, _) => integer(json).map(Value::I32),
        (Kind::Int64 | Kind::Sint64 | Kind::Sfixed64, _) => integer(json).map(Value::I64),
        (Kind::Uint32 | Kind::Fixed32, _) => integer(json).map(Value::U32),
        (Kind::Uint64 | Kind::Fixed64, _) => integer(json).map(Value::U64),
        (Kind::Bool, Json::Bool(value)) => Ok(Value::Bool(*value)),
        (Kind::Bool, _) => Err(json.mismatch("a boolean")),
        (Kind::String, Json::String(text)) => Ok(Value::String(text.clone().into_owned())),
        (Kind::String, _) => Err(json.mismatch("a string")),
        (Kind::Bytes, Json::String(text)) => {
            // The URL-safe alphabet is accepted, too.
            let bytes = BASE64.decode(text.replace('-', "+").replace('_', "/"));
            bytes.map(|bytes| Value::Bytes(bytes.into())).map_err(|error| format!("expected base64: {error}"))
        }
        (Kind::Bytes, _) => Err(json.mismatch("a base64 string")),
        (Kind::Enum(descriptor), _) => enumeration(descriptor, json).map(Value::EnumNumber),
        (Kind::Message(descriptor), _) => Err(json.mismatch(descriptor.full_name())),
    }
}

/// Reads the key of a map entry.
pub(crate) fn map_key(kind: &Kind, key: &str) -> Result<MapKey, String> {
    let value = match (kind, key) {
        (Kind::Bool, "true") => Value::Bool(true),
        (Kind::Bool, "false") => Value::Bool(false),
        (Kind::Bool, _) => return Err(format!("expected true or false, found {}", quoted(key))),
        _ => scalar(kind, &Json::String(Cow::Borrowed(key)))?,
    };
    Ok(value.into_map_key().expect("protobuf allows only integers, booleans and strings as keys"))
}

fn integer<T: TryFrom<i128>>(json: &Json<'_>) -> Result<T, String> {
    let number = number(json, "an integer")?;
    let whole = number.as_i128().or_else(|| {
        let float = number.as_f64()?;
        // Integers of 64 bits are no floats here, so this is the lowest integer minus one, rounded.
        let rounded = float == i64::MIN as f64;
        // Outside of the range the conversion saturates, and `T` is narrower.
        (float.fract() == 0.0 && !rounded).then_some(float as i128)
    });
    let whole = whole.ok_or_else(|| format!("expected an integer, found {number}"))?;
    T::try_from(whole).map_err(|_| format!("{number} is out of range"))
}

fn float(json: &Json<'_>) -> Result<f64, String> {
    match json {
        Json::String(text) if text == "NaN" => Ok(f64::NAN),
        Json::String(text) if text == "Infinity" => Ok(f64::INFINITY),
        Json::String(text) if text == "-Infinity" => Ok(f64::NEG_INFINITY),
        _ => {
            let number = number(json, "a number")?;
            number.as_f64().ok_or_else(|| format!("{number} is out of range"))
        }
    }
}

/// A number, or a string with a number.
fn number(json: &Json<'_>, what: &str) -> Result<Number, String> {
    match json {
        Json::Number(number) => Ok(number.clone()),
        Json::String(text) => text.parse().map_err(|_| format!("expected {what}, found {}", quoted(text))),
        _ => Err(json.mismatch(what)),
    }
}

fn enumeration(descriptor: &EnumDescriptor, json: &Json<'_>) -> Result<i32, String> {
    match json {
        Json::Null if descriptor.full_name() == "google.protobuf.NullValue" => Ok(0),
        Json::Number(_) => integer(json),
        Json::String(name) => match descriptor.get_value_by_name(name) {
            Some(value) => Ok(value.number()),
            None => Err(format!("{} is no value of {}", quoted(name), descriptor.full_name())),
        },
        _ => Err(json.mismatch("the name or number of an enum value")),
    }
}
