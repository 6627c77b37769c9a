//! Requests and bodies as gRPC has them on the wire.

use bytes::{BufMut, Bytes, BytesMut};
use http::Request;

/// A message behind its length, uncompressed.
fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(5 + message.len());
    bytes.put_u8(0);
    bytes.put_u32(message.len() as u32);
    bytes.put(message);
    bytes.freeze()
}

/// A call of `method`, such as `/package.Service/Method`, with a message.
pub fn request(method: &str, message: &[u8]) -> Request<Bytes> {
    Request::post(format!("http://localhost{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(framed(message))
        .expect("the parts are valid")
}
