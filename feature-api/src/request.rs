//! Requests: converts protobuf bytes to domain values.

use std::fmt::Display;

use feature_core::{Layer, Level, Patch, PatchError};
use prost_reflect::{DynamicMessage, MessageDescriptor, Value as FieldValue};

use crate::schema::LevelFeatures;
use crate::schema::features::id_field;
use crate::value;
use crate::wire::{self, MAX_FIELDS, WireError};

/// The maximum number of violations in an answer. Violations are sent in a header, and clients limit its size.
const VIOLATIONS_MAX: usize = 10;

/// The maximum number of characters of a path that an answer repeats.
const PATH_MAX_CHARS: usize = 64;

/// A field of a request with a wrong value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's path, such as `login_v2.base_uri` or `improved_performance[2]`.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// The first violations of a request.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<Violation>);

impl Violations {
    /// Adds a violation. Formats its texts only if the answer has room for it.
    pub(crate) fn add(&mut self, field: impl Display, description: impl Display) {
        if self.0.len() < VIOLATIONS_MAX {
            self.0.push(Violation { field: field.to_string(), description: description.to_string() });
        }
    }

    /// An error if there is any.
    pub(crate) fn into_result(self) -> Result<(), RequestError> {
        if self.0.is_empty() { Ok(()) } else { Err(RequestError::Invalid(self.0)) }
    }
}

/// Why a request is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The bytes are not a valid message of the type with this name.
    #[error("no valid message of the type {0}")]
    Malformed(String),
    /// The message has more fields than a request can need.
    #[error("the message has more than {0} fields")]
    TooManyFields(usize),
    /// Fields have wrong values: these, and possibly more, since the list is limited.
    #[error("invalid fields")]
    Invalid(Vec<Violation>),
    /// A Set request names nothing to change.
    #[error(transparent)]
    NoChanges(PatchError),
}

impl RequestError {
    pub(crate) fn of(error: WireError, descriptor: &MessageDescriptor) -> Self {
        match error {
            WireError::Malformed => RequestError::Malformed(descriptor.full_name().to_owned()),
            WireError::TooManyFields => RequestError::TooManyFields(MAX_FIELDS),
            WireError::ListTooLong { field, max, of } => {
                RequestError::Invalid(vec![Violation { field, description: format!("must have at most {max} {of}") }])
            }
        }
    }
}

/// A request of the feature service.
#[derive(Debug, Clone)]
pub struct Request {
    message: DynamicMessage,
}

impl Request {
    /// Decodes a request. Ignores unknown fields, which newer clients may send.
    ///
    /// The limits on fields and list elements bound the cost of decoding for any bytes.
    ///
    /// # Errors
    /// [`RequestError::Malformed`] when the bytes are not a message of this type, [`RequestError::TooManyFields`], and
    /// [`RequestError::Invalid`] for a list that is too long.
    pub fn decode(descriptor: &MessageDescriptor, bytes: &[u8]) -> Result<Self, RequestError> {
        let known = wire::known_fields(descriptor, bytes).map_err(|error| RequestError::of(error, descriptor))?;
        DynamicMessage::decode(descriptor.clone(), known.as_ref())
            .map(|message| Self { message })
            .map_err(|_| RequestError::of(WireError::Malformed, descriptor))
    }

    /// The id of the resource that a request of this level names, unchecked; empty on levels without an id. Decodes no
    /// other field, so that the server can check the right on the resource first.
    ///
    /// # Errors
    /// [`RequestError::Malformed`] and [`RequestError::TooManyFields`].
    pub fn resource_id(descriptor: &MessageDescriptor, level: Level, bytes: &[u8]) -> Result<String, RequestError> {
        let Some(name) = id_field(level) else { return Ok(String::new()) };
        wire::text(descriptor, name, bytes).map_err(|error| RequestError::of(error, descriptor))
    }

    /// Whether a read includes inherited values.
    pub fn inheritance(&self) -> bool {
        self.field("inheritance").and_then(|value| value.as_bool()).unwrap_or(false)
    }

    /// Whether a write is only checked and not carried out.
    pub fn validate_only(&self) -> bool {
        self.field("validate_only").and_then(|value| value.as_bool()).unwrap_or(false)
    }

    /// The sequence that the caller of a write expects.
    pub fn expected_sequence(&self) -> Option<u64> {
        if self.message.has_field_by_name("expected_sequence") {
            self.field("expected_sequence").and_then(|value| value.as_u64())
        } else {
            None
        }
    }

    /// Reads a Set request of this level as a patch.
    ///
    /// # Errors
    /// [`RequestError::Invalid`] names the wrong fields and the paths of the mask that name no feature;
    /// [`RequestError::NoChanges`] when the request names no feature.
    pub fn patch(&self, features: &LevelFeatures) -> Result<Patch, RequestError> {
        let mask = self.update_mask();
        let masked = |path: &str| mask.as_ref().is_none_or(|paths| paths.iter().any(|masked| covers(masked, path)));
        let mut violations = Violations::default();
        let present: Layer = features
            .fields
            .iter()
            .filter(|feature| self.message.has_field(&feature.set) && masked(feature.key.as_str()))
            .filter_map(|feature| {
                let value = value::read(feature, &self.message, masked, &mut violations)?;
                Some((feature.key.clone(), value))
            })
            .collect();
        let patch = Patch::new(&features.set, &present, mask.as_deref());
        if let Err(PatchError::UnknownPaths(paths)) = &patch {
            for (position, path) in paths {
                let end = path.char_indices().nth(PATH_MAX_CHARS).map_or(path.len(), |(end, _)| end);
                let (path, level) = (&path[..end], features.level.name());
                violations.add(
                    format_args!("update_mask.paths[{position}]"),
                    format_args!("'{path}' names no feature of the {level} level"),
                );
            }
        }
        violations.into_result()?;
        patch.map_err(RequestError::NoChanges)
    }

    /// The paths of the mask. A mask without paths counts as absent (AIP-134).
    fn update_mask(&self) -> Option<Vec<String>> {
        if !self.message.has_field_by_name("update_mask") {
            return None;
        }
        let mask = self.field("update_mask")?;
        let mask: prost_types::FieldMask = mask.as_message()?.transcode_to().ok()?;
        (!mask.paths.is_empty()).then_some(mask.paths)
    }

    fn field(&self, name: &str) -> Option<FieldValue> {
        self.message.get_field_by_name(name).map(|value| value.into_owned())
    }
}

/// Whether the masked path and `path` overlap: they are equal, or one contains the other.
fn covers(masked: &str, path: &str) -> bool {
    let is_part = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    masked == "*" || masked == path || is_part(path, masked) || is_part(masked, path)
}
