//! The gRPC services: features, health and reflection.

/// The largest request of a service that anybody may call without a token, in bytes: it is hardly more than a name.
const PUBLIC_MESSAGE_BYTES: usize = 16 * 1024;

pub mod codec;
pub mod feature_service;
pub mod grpc;
pub mod health;
pub mod reflection;
