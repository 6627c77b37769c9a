//! Calls of the greeter in the Connect protocol.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tonic::body::Body;

use crate::connect::Connect;
use crate::host::DefaultHost;
pub use crate::layer::tests::greeter::{Answer, CHAT, GREET, WATCH, greeter, gunzipped, gzipped, method};

/// The largest message, in bytes.
pub const LIMIT: usize = 4000;

/// The answer to a call, up to its beginning.
pub async fn begin(mut request: Request<Body>) -> Response<Body> {
    request.extensions_mut().insert(DefaultHost { message_bytes: LIMIT });
    let call = Connect::of(&method(request.uri().path()), &request).unwrap();
    call.answer::<DefaultHost>(greeter(), request).await
}

/// The answer to a call.
pub async fn call(request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
    let request = request.body(Body::new(Full::new(body.into()))).unwrap();
    Answer::read(begin(request).await).await
}

pub fn post(path: &str, content_type: &str) -> http::request::Builder {
    Request::post(path).header("host", "server").header("content-type", content_type)
}

/// A name of so many bytes, in JSON.
pub fn name_of(length: usize) -> Vec<u8> {
    format!(r#"{{"name":"{}"}}"#, "x".repeat(length)).into_bytes()
}
