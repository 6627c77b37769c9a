//! The served methods: which of them stream, and how large the messages of their requests may be.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, MethodDescriptor};

/// The methods by their gRPC paths.
#[derive(Debug)]
pub(crate) struct Methods(HashMap<String, ServedMethod>);

impl Methods {
    /// The methods of all services in a pool.
    pub(crate) fn new(pool: &DescriptorPool, message_bytes: MessageBytes<'_>) -> Self {
        let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
        let by_path = |method: MethodDescriptor| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let served = ServedMethod {
                sends_stream: method.is_client_streaming(),
                gets_stream: method.is_server_streaming(),
                message_bytes: message_bytes.of(&method),
            };
            (path, served)
        };
        Self(methods.map(by_path).collect())
    }

    /// The method with this gRPC path.
    pub(crate) fn get(&self, path: &str) -> Option<ServedMethod> {
        self.0.get(path).copied()
    }
}

/// A method.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServedMethod {
    /// Whether requests are streams.
    pub(crate) sends_stream: bool,
    /// Whether answers are streams.
    pub(crate) gets_stream: bool,
    /// The largest message of a request, compressed or not, in bytes.
    pub(crate) message_bytes: usize,
}

/// The largest messages of requests, compressed or not.
#[derive(Debug, Clone, Copy)]
pub struct MessageBytes<'a> {
    /// For all other services, in bytes.
    pub default: usize,
    /// For the services with these full names, in bytes.
    pub of_services: (&'a [&'a str], usize),
}

impl MessageBytes<'_> {
    fn of(&self, method: &MethodDescriptor) -> usize {
        let (services, bytes) = self.of_services;
        if services.contains(&method.parent_service().full_name()) { bytes } else { self.default }
    }
}
