//! The descriptors of everything that is served: the features, health, reflection, and the details of errors.

use prost_reflect::DescriptorPool;
use prost_reflect::prost::Message;
use prost_reflect::prost_types::method_options::IdempotencyLevel;
use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};

/// Methods without side effects, which may be called with GET, in protos that are not this project's and don't say so.
/// Those of this project have the option `idempotency_level`.
const WITHOUT_SIDE_EFFECTS: [&str; 1] = ["grpc.health.v1.Health.Check"];

/// One pool with the descriptors of all services and of all messages that an error may carry.
///
/// The options of this project's own protos are kept; they are what authorisation and HTTP paths come from.
pub fn pool() -> DescriptorPool {
    let mut pool = feature_api::descriptor_pool();
    for set in [
        tonic_types::pb::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ] {
        add(&mut pool, set);
    }
    pool
}

fn add(pool: &mut DescriptorPool, set: &[u8]) {
    let mut set = FileDescriptorSet::decode(set).expect("the build made this descriptor set");
    set.file.iter_mut().for_each(say_what_has_no_side_effects);
    pool.add_file_descriptor_set(set).expect("the build made this descriptor set");
}

fn say_what_has_no_side_effects(file: &mut FileDescriptorProto) {
    let package = file.package().to_owned();
    for service in &mut file.service {
        let service_name = service.name().to_owned();
        for method in &mut service.method {
            if WITHOUT_SIDE_EFFECTS.contains(&&*format!("{package}.{service_name}.{}", method.name())) {
                method.options.get_or_insert_default().set_idempotency_level(IdempotencyLevel::NoSideEffects);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_and_every_error_detail_is_known() {
        let pool = pool();
        let mut services: Vec<String> = pool.services().map(|service| service.full_name().to_owned()).collect();
        services.sort();
        assert_eq!(
            services,
            [
                "grpc.health.v1.Health",
                "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection",
                "zitadel.feature.v2.FeatureService"
            ]
        );
        for detail in ["ErrorInfo", "BadRequest", "ResourceInfo", "RequestInfo", "RetryInfo", "Status"] {
            assert!(pool.get_message_by_name(&format!("google.rpc.{detail}")).is_some(), "{detail}");
        }
        assert!(pool.get_extension_by_name("google.api.http").is_some());
        for name in WITHOUT_SIDE_EFFECTS {
            let (service, method) = name.rsplit_once('.').unwrap();
            let service = pool.get_service_by_name(service).unwrap();
            let method = service.methods().find(|other| other.name() == method).unwrap();
            let options = method.method_descriptor_proto().options.clone().unwrap();
            assert_eq!(options.idempotency_level(), IdempotencyLevel::NoSideEffects, "{name}");
        }
    }
}
