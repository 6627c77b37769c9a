//! The features of one level: each field of its Get response whose message has a source, with its field in the Set
//! request.

use std::collections::BTreeMap;

use feature_core::{FeatureKey, FeatureSet, Kind, Level, Presence};
use prost_reflect::{FieldDescriptor, Kind as FieldKind, MessageDescriptor};

use super::SchemaError;

/// The enum that names the source of a value. A message with a field of this type is the answer for one feature.
const SOURCE_ENUM: &str = "zitadel.feature.v2.Source";

/// The fields of a Set request that are not features.
const CONTROL_FIELDS: [&str; 3] = ["update_mask", "expected_sequence", "validate_only"];

/// The features of one level.
#[derive(Debug, Clone)]
pub struct LevelFeatures {
    /// The level.
    pub level: Level,
    /// The features with their kinds, in the domain's types.
    pub set: FeatureSet,
    /// The fields of each feature in the messages of the level.
    pub(crate) fields: Vec<FeatureFields>,
}

/// The fields of one feature in the messages of a level.
#[derive(Debug, Clone)]
pub(crate) struct FeatureFields {
    /// The feature.
    pub(crate) key: FeatureKey,
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its field in the Set request.
    pub(crate) set: FieldDescriptor,
    /// Its field in the Get response.
    pub(crate) get: FieldDescriptor,
    /// The message in the Get response that holds the feature.
    pub(crate) answer: MessageDescriptor,
    /// The field for the source in that message.
    pub(crate) source: FieldDescriptor,
    /// The field for the value in that message. `None` for a feature of kind message, whose parts are fields of that
    /// message.
    pub(crate) value: Option<FieldDescriptor>,
}

impl LevelFeatures {
    pub(super) fn new(level: Level, set: &MessageDescriptor, get: &MessageDescriptor) -> Result<Self, SchemaError> {
        let mut fields = Vec::new();
        for field in get.fields() {
            if let Some((answer, source)) = answer(&field) {
                let set_field = set.get_field_by_name(field.name()).ok_or_else(|| {
                    SchemaError::new(field.full_name(), format!("{} has no field of this name", set.full_name()))
                })?;
                fields.push(FeatureFields::new(set_field, field, answer, source)?);
            }
        }
        let is_feature = |field: &FieldDescriptor| fields.iter().any(|feature| feature.set == *field);
        let is_id = |field: &FieldDescriptor| Some(field.name()) == id_field(level);
        for field in set.fields() {
            if !is_feature(&field) && !is_id(&field) && !CONTROL_FIELDS.contains(&field.name()) {
                let problem = format!("{} has no field of this name that tells a source", get.full_name());
                return Err(SchemaError::new(field.full_name(), problem));
            }
        }
        let set = fields.iter().map(|feature| (feature.key.clone(), feature.kind.clone())).collect();
        Ok(Self { level, set, fields })
    }
}

/// The name of the field that holds the resource's id in requests of a level.
pub fn id_field(level: Level) -> Option<&'static str> {
    match level {
        Level::System | Level::Instance => None,
        Level::Organization => Some("organization_id"),
        Level::User => Some("user_id"),
    }
}

impl FeatureFields {
    fn new(
        set: FieldDescriptor,
        get: FieldDescriptor,
        answer: MessageDescriptor,
        source: FieldDescriptor,
    ) -> Result<Self, SchemaError> {
        let error = |problem: &str| SchemaError::new(set.full_name(), problem);
        let kind = kind(&set).map_err(error)?;
        let others = || answer.fields().filter(|field| *field != source);
        let value = match &kind {
            Kind::Flag | Kind::EnumList => {
                let value = others().find(|field| field.kind() == set.kind() && field.is_list() == set.is_list());
                Some(value.ok_or_else(|| error("the message that answers for it has no field for its value"))?)
            }
            Kind::Message(parts) => {
                if self::parts(others()) != *parts {
                    return Err(error("the message that answers for it has other fields"));
                }
                None
            }
        };
        Ok(Self { key: get.name().into(), kind, set, get, answer, source, value })
    }
}

/// The message type and the source field of `field`, if `field` is a feature of a Get response.
fn answer(field: &FieldDescriptor) -> Option<(MessageDescriptor, FieldDescriptor)> {
    let FieldKind::Message(message) = field.kind() else { return None };
    let is_source =
        |field: &FieldDescriptor| matches!(field.kind(), FieldKind::Enum(e) if e.full_name() == SOURCE_ENUM);
    let source = message.fields().find(is_source)?;
    Some((message, source))
}

fn kind(set: &FieldDescriptor) -> Result<Kind, &'static str> {
    match set.kind() {
        FieldKind::Bool if set.supports_presence() => Ok(Kind::Flag),
        FieldKind::Bool => Err("a flag must be optional: else false and absent are the same"),
        FieldKind::Enum(_) if set.is_list() => Ok(Kind::EnumList),
        FieldKind::Message(message) if !set.is_list() && !set.is_map() => {
            let plain = |field: &FieldDescriptor| {
                !field.is_list() && matches!(field.kind(), FieldKind::Bool | FieldKind::String)
            };
            if message.fields().all(|field| plain(&field)) {
                Ok(Kind::Message(parts(message.fields())))
            } else {
                Err("the fields of a message feature must be single bools or strings")
            }
        }
        _ => Err("a feature must be an optional bool, a repeated enum or a message"),
    }
}

fn parts(fields: impl Iterator<Item = FieldDescriptor>) -> BTreeMap<String, Presence> {
    let presence = |field: &FieldDescriptor| {
        if field.supports_presence() { Presence::Explicit } else { Presence::Implicit }
    };
    fields.map(|field| (field.name().to_owned(), presence(&field))).collect()
}
