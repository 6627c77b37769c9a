//! Requests and bodies in gRPC's wire format.

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use http::Request;
use prost::Message;

/// The length of the prefix of a message.
const PREFIX: usize = 5;

/// A message with its prefix, uncompressed.
pub fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX + message.len());
    bytes.put_u8(0);
    bytes.put_u32(message.len() as u32);
    bytes.put(message);
    bytes.freeze()
}

/// The bytes of the message in a body.
pub fn message(body: &[u8]) -> Result<&[u8]> {
    body.get(PREFIX..).context("a body without a message")
}

/// The message in a body.
pub fn decode<M: Message + Default>(body: &[u8]) -> Result<M> {
    Ok(M::decode(message(body)?)?)
}

/// A call of `method`, such as `/package.Service/Method`, with a message.
pub fn request(method: &str, message: &[u8]) -> Request<Bytes> {
    Request::post(format!("http://localhost{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(framed(message))
        .expect("the parts are valid")
}
