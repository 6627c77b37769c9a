//! Checks an encoded message before it is decoded, at a low cost for any bytes: bounds the cost of decoding, and
//! removes unknown fields.

use std::borrow::Cow;

use prost::decode_length_delimiter;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::rules;

/// The maximum number of fields in a message, those of its parts included. Real requests have less than a tenth of it.
/// Without this limit, decoding a message of two bytes a field would cost a hundred times as much as its size suggests.
pub(crate) const MAX_FIELDS: usize = 8_192;

/// The maximum number of paths in a field mask. A level has far fewer features and parts.
const MAX_PATHS: usize = 256;

/// The maximum depth of nested messages and groups. A level of JSON in a `google.protobuf.Value` takes three.
const MAX_DEPTH: usize = 96;

/// Why bytes are refused before decoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WireError {
    /// The bytes are not an encoded protobuf message.
    Malformed,
    /// The message has more than [`MAX_FIELDS`].
    TooManyFields,
    /// A list is longer than its enum has values, or has more than [`MAX_PATHS`] paths.
    ListTooLong { field: String, max: usize, of: &'static str },
}

/// The bytes of a message without the fields that its type does not have.
///
/// # Errors
/// [`WireError`]. The check stops at the first violation.
pub(crate) fn known_fields<'b>(descriptor: &MessageDescriptor, bytes: &'b [u8]) -> Result<Cow<'b, [u8]>, WireError> {
    let mut reader = Reader::new(bytes);
    if check(descriptor, &mut reader, "", MAX_DEPTH)? {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut known = Vec::with_capacity(bytes.len());
    copy_known(descriptor, bytes, &mut known)?;
    Ok(Cow::Owned(known))
}

/// The value of the text field at a path of names, empty when the field is absent. The last occurrence counts, as
/// protobuf requires.
///
/// # Errors
/// [`WireError`].
pub(crate) fn text(descriptor: &MessageDescriptor, path: &str, bytes: &[u8]) -> Result<String, WireError> {
    let text = last_text(descriptor, path, bytes)?.unwrap_or_default();
    std::str::from_utf8(text).map(str::to_owned).map_err(|_| WireError::Malformed)
}

fn last_text<'b>(descriptor: &MessageDescriptor, path: &str, bytes: &'b [u8]) -> Result<Option<&'b [u8]>, WireError> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Some(named) = descriptor.get_field_by_name(name) else { return Ok(None) };
    let (mut reader, mut text) = (Reader::new(bytes), None);
    while let Some(field) = reader.next()? {
        if field.number != named.number() || field.wire_type != LENGTH_DELIMITED {
            continue;
        }
        text = match (rest, named.kind()) {
            // Several occurrences of a message are merged.
            (Some(rest), Kind::Message(part)) => last_text(&part, rest, field.content)?.or(text),
            _ => Some(field.content),
        };
    }
    Ok(text)
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;
const GROUP: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = 5;

/// An encoded field.
struct Field<'b> {
    number: u32,
    wire_type: u8,
    /// The value, without its length prefix.
    content: &'b [u8],
    /// The field with its key and length prefix.
    whole: &'b [u8],
}

/// Reads the fields of a message one by one and counts them.
struct Reader<'b> {
    rest: &'b [u8],
    fields_left: usize,
}

impl<'b> Reader<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, fields_left: MAX_FIELDS }
    }

    fn next(&mut self) -> Result<Option<Field<'b>>, WireError> {
        let start = self.rest;
        if start.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.key()?;
        let mut content = self.rest;
        match wire_type {
            GROUP => self.skip_group(number)?,
            GROUP_END => return Err(WireError::Malformed),
            LENGTH_DELIMITED => content = self.delimited()?,
            _ => self.skip_plain(wire_type)?,
        }
        if wire_type != LENGTH_DELIMITED {
            content = &content[..content.len() - self.rest.len()];
        }
        Ok(Some(Field { number, wire_type, content, whole: &start[..start.len() - self.rest.len()] }))
    }

    fn key(&mut self) -> Result<(u32, u8), WireError> {
        self.fields_left = self.fields_left.checked_sub(1).ok_or(WireError::TooManyFields)?;
        let key = u32::try_from(self.varint()?).map_err(|_| WireError::Malformed)?;
        match key >> 3 {
            0 => Err(WireError::Malformed),
            number => Ok((number, (key & 7) as u8)),
        }
    }

    fn varint(&mut self) -> Result<usize, WireError> {
        decode_length_delimiter(&mut self.rest).map_err(|_| WireError::Malformed)
    }

    fn delimited(&mut self) -> Result<&'b [u8], WireError> {
        let length = self.varint()?;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn skip_plain(&mut self, wire_type: u8) -> Result<(), WireError> {
        match wire_type {
            VARINT => self.varint().map(drop),
            FIXED64 => self.take(8).map(drop),
            FIXED32 => self.take(4).map(drop),
            LENGTH_DELIMITED => self.delimited().map(drop),
            _ => Err(WireError::Malformed),
        }
    }

    /// Groups are deprecated, but old clients may send them in fields that this binary does not have.
    fn skip_group(&mut self, number: u32) -> Result<(), WireError> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            match self.key()? {
                (_, GROUP) if open.len() == MAX_DEPTH => return Err(WireError::Malformed),
                (number, GROUP) => open.push(number),
                (number, GROUP_END) if number == innermost => drop(open.pop()),
                (_, wire_type) => self.skip_plain(wire_type)?,
            }
        }
        Ok(())
    }
}

