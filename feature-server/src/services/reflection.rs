//! Server reflection, in both versions that clients speak: v1 and v1alpha.

use tonic::codec::CompressionEncoding;
use tonic_reflection::server::{Builder, v1, v1alpha};

use self::checked::Checked;
use super::PUBLIC_MESSAGE_BYTES;

mod checked;

/// Every descriptor set with a service of this server.
fn builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(feature_api::DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // Error details, so that generic clients can show them.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
        .include_reflection_service(false)
}

/// Reflection as `grpc.reflection.v1`.
pub fn v1() -> Checked<v1::ServerReflectionServer<impl v1::ServerReflection>> {
    let service = builder().build_v1().expect("the build made these descriptor sets");
    let service = service
        .max_decoding_message_size(PUBLIC_MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    Checked(service)
}

/// Reflection as `grpc.reflection.v1alpha`.
pub fn v1alpha() -> Checked<v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>> {
    let service = builder().build_v1alpha().expect("the build made these descriptor sets");
    let service = service
        .max_decoding_message_size(PUBLIC_MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    Checked(service)
}

#[cfg(test)]
mod tests;
