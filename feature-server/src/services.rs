//! The gRPC services: features, health and reflection.

use std::future::Future;
use std::pin::Pin;

/// The largest request of a service that needs no token, in bytes: such a request is hardly more than a name.
pub const PUBLIC_MESSAGE_BYTES: usize = 16 * 1024;

/// The services that need no credential. They show no settings: health says whether the server works, which load
/// balancers ask without a token, and reflection shows the protos, which are public. Their protos are not this
/// project's, so they cannot carry its options.
pub const PUBLIC_SERVICES: [&str; 3] =
    ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// The future of an answer.
type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub mod codec;
pub mod descriptors;
mod fast_path;
pub mod feature;
pub mod frame;
pub mod grpc;
pub mod health;
pub mod reflection;
pub mod router;
#[cfg(test)]
pub(crate) mod testing;