/// Checks a message and its parts. Returns whether all fields are known.
fn check(
    descriptor: &MessageDescriptor,
    reader: &mut Reader<'_>,
    path: &str,
    depth_left: usize,
) -> Result<bool, WireError> {
    let depth_left = depth_left.checked_sub(1).ok_or(WireError::Malformed)?;
    let (mut all_known, mut lists) = (true, Vec::<List>::new());
    while let Some(field) = reader.next()? {
        let Some(known) = descriptor.get_field(field.number) else {
            all_known = false;
            continue;
        };
        if known.is_list() || known.is_map() {
            let list = match lists.iter_mut().find(|list| list.number == field.number) {
                Some(list) => list,
                // The limit is looked up once for a list, not for each of its elements.
                None => lists.push_mut(List { number: field.number, length: 0, limit: longest_list(&known) }),
            };
            if let Some((max, of)) = list.limit {
                list.length += elements(&known, &field, max);
                if list.length > max {
                    return Err(WireError::ListTooLong { field: format!("{path}{}", known.name()), max, of });
                }
            }
        }
        if let (Kind::Message(part), LENGTH_DELIMITED) = (known.kind(), field.wire_type) {
            let mut inner = Reader { rest: field.content, fields_left: reader.fields_left };
            all_known &= check(&part, &mut inner, &format!("{path}{}.", known.name()), depth_left)?;
            reader.fields_left = inner.fields_left;
        }
    }
    Ok(all_known)
}

/// A list or map of a message, as far as it was read.
struct List {
    number: u32,
    length: usize,
    limit: Option<(usize, &'static str)>,
}

/// The maximum number of elements in a list or map, and the words that describe them. `None` without a limit.
fn longest_list(field: &FieldDescriptor) -> Option<(usize, &'static str)> {
    if let Some(max) = rules::max_items(field) {
        return Some((max, "elements"));
    }
    match field.kind() {
        Kind::Enum(descriptor) => Some((descriptor.values().len(), "elements: as many as there are values")),
        _ if field.full_name() == "google.protobuf.FieldMask.paths" => Some((MAX_PATHS, "paths")),
        _ => None,
    }
}

/// The number of list elements in this field, counted up to `max + 1`.
fn elements(list: &FieldDescriptor, field: &Field<'_>, max: usize) -> usize {
    let is_packed = field.wire_type == LENGTH_DELIMITED && matches!(list.kind(), Kind::Enum(_));
    if !is_packed {
        return 1;
    }
    // The last byte of a varint is the one without the highest bit.
    field.content.iter().filter(|byte| **byte < 0x80).take(max + 1).count()
}

/// Copies a message that passed [`check`], without its unknown fields.
fn copy_known(descriptor: &MessageDescriptor, bytes: &[u8], to: &mut Vec<u8>) -> Result<(), WireError> {
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.next()? {
        let Some(known) = descriptor.get_field(field.number) else { continue };
        let (Kind::Message(part), LENGTH_DELIMITED) = (known.kind(), field.wire_type) else {
            to.extend_from_slice(field.whole);
            continue;
        };
        let mut inner = Vec::with_capacity(field.content.len());
        copy_known(&part, field.content, &mut inner)?;
        let key = u64::from(field.number) << 3 | u64::from(LENGTH_DELIMITED);
        prost::encode_length_delimiter(key as usize, to).expect("a vector has room");
        prost::encode_length_delimiter(inner.len(), to).expect("a vector has room");
        to.extend(inner);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
