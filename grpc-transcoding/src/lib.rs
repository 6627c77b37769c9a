//! REST, Connect, gRPC-Web and OpenAPI for any tonic service, from its descriptors.
//!
//! A [`TranscodeLayer`] around a gRPC service serves it in five protocols. It needs no generated code: the layer reads
//! the descriptors of the service, with `google.api.http` options for REST.
//!
//! | protocol | requests | messages |
//! |---|---|---|
//! | gRPC | HTTP/2, `POST /package.Service/Method` | protobuf, also with gzip |
//! | gRPC-Web | the same over any HTTP version, binary or base64 | protobuf, also with gzip |
//! | Connect, unary | `POST`; `GET` if `idempotency_level = NO_SIDE_EFFECTS` | protobuf or JSON, also with gzip |
//! | Connect, streaming | `POST`, in all directions | protobuf or JSON, also with gzip |
//! | REST | the verbs and paths of `google.api.http` | JSON; a stream of answers is one JSON text a line |
//!
//! ```
//! use grpc_transcoding::{Protocols, TranscodeLayer};
//! use prost_reflect::DescriptorPool;
//! use tonic::service::Routes;
//! use tower::Layer;
//!
//! let pool = DescriptorPool::decode(tonic_health::pb::FILE_DESCRIPTOR_SET)?;
//! let (_, health) = tonic_health::server::health_reporter();
//! let layer = TranscodeLayer::new(Protocols::new(pool)?);
//! let service = layer.layer(Routes::new(health).prepare());
//! # fn serve(_: impl tower::Service<http::Request<tonic::body::Body>>) {}
//! serve(service);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/greeter.rs` serves a greeter with an HTTP server, and its OpenAPI document ([`openapi::document`]).
//!
//! # Hosts
//!
//! A server with limits, a log or threads for large messages implements [`CallHost`]. Such a server has layers between
//! the recognition of a protocol and the translation, for example limits that refuse calls in their own protocol. So
//! it calls [`Protocols::recognise`] and [`Protocol::refuse`] itself, and puts [`Transcode`] behind these layers.
//! Deadlines are up to the server: [`Protocol::timeout`] reads the timeout of the client.
//!
//! All others need only the layer. Its [`DefaultHost`] has a limit for the size of messages, and nothing else.
//!
//! # Conventions
//!
//! - A request message is decoded when the service reads it, so layers that authorise calls come first in every
//!   protocol.
//! - Errors of the transcoder are statuses with `google.rpc.ErrorInfo` and `google.rpc.BadRequest`; violations name the
//!   exact field. A pool with these messages shows them as JSON.
//! - Requests with `Accept-Encoding: gzip` get long unary answers compressed.
//! - The choices of REST where `google.api.http` is open are in [`rest`].

#![forbid(unsafe_code)]

pub mod compression;
mod connect;
pub mod error;
pub mod framing;
mod grpc_call;
mod grpc_web;
pub mod headers;
pub mod host;
mod http_rule;
pub mod json;
pub mod layer;
pub mod openapi;
pub mod protocol;
pub mod rest;

pub use connect::Connect;
pub use error::Error;
pub use grpc_call::GrpcService;
pub use host::{CallHost, DefaultHost};
pub use layer::{Transcode, TranscodeLayer, TranscodeService, TranscodedBody};
pub use protocol::{Protocol, Protocols};
