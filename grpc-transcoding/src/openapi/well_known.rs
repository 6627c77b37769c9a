//! JSON Schema of scalars, and of the messages of `google.protobuf` with a JSON form of their own.

use serde_json::{Value, json};

/// The schema of a message with a JSON form of its own; `None` for any other.
pub(crate) fn schema(full_name: &str) -> Option<Value> {
    Some(match full_name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({"type": "string", "format": "date-time"}),
        "Duration" => json!({"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"}),
        // Names in lowerCamelCase, separated by commas.
        "FieldMask" => json!({"type": "string", "format": "field-mask"}),
        "Any" => any(),
        "Struct" => json!({"type": "object"}),
        "ListValue" => json!({"type": "array"}),
        "Value" => json!({}),
        "DoubleValue" => floating("double"),
        "FloatValue" => floating("float"),
        "Int64Value" => int64(),
        "UInt64Value" => uint64(),
        "Int32Value" => json!({"type": "integer", "format": "int32"}),
        "UInt32Value" => json!({"type": "integer", "format": "uint32", "minimum": 0}),
        "BoolValue" => json!({"type": "boolean"}),
        "StringValue" => json!({"type": "string"}),
        "BytesValue" => bytes(),
        _ => return None,
    })
}

/// Any message, together with its type.
pub(crate) fn any() -> Value {
    json!({"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]})
}

/// 64 bits do not fit the numbers of JavaScript, so they are texts.
pub(crate) fn int64() -> Value {
    json!({"type": "string", "format": "int64", "pattern": "^(0|-?[1-9][0-9]{0,18})$"})
}

/// See [`int64`].
pub(crate) fn uint64() -> Value {
    json!({"type": "string", "format": "uint64", "pattern": "^(0|[1-9][0-9]{0,19})$"})
}

/// JSON has no numbers for the last three.
pub(crate) fn floating(format: &str) -> Value {
    json!({"oneOf": [{"type": "number", "format": format}, {"enum": ["NaN", "Infinity", "-Infinity"]}]})
}

pub(crate) fn bytes() -> Value {
    json!({"type": "string", "contentEncoding": "base64"})
}
