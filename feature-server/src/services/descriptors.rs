//! The descriptors of everything that is served: the features, health, reflection, and the details of errors.

use prost_reflect::DescriptorPool;
use prost_reflect::prost::Message;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::prost_types::method_options::IdempotencyLevel;

/// Health, both versions of reflection, and the details of errors, so that generic clients can show them.
pub(super) const OF_LIBRARIES: [&[u8]; 4] = [
    tonic_types::pb::FILE_DESCRIPTOR_SET,
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];

/// One pool with the descriptors of all services and of all messages that an error may carry.
///
/// The options of this project's own protos are kept; they are what authorisation and HTTP paths come from.
pub fn pool() -> DescriptorPool {
    let mut pool = feature_api::descriptor_pool();
    for set in OF_LIBRARIES {
        let mut set = FileDescriptorSet::decode(set).expect("the build made this descriptor set");
        let health = set.file.iter_mut().filter(|file| file.package() == "grpc.health.v1");
        let methods = health.flat_map(|file| &mut file.service).flat_map(|service| &mut service.method);
        // It has no side effects, so it may be called with GET. This project's own protos say so themselves.
        for check in methods.filter(|method| method.name() == "Check") {
            check.options.get_or_insert_default().set_idempotency_level(IdempotencyLevel::NoSideEffects);
        }
        pool.add_file_descriptor_set(set).expect("the build made this descriptor set");
    }
    pool
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
                "feature.v1.DefinitionService",
                "feature.v1.HistoryService",
                "feature.v1.SettingsService",
                "feature.v1.WatchService",
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
        let health = pool.get_service_by_name("grpc.health.v1.Health").unwrap();
        let check = health.methods().find(|method| method.name() == "Check").unwrap();
        let options = check.method_descriptor_proto().options.clone().unwrap();
        assert_eq!(options.idempotency_level(), IdempotencyLevel::NoSideEffects);
    }
}
