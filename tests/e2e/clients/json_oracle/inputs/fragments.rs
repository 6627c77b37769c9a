//! Values of every JSON form for fields of every kind.

mod forms;
mod strings;

use self::forms::{ANYS, LISTS, MAPS, NUMBERS, SHAPES};
use self::strings::{BASE64, DURATIONS, MASKS, STRINGS, TIMES};
use super::Input;

const KINDS: &str = "kinds.Kinds";

/// Fields of `Kinds`, and the values for each of them.
const TABLE: [(&[&str], &[&str]); 12] = [
    // fields, values
    (&["int32", "int64", "uint32", "uint64", "sint64", "fixed32", "double", "float", "colour", "int64Value"], NUMBERS),
    (&["int32", "uint64", "double", "colour", "bool", "string", "bytes", "message", "number", "nothing"], SHAPES),
    (&["int32s", "colours", "messages", "values", "wrapped", "texts", "flags", "facts", "answers"], SHAPES),
    (&["time", "duration", "mask", "struct", "value", "list", "any", "empty", "boolValue", "stringValue"], SHAPES),
    (&["int32s", "strings", "colours", "messages", "values", "wrapped"], LISTS),
    (&["texts", "flags", "palette", "answers", "facts", "struct"], MAPS),
    (&["bytes", "bytesValue"], BASE64),
    (&["string", "stringValue", "value"], STRINGS),
    (&["time"], TIMES),
    (&["duration"], DURATIONS),
    (&["mask"], MASKS),
    (&["any"], ANYS),
];

/// Each field with each of its values.
pub fn all() -> Vec<Input> {
    let mut inputs = Vec::new();
    for (fields, values) in TABLE {
        for (field, value) in fields.iter().flat_map(|field| values.iter().map(move |value| (field, value))) {
            inputs.push(Input::new(KINDS, format!(r#"{{"{field}":{value}}}"#)));
        }
    }
    inputs
}
