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
//! `examples/greeter.rs` serves a greeter with an HTTP server, with deadlines and a limit for the size of messages, and
//! its OpenAPI document ([`openapi::document`]).
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
//! # Conformance
//!
//! `tests/conformance` calls the greeter with connect-es (`es`), connect-python (`python`), `buf curl` (`buf`) and
//! plain HTTP requests (`http`). The scenarios follow the public conformance suite of Connect for servers, without TLS
//! and HTTP/3. The libraries make each call in JSON and protobuf, over HTTP/1.1 and HTTP/2, with gzip and without.
//!
//! | scenario | clients | result |
//! |---|---|---|
//! | unary call | es, python, buf | as specified |
//! | unary call by GET | es, python | as specified |
//! | message in the query | http | as specified |
//! | server stream | es, python, buf | as specified |
//! | client stream | es, python, buf | as specified |
//! | bidirectional stream | es, python, buf | as specified, HTTP/2 only |
//! | bidirectional stream in turn | es | as specified, HTTP/2 only |
//! | stream without requests | es, python | as specified |
//! | stream without answers | es, python, buf | as specified |
//! | empty messages | es, python, buf | as specified |
//! | headers and trailers | es, python, buf | as specified |
//! | headers of an error | es, python | tonic sends the metadata of a failed unary call as headers, not as trailers |
//! | trailers of a unary call | http | as specified |
//! | all error codes | es, python | as specified |
//! | error details | es, python, buf | as specified |
//! | error message in Unicode | es, python, buf | as specified |
//! | error after messages | es, python, buf | as specified |
//! | error of a client stream | es, python | as specified, tried over HTTP/2 only |
//! | error of a bidirectional stream | es, python, buf | as specified |
//! | deadline | es, python | as specified |
//! | deadline of the server | http | as specified; the host sets the deadline |
//! | deadline that is met | es, python | as specified |
//! | malformed timeout | http | `invalid_argument` |
//! | stream that the client cancels | es, python | the service notices |
//! | compressed answer | http | as specified, for messages of 1 KiB and more |
//! | empty compressed message | http | as specified |
//! | unknown compression | http | as specified |
//! | compression without its header | http | `invalid_argument` for `internal`: it is a defect of the client |
//! | unknown flags | http | `invalid_argument` |
//! | malformed message | http | `invalid_argument` |
//! | malformed protobuf message | http | `internal`, as tonic answers in gRPC |
//! | large message | es, python, buf | as specified |
//! | message at the limit | http | as specified |
//! | message over the limit | es, python, http | `out_of_range` for `resource_exhausted`, as tonic answers in gRPC |
//! | server stream without a request | http | as specified |
//! | server stream with two requests | http | as specified |
//! | method that is not implemented | es, python, buf | as specified |
//! | unknown method | es, python | HTTP 404: `unimplemented`; python says `unavailable`, see below |
//! | unknown path | http | HTTP 404 |
//! | wrong content type | http | HTTP 415 |
//! | wrong verb | http | HTTP 405 with `allow` |
//! | protocol version | http | as specified |
//!
//! The answers with 404, 405 and 415 have an error of REST as JSON, since such requests may be REST calls. Clients take
//! the code from the HTTP status, as the protocol says; connect-python looks for a code in the JSON first.
//!
//! An answer can come before the end of its request. A host should then read the rest of the request, since clients
//! over HTTP/1.1 may otherwise miss the answer.
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
pub mod json;
pub mod layer;
pub mod openapi;
mod percent;
pub mod protocol;
pub mod rest;

pub use connect::Connect;
pub use error::Error;
pub use grpc_call::GrpcService;
pub use host::{CallHost, DefaultHost};
pub use layer::{Transcode, TranscodeLayer, TranscodeService, TranscodedBody};
pub use protocol::{Protocol, Protocols};
