//! Answers: converts domain values to protobuf messages.

use std::collections::BTreeMap;

use feature_core::{Details, FeatureKey, Resolved, Timestamp};
use prost_reflect::{DynamicMessage, MessageDescriptor, Value as FieldValue};

use crate::schema::LevelFeatures;
use crate::value;
use crate::zitadel::feature::v2::SetUserFeaturesResponse;
use crate::zitadel::object::v2 as object;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The answer to a Set or a Reset on any level. All their responses contain only these details and encode to the same
/// bytes, which a contract test checks. Building the right type by reflection would cost more than the rest of the
/// answer.
pub fn written(details: &Details) -> SetUserFeaturesResponse {
    SetUserFeaturesResponse { details: Some(message(details)) }
}

/// The answer to a Get.
///
/// * `descriptor`: the method's response.
/// * `features`: the features of its level.
/// * `resolved`: the values that are set, and the levels that set them.
/// * `every_feature`: whether the answer also contains features without a value, at their default.
pub fn features(
    descriptor: &MessageDescriptor,
    features: &LevelFeatures,
    details: &Details,
    resolved: &BTreeMap<&FeatureKey, Resolved<'_>>,
    every_feature: bool,
) -> DynamicMessage {
    let mut response = DynamicMessage::new(descriptor.clone());
    set_details(&mut response, details);
    for feature in &features.fields {
        let value = resolved.get(&feature.key).map(|resolved| (resolved.value, resolved.source));
        if value.is_some() || every_feature {
            response.set_field(&feature.get, FieldValue::Message(value::answer(feature, value)));
        }
    }
    response
}

fn message(details: &Details) -> object::Details {
    let Details { sequence, created, changed, resource_owner } = details;
    object::Details {
        sequence: *sequence,
        change_date: changed.map(timestamp),
        resource_owner: resource_owner.clone(),
        creation_date: created.map(timestamp),
    }
}

fn set_details(response: &mut DynamicMessage, details: &Details) {
    let field = response.get_field_by_name_mut("details").and_then(FieldValue::as_message_mut);
    field
        .expect("every response of the feature service has details")
        .transcode_from(&message(details))
        .expect("the descriptor and the Rust type are made from the same proto");
}

/// A time as a message.
pub fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.unix_nanos();
    prost_types::Timestamp {
        seconds: nanos.div_euclid(NANOS_PER_SECOND),
        nanos: i32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).expect("a remainder below a billion fits"),
    }
}
