//! Whole bodies: the content of a request up to a limit, the content of an answer, and gzip in both directions.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::buf::Reader;
use bytes::{Buf as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tonic::Code;
use tonic::body::Body;

use super::error::Error;
use super::headers::{BEARER, GZIP, JSON, NOSNIFF, weighted};
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
    /// Not at all.
    Identity,
    /// With gzip.
    Gzip,
}

impl Encoding {
    /// The encoding in the header of this name; none if the header is missing.
    pub(crate) fn of(headers: &HeaderMap, name: HeaderName) -> Result<Self, Error> {
        headers.get(name).map_or(Ok(Encoding::Identity), |value| Self::parse(value.as_bytes()))
    }

    /// The encoding of this name.
    pub(crate) fn parse(name: &[u8]) -> Result<Self, Error> {
        if name.eq_ignore_ascii_case(b"gzip") {
            Ok(Encoding::Gzip)
        } else if name.eq_ignore_ascii_case(b"identity") || name.is_empty() {
            Ok(Encoding::Identity)
        } else {
            Err(Error::EncodingUnknown(String::from_utf8_lossy(name).into_owned()))
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
    /// Decompresses and decodes it. For large content both are one job: decompressed bytes do not wait for a second
    /// one. The host of the call limits and counts the bytes.
    ///
    /// `decode`: None for content that needs no decoding.
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
        let (sent, limit) = (bytes.len(), host.message_bytes());
        let decoder = MultiGzDecoder::new(bytes.reader());
        let mut gunzip = Gunzip { decoder, content: Vec::new(), host: host.clone() };
        // Small content is decompressed at once, and the rest of content that turns out to be large in a job. The size
        // of the input counts too: many empty gzip members are much work without any content.
        if sent <= SMALL_GZIP && gunzip.reads_all_within(INLINE_BYTES)? {
            return decode(gunzip.content);
        }
        let rest = move || {
            // Reserved once: pages that are never written take no memory.
            gunzip.content.reserve_exact(limit.saturating_sub(gunzip.content.len()));
            gunzip.reads_all_within(limit)?;
            decode(gunzip.content)
        };
        host.run(usize::MAX, rest).await?
    }
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
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

/// An answer with this content.
///
/// * `headers`: further headers of the answer.
/// * `gzip`: whether the client accepts gzip ([`accepts_gzip`]). Long content is then compressed.
pub(crate) fn answer(
    status: StatusCode,
    headers: HeaderMap,
    content_type: HeaderValue,
    content: Bytes,
    gzip: bool,
) -> Response<Body> {
    let mut response = response(headers, content_type, Body::empty());
    *response.status_mut() = status;
    if content.len() >= WORTH_COMPRESSING {
        response.headers_mut().append(VARY, HeaderValue::from(ACCEPT_ENCODING));
    }
    let compressed = compress(&content, gzip);
    if compressed.is_some() {
        response.headers_mut().insert(CONTENT_ENCODING, GZIP);
    }
    response.map(|_| Body::new(Full::new(compressed.unwrap_or(content))))
}

/// The answer to a call that failed with this code.
///
/// `json`: its status.
pub(crate) fn failed(code: Code, mut headers: HeaderMap, json: Bytes, gzip: bool) -> Response<Body> {
    if code == Code::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, BEARER);
    }
    answer(http_status(code), headers, JSON, json, gzip)
}

/// Whether a client accepts gzip, by the header of this name.
pub(crate) fn accepts_gzip(headers: &HeaderMap, name: HeaderName) -> bool {
    let accepted = |coding: &str| weighted(headers, &name).find(|(found, _)| found.eq_ignore_ascii_case(coding));
    accepted("gzip").or_else(|| accepted("*")).is_some_and(|(_, accepted)| accepted)
}

/// Compresses long content if the client accepts it (`gzip`).
pub(crate) fn compress(content: &[u8], gzip: bool) -> Option<Bytes> {
    if !gzip || content.len() < WORTH_COMPRESSING {
        return None;
    }
    Some(gzip_after(Vec::with_capacity(content.len() / 2), content).into())
}

/// Appends compressed content to `start`.
pub fn gzip_after(start: Vec<u8>, content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(start, Compression::fast());
    let compressed = encoder.write_all(content).and_then(|()| encoder.finish());
    compressed.expect("memory can always be written to")
}

/// Content that is being decompressed.
struct Gunzip<H> {
    decoder: MultiGzDecoder<Reader<Bytes>>,
    content: Vec<u8>,
    host: H,
}

impl<H: CallHost> Gunzip<H> {
    /// Goes on until the end, or until there are more than `bytes` bytes. Returns whether it reached the end. It never
    /// allocates more than the limit.
    fn reads_all_within(&mut self, bytes: usize) -> Result<bool, Error> {
        let (mut chunk, limit) = ([0; CHUNK], self.host.message_bytes());
        while self.content.len() <= bytes {
            let read = match self.decoder.read(&mut chunk) {
                Ok(0) => return Ok(true),
                Ok(read) => read,
                Err(_) => return Err(Error::ContentMalformed("it is said to be gzip and is not")),
            };
            let length = self.content.len() + read;
            if length > limit {
                return Err(Error::MessageTooLarge { limit });
            }
            self.host.reserve_bytes(read)?;
            if length > self.content.capacity() {
                self.content.reserve_exact((2 * length).min(limit) - self.content.len());
            }
            self.content.extend_from_slice(&chunk[..read]);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
