//! Whole bodies: the content of a request up to a limit, the content of an answer, and gzip in both directions.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt, Full};
use tonic::Code;
use tonic::body::Body;

use super::error::Error;
use super::headers::{GZIP, JSON, accepted};
use super::host::{CallHost, INLINE_BYTES};
use super::json::http_status;

/// Below this size, in bytes, gzip costs more than it saves.
pub const WORTH_COMPRESSING: usize = 1024;

/// The most bytes of gzip that are decompressed on the thread of the connection.
const SMALL_GZIP: usize = 16 * 1024;

/// How many bytes are decompressed in one step.
const CHUNK: usize = 8 * 1024;

/// How content is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// The encoding in the header of this name; none if the header is missing.
    pub(crate) fn of(headers: &HeaderMap, name: HeaderName) -> Result<Self, Error> {
        headers.get(name).map_or(Ok(Encoding::Identity), |value| Self::parse(value.as_bytes()))
    }

    /// The encoding of this name.
    pub(crate) fn parse(name: &[u8]) -> Result<Self, Error> {
        match name.to_ascii_lowercase().as_slice() {
            b"gzip" => Ok(Encoding::Gzip),
            b"identity" | b"" => Ok(Encoding::Identity),
            _ => Err(Error::EncodingUnknown(String::from_utf8_lossy(name).into_owned())),
        }
    }
}

/// Turns the content of a request into a gRPC message.
pub(crate) type Decoder = Arc<dyn Fn(&[u8]) -> Result<Bytes, Error> + Send + Sync>;

/// Content of a request, as it was sent. Empty content is not compressed.
pub(crate) struct Content {
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Bytes,
}

impl Content {
    /// Decompresses it, and decodes it if there is a decoder. For large content both are one job: decompressed bytes do
    /// not wait for a second one. The host of the call limits and counts the bytes.
    pub(crate) async fn decode(self, host: &impl CallHost, decode: Option<Decoder>) -> Result<Bytes, Error> {
        let Self { encoding, bytes } = self;
        if encoding == Encoding::Identity || bytes.is_empty() {
            return match decode {
                Some(decode) => host.run(bytes.len(), move || decode(&bytes)).await?,
                None => Ok(bytes),
            };
        }
        let decode = |content: Vec<u8>| match decode {
            Some(decode) => decode(&content),
            None => Ok(content.into()),
        };
        let (sent, limit, own_host) = (bytes.len(), host.message_bytes(), host.clone());
        let (mut decoder, mut content) = (MultiGzDecoder::new(bytes.reader()), Vec::new());
        // Small content is decompressed at once, and the rest of content that turns out to be large in a job. The size
        // of the input counts too: many empty gzip members are much work without any content.
        if sent <= SMALL_GZIP && gunzip(&mut decoder, &mut content, INLINE_BYTES, host)? {
            return decode(content);
        }
        let rest = move || {
            // Reserved once: pages that are never written take no memory.
            content.reserve_exact(limit.saturating_sub(content.len()));
            gunzip(&mut decoder, &mut content, limit, &own_host)?;
            decode(content)
        };
        host.run(usize::MAX, rest).await?
    }
}

/// Decompresses until the end, or until there are more than `bytes` bytes. Returns whether it reached the end. It never
/// allocates more than the limit of the host.
fn gunzip(decoder: &mut impl Read, content: &mut Vec<u8>, bytes: usize, host: &impl CallHost) -> Result<bool, Error> {
    let (mut chunk, limit) = ([0; CHUNK], host.message_bytes());
    while content.len() <= bytes {
        let read = decoder.read(&mut chunk);
        let read = read.map_err(|_| Error::ContentMalformed("it is said to be gzip and is not"))?;
        if read == 0 {
            return Ok(true);
        }
        let length = content.len() + read;
        if length > limit {
            return Err(Error::MessageTooLarge { limit });
        }
        host.reserve_bytes(read)?;
        if length > content.capacity() {
            content.reserve_exact((2 * length).min(limit) - content.len());
        }
        content.extend_from_slice(&chunk[..read]);
    }
    Ok(false)
}

/// Reads the content of a request, up to `limit` bytes. The headers name its compression.
pub(crate) async fn read(mut body: Body, headers: HeaderMap, limit: usize) -> Result<Content, Error> {
    let encoding = Encoding::of(&headers, CONTENT_ENCODING)?;
    let mut bytes = Bytes::new();
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|_| Error::RequestIncomplete)?.into_data().unwrap_or_default();
        if bytes.len() + data.len() > limit {
            return Err(Error::MessageTooLarge { limit });
        }
        // Most content arrives in one piece, which is not copied.
        if bytes.is_empty() {
            bytes = data;
        } else {
            let mut all = BytesMut::from(bytes);
            all.extend_from_slice(&data);
            bytes = all.freeze();
        }
    }
    Ok(Content { encoding, bytes })
}

/// An answer with this content type.
pub(crate) fn response(headers: HeaderMap, content_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    // No browser takes the content for a page.
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer with this content. Long content is compressed if the client accepts it ([`accepts_gzip`]).
pub(crate) fn answer(headers: HeaderMap, content_type: HeaderValue, content: Bytes, gzip: bool) -> Response<Body> {
    let mut response = response(headers, content_type, Body::empty());
    if content.len() >= WORTH_COMPRESSING {
        response.headers_mut().append(VARY, HeaderValue::from(ACCEPT_ENCODING));
    }
    let compressed = compress(&content, gzip);
    if compressed.is_some() {
        response.headers_mut().insert(CONTENT_ENCODING, GZIP);
    }
    response.map(|_| Body::new(Full::new(compressed.unwrap_or(content))))
}

/// The answer to a call that failed with this code, and its status as JSON.
pub(crate) fn failed(code: Code, mut headers: HeaderMap, json: Bytes, gzip: bool) -> Response<Body> {
    if code == Code::Unauthenticated {
        // RFC 9110 (section 11.6.1) wants a challenge. Credentials of gRPC calls are bearer credentials.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let mut response = answer(headers, JSON, json, gzip);
    *response.status_mut() = http_status(code);
    response
}

/// Whether a client accepts gzip, by the header of this name.
pub(crate) fn accepts_gzip(headers: &HeaderMap, name: HeaderName) -> bool {
    accepted(headers, &name, &["gzip", "*"]).unwrap_or(false)
}

/// Compresses long content if the client accepts it (`gzip`).
pub(crate) fn compress(content: &[u8], gzip: bool) -> Option<Bytes> {
    let is_worth_it = gzip && content.len() >= WORTH_COMPRESSING;
    is_worth_it.then(|| gzip_after(Vec::with_capacity(content.len() / 2), content).into())
}

/// Appends compressed content to `start`.
pub fn gzip_after(start: Vec<u8>, content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(start, Compression::fast());
    let compressed = encoder.write_all(content).and_then(|()| encoder.finish());
    compressed.expect("memory can always be written to")
}

#[cfg(test)]
mod tests;
