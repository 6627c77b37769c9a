//! The methods that are served, and how large the messages of their requests may be.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, MethodDescriptor};

/// The methods by the paths that gRPC and Connect call them by.
pub(crate) fn methods(pool: &DescriptorPool, message_bytes: MessageBytes<'_>) -> HashMap<String, ServedMethod> {
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let by_path = |descriptor: MethodDescriptor| {
        let path = format!("/{}/{}", descriptor.parent_service().full_name(), descriptor.name());
        (path, ServedMethod { message_bytes: message_bytes.of(&descriptor), descriptor })
    };
    methods.map(by_path).collect()
}

/// A method, and how large a message of a request of it may be.
#[derive(Debug)]
pub(crate) struct ServedMethod {
    pub(crate) descriptor: MethodDescriptor,
    /// In bytes, compressed or not.
    pub(crate) message_bytes: usize,
}

/// How large the messages of requests may be, compressed or not.
#[derive(Debug, Clone, Copy)]
pub struct MessageBytes<'a> {
    /// Those of all other services, in bytes.
    pub default: usize,
    /// Those of the services with these full names, in bytes.
    pub of_services: (&'a [&'a str], usize),
}

impl MessageBytes<'_> {
    fn of(&self, method: &MethodDescriptor) -> usize {
        let (services, bytes) = self.of_services;
        if services.contains(&method.parent_service().full_name()) { bytes } else { self.default }
    }
}
