//! REST, Connect, gRPC-Web and OpenAPI for any gRPC service, from its descriptors.

pub(crate) mod compression;
pub(crate) mod connect;
pub(crate) mod decompression;
pub(crate) mod framing;
pub(crate) mod grpc_call;
pub(crate) mod grpc_web;
pub mod json;
pub mod openapi;
pub mod protocol;
pub(crate) mod request_messages;
pub mod rest;
pub(crate) mod rest_call;
pub(crate) mod transcode_layer;
