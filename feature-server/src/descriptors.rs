//! The descriptors of everything that is served: the features, health, reflection, and the details of errors.

use prost_reflect::DescriptorPool;

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
    pool.decode_file_descriptor_set(set).expect("the build made this descriptor set");
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
    }
}
