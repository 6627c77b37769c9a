//! A greeter, and a service with odd answers, for the tests of all protocols.

use std::convert::Infallible;
use std::fs;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::body::Body;
use tonic::codegen::tokio_stream::{self, StreamExt as _};
use tonic::server::Grpc;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

const PROTO: &str = r#"
syntax = "proto3";
package greeter;

import "google/api/annotations.proto";

// Greets.
service Greeter {
  rpc Greet(Name) returns (Greeting) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {
      get: "/v1/greetings/{name}"
      additional_bindings {put: "/v1/greetings" body: "*"}
    };
  }
  rpc Watch(Name) returns (stream Greeting) {
    option (google.api.http) = {get: "/v1/watch"};
  }
  rpc Chat(stream Name) returns (stream Greeting);
}

service Odd {
  rpc One(Name) returns (Greeting);
  rpc OneThenError(Name) returns (stream Greeting);
  rpc HeadersAlone(Name) returns (Greeting);
}

message Name {
  string name = 1;
}

message Greeting {
  Mood mood = 1;
  string text = 2;
}

enum Mood {
  MOOD_UNSPECIFIED = 0;
  MERRY = 1;
}
"#;

/// The header of an empty message, which also is an empty request in gRPC.
pub const EMPTY: &[u8] = &[0; 5];
pub const GREET: &str = "/greeter.Greeter/Greet";
pub const WATCH: &str = "/greeter.Greeter/Watch";
pub const CHAT: &str = "/greeter.Greeter/Chat";

/// The services, and the messages of error details.
pub static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("greeter.proto"), PROTO).unwrap();
    let mut compiler = protox::Compiler::new([folder.path().to_str().unwrap(), "../proto"]).unwrap();
    compiler.include_imports(true).include_source_info(true).open_file("greeter.proto").unwrap();
    let mut pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET).unwrap();
    pool
});

pub fn method(path: &str) -> MethodDescriptor {
    let (service, name) = path[1..].split_once('/').unwrap();
    let service = POOL.get_service_by_name(service).unwrap();
    service.methods().find(|method| method.name() == name).unwrap()
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Name {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Greeting {
    #[prost(int32, tag = "1")]
    pub mood: i32,
    #[prost(string, tag = "2")]
    pub text: String,
}

/// A greeting without a text. `long` gets one that is worth compressing, and other names are unknown.
fn greet(name: &Name) -> Result<Greeting, Status> {
    match name.name.as_str() {
        "" => Ok(Greeting { mood: 1, text: String::new() }),
        "long" => Ok(Greeting { mood: 1, text: "x".repeat(2000) }),
        _ => Err(Status::not_found("unknown name")),
    }
}

/// The services.
pub fn greeter()
-> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static {
    service_fn(|request: Request<Body>| async move {
        let mut grpc = Grpc::new(ProstCodec::<Greeting, Name>::default());
        let path = request.uri().path().to_owned();
        Ok(match path.as_str() {
            GREET => {
                let method =
                    |name: tonic::Request<Name>| async move { greet(name.get_ref()).map(tonic::Response::new) };
                grpc.unary(service_fn(method), request).await
            }
            WATCH => {
                let method = |name: tonic::Request<Name>| async move {
                    let greetings = tokio_stream::iter([greet(name.get_ref())]).chain(tokio_stream::pending());
                    Ok(tonic::Response::new(greetings))
                };
                grpc.server_streaming(service_fn(method), request).await
            }
            CHAT => {
                let method = |names: tonic::Request<Streaming<Name>>| async move {
                    // It takes an error for the end of the names, as some services do.
                    let greetings = names.into_inner().map_while(Result::ok).map(|name| greet(&name));
                    Ok(tonic::Response::new(greetings))
                };
                grpc.streaming(service_fn(method), request).await
            }
            "/greeter.Odd/One" => stream(None),
            "/greeter.Odd/OneThenError" => stream(Some(Status::data_loss("this stream fails"))),
            "/greeter.Odd/HeadersAlone" => {
                let mut response = Status::ok("").into_http::<Body>();
                response.headers_mut().insert("seen", request.headers()["sent"].clone());
                response
            }
            _ => Status::unimplemented("unknown method").into_http(),
        })
    })
}

/// An answer with one message of 4096 zeros, which are no greeting.
fn stream(error: Option<Status>) -> Response<Body> {
    let mut response = Response::new(Body::new(One { sent: false, end: Some(error.map_or(Ok(()), Err)) }));
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    response
}

struct One {
    sent: bool,
    end: Option<Result<(), Status>>,
}

impl http_body::Body for One {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !std::mem::replace(&mut self.sent, true) {
            return Poll::Ready(Some(Ok(Frame::data(crate::framing::wrap(0, &[0; 4096])))));
        }
        Poll::Ready(self.end.take().map(|end| {
            end.map(|()| {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                trailers.insert("cost", HeaderValue::from_static("237"));
                Frame::trailers(trailers)
            })
        }))
    }
}

/// An answer that has been read to its end.
#[derive(Debug)]
pub struct Answer {
    pub http: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub async fn read<B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>>(response: Response<B>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        Self { http: head.status, headers: head.headers, body: body.to_bytes(), trailers }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The gRPC code in the trailers or headers.
    pub fn code(&self) -> Code {
        let headers = self.trailers.as_ref().unwrap_or(&self.headers);
        Status::from_header_map(headers).unwrap_or_else(|| panic!("no status: {self:?}")).code()
    }
}

/// The content after gzip.
pub fn gzipped(content: &[u8]) -> Vec<u8> {
    crate::compression::gzip_after(Vec::new(), content)
}

pub fn gunzipped(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(content), &mut out).unwrap();
    out
}
