//! The service's messages, clients and descriptors, and the only conversion between messages and domain values.
//!
//! All knowledge of features comes from the descriptors: no code here names a feature.

#![forbid(unsafe_code)]

pub mod built_in;
#[cfg(feature = "client")]
pub mod client;
pub mod decode;
pub mod definition;
pub mod filter;
pub mod json_value;
pub mod request;
pub mod resource_name;
pub mod response;
mod rules;
pub mod schema;
mod value;
mod wire;

mod generated {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/generated.rs"));
}

pub use generated::{feature, google, zitadel};
use prost_reflect::DescriptorPool;

/// All descriptors, encoded as a `google.protobuf.FileDescriptorSet` with options and comments.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// All descriptors.
pub fn descriptor_pool() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTOR_SET).expect("the build made this descriptor set")
}
