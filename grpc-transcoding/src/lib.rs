//! REST, Connect, gRPC-Web and OpenAPI for any gRPC service, from its descriptors.

pub(crate) mod compression;
pub(crate) mod connect;
pub(crate) mod framing;
pub(crate) mod grpc_call;
pub(crate) mod grpc_web;
pub mod json;
pub(crate) mod layer;
pub mod openapi;
pub mod protocol;
pub mod rest;
