//! Makes and reads messages of the feature service by field name, since the levels have the same names.

use std::borrow::Cow;

use feature_api::zitadel::feature::v2::Source;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value as Field};

use super::feature::{LOGIN, Layer, Level, PATHS, Scope, Value};
use super::write::Set;

const PACKAGE: &str = "zitadel.feature.v2";

/// The descriptors for making and reading messages.
pub struct Messages {
    pool: DescriptorPool,
}

impl Messages {
    pub fn new() -> Self {
        Self { pool: feature_api::descriptor_pool() }
    }

    /// A Set request for a scope.
    pub fn set(&self, scope: &Scope, set: &Set) -> DynamicMessage {
        let (name, id) = match scope.level {
            Level::System => ("SetSystemFeaturesRequest", None),
            Level::Instance => ("SetInstanceFeaturesRequest", None),
            Level::Organization => ("SetOrganizationFeaturesRequest", Some("organization_id")),
            Level::User => ("SetUserFeatureRequest", Some("user_id")),
        };
        let mut message = DynamicMessage::new(self.descriptor(name));
        if let Some(id) = id {
            message.set_field_by_name(id, Field::String(scope.id.clone()));
        }
        for (name, value) in &set.features {
            message.set_field_by_name(name, self.field(value));
        }
        if let Some(mask) = &set.mask {
            let paths = mask.iter().map(|path| Field::String((*path).to_owned())).collect();
            let mut field_mask = message.get_field_by_name("update_mask").map(Cow::into_owned);
            if let Some(field_mask) = field_mask.as_mut().and_then(Field::as_message_mut) {
                field_mask.set_field_by_name("paths", Field::List(paths));
                message.set_field_by_name("update_mask", Field::Message(field_mask.clone()));
            }
        }
        if let Some(expected) = set.expected_sequence {
            message.set_field_by_name("expected_sequence", Field::U64(expected));
        }
        message.set_field_by_name("validate_only", Field::Bool(set.validate_only));
        message
    }

    /// The level's own settings, from the answer to a read.
    pub fn own(&self, level: Level, answer: &impl Message) -> Layer {
        let (name, source) = match level {
            Level::System => ("GetSystemFeaturesResponse", Source::System),
            Level::Instance => ("GetInstanceFeaturesResponse", Source::Instance),
            Level::Organization => ("GetOrganizationFeaturesResponse", Source::Organization),
            Level::User => ("GetUserFeaturesResponse", Source::User),
        };
        let mut message = DynamicMessage::new(self.descriptor(name));
        message.transcode_from(answer).expect("the descriptor and the type are made of the same proto");
        let mut layer = Layer::new();
        for name in level.features() {
            let field = message.get_field_by_name(name);
            let Some(flag) = field.as_deref().and_then(Field::as_message) else { continue };
            if part(flag, "source").as_enum_number() == Some(source.into()) {
                layer.insert(name, value(name, flag));
            }
        }
        layer
    }

    fn field(&self, value: &Value) -> Field {
        match value {
            Value::Flag(enabled) => Field::Bool(*enabled),
            Value::Paths(paths) => Field::List(paths.iter().map(|path| Field::EnumNumber(*path)).collect()),
            Value::Login { required, base_uri } => {
                let mut login = DynamicMessage::new(self.descriptor("LoginV2"));
                login.set_field_by_name("required", Field::Bool(*required));
                if let Some(base_uri) = base_uri {
                    login.set_field_by_name("base_uri", Field::String(base_uri.clone()));
                }
                Field::Message(login)
            }
        }
    }

    fn descriptor(&self, name: &str) -> MessageDescriptor {
        let descriptor = self.pool.get_message_by_name(&format!("{PACKAGE}.{name}"));
        descriptor.expect("the protos have the message")
    }
}

fn value(name: &str, flag: &DynamicMessage) -> Value {
    match name {
        PATHS => {
            let paths = part(flag, "execution_paths");
            let paths = paths.as_list().unwrap_or_default().iter();
            Value::Paths(paths.filter_map(Field::as_enum_number).collect())
        }
        LOGIN => {
            let base_uri = part(flag, "base_uri").as_str().map(str::to_owned);
            Value::Login {
                required: part(flag, "required").as_bool() == Some(true),
                base_uri: base_uri.filter(|_| flag.has_field_by_name("base_uri")),
            }
        }
        _ => Value::Flag(part(flag, "enabled").as_bool() == Some(true)),
    }
}

fn part<'m>(message: &'m DynamicMessage, name: &str) -> Cow<'m, Field> {
    message.get_field_by_name(name).expect("the protos have the field")
}
