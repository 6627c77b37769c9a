//! Requests and bodies as gRPC has them on the wire.

use bytes::{BufMut, Bytes, BytesMut};
use http::Request;

/// A message behind its length, uncompressed.
pub fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(5 + message.len());
    bytes.put_u8(0);
    bytes.put_u32(message.len() as u32);
    bytes.put(message);
    bytes.freeze()
}

/// The head of a call of `method`, such as `/package.Service/Method`, with these headers.
pub fn request(method: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::post(format!("http://localhost{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("the parts are valid")
}
