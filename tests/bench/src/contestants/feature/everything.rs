//! Requests that set every feature. The features come from the descriptors.

use feature_api::descriptor_pool;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};

/// Fields with this number or a higher one control the Set; the others are features.
const CONTROLS: u32 = 100;

/// A request that sets every feature to a value that is not its default.
///
/// * `name`: the name of the message in the package of the feature service.
/// * `id`: the resource, on levels that have one.
pub fn everything(name: &str, id: Option<&str>) -> DynamicMessage {
    let message = descriptor_pool().get_message_by_name(&format!("zitadel.feature.v2.{name}"));
    filled(message.expect("the contract has this message"), id)
}

fn filled(descriptor: MessageDescriptor, id: Option<&str>) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields().filter(|field| field.number() < CONTROLS) {
        let value = match field.kind() {
            Kind::Bool => Value::Bool(true),
            Kind::String => Value::String(id.unwrap_or("https://login.example.com/ui/v2").to_owned()),
            Kind::Enum(members) => {
                let numbers = members.values().map(|member| member.number()).filter(|number| *number != 0);
                Value::List(numbers.map(Value::EnumNumber).collect())
            }
            Kind::Message(inner) => Value::Message(filled(inner, None)),
            kind => unreachable!("no feature is of kind {kind:?}"),
        };
        message.set_field(&field, value);
    }
    message
}
