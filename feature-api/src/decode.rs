//! Decodes requests of `feature.v1`, and checks what their descriptors say of single fields: which are required
//! (AIP-203), and how long a text may be.

use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage, Value as FieldValue};

use crate::google::api::FieldBehavior;
use crate::request::{RequestError, Violations};
use crate::rules;
use crate::wire::{self, WireError};

/// The option with the [`FieldBehavior`]s of a field.
const BEHAVIOR_OPTION: &str = "google.api.field_behavior";

/// Decodes a request. Ignores unknown fields, which newer clients may send.
///
/// `descriptor`: of the type `M`.
///
/// # Errors
/// [`RequestError`] when the bytes are not a message of this type or have too many fields, a required field of the
/// request itself is missing, or a text breaks its rules.
pub fn decode<M: Message + Default>(descriptor: &MessageDescriptor, bytes: &[u8]) -> Result<M, RequestError> {
    let known = wire::known_fields(descriptor, bytes).map_err(|error| RequestError::of(error, descriptor))?;
    let malformed = |_| RequestError::of(WireError::Malformed, descriptor);
    let message = DynamicMessage::decode(descriptor.clone(), known.as_ref()).map_err(malformed)?;
    let mut violations = Violations::default();
    for field in descriptor.fields().filter(|field| is_required(field) && !message.has_field(field)) {
        violations.add(field.name(), "is required");
    }
    check_texts(&message, "", &mut violations);
    violations.into_result()?;
    M::decode(known.as_ref()).map_err(malformed)
}

/// The text at a path of field names in an encoded request, such as `feature_definition.name`; empty when it is absent.
/// Decodes no other field, so that the server can check the right on the resource first.
///
/// # Errors
/// [`RequestError`] when the bytes are not a message of this type, or have too many fields.
pub fn text(descriptor: &MessageDescriptor, path: &str, bytes: &[u8]) -> Result<String, RequestError> {
    wire::text(descriptor, path, bytes).map_err(|error| RequestError::of(error, descriptor))
}

fn is_required(field: &FieldDescriptor) -> bool {
    let Some(extension) = field.parent_pool().get_extension_by_name(BEHAVIOR_OPTION) else { return false };
    let options = field.options();
    let behaviors = options.get_extension(&extension);
    let required = FieldValue::EnumNumber(FieldBehavior::Required.into());
    behaviors.as_list().is_some_and(|behaviors| behaviors.contains(&required))
}

/// Checks all texts of this project's own messages. The depth of the message is bounded by its decoding.
fn check_texts(message: &DynamicMessage, path: &str, violations: &mut Violations) {
    let is_own = |message: &DynamicMessage| message.descriptor().package_name() == "feature.v1";
    for (field, value) in message.fields() {
        let path = format!("{path}{}", field.name());
        match value {
            FieldValue::String(text) => {
                if let Err(problem) = rules::check_text(&field, text) {
                    violations.add(path, problem);
                }
            }
            FieldValue::Message(inner) if is_own(inner) => check_texts(inner, &format!("{path}."), violations),
            FieldValue::List(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    if let Some(inner) = element.as_message().filter(|inner| is_own(inner)) {
                        check_texts(inner, &format!("{path}[{index}]."), violations);
                    }
                }
            }
            _ => {}
        }
    }
}
