//! Whole bodies: the content of a request up to a limit, the content of an answer, and gzip in both directions.

use std::io::{self, Read, Write};

use bytes::buf::Reader;
use bytes::{Buf as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tonic::body::Body;

use super::error::Error;
use super::headers::{GZIP, NOSNIFF};
use super::host::{CallHost, INLINE_BYTES};

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

/// Content of a request, as it was sent. Empty content is not compressed.
pub(crate) struct Content {
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Bytes,
}

impl Content {
    /// Decompresses it. The host of the call limits and counts the bytes.
    pub(crate) async fn decompress(self, host: &impl CallHost) -> Result<Bytes, Error> {
        if self.is_compressed() { gunzip(self.bytes, host, Ok).await } else { Ok(self.bytes) }
    }

    /// Decompresses and decodes it. For large content both are one job: decompressed bytes do not wait for a second
    /// one.
    pub(crate) async fn decode<T: Send + 'static>(
        self,
        host: &impl CallHost,
        decode: impl FnOnce(Bytes) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if self.is_compressed() {
            return gunzip(self.bytes, host, decode).await;
        }
        host.run(self.bytes.len(), move || decode(self.bytes)).await?
    }

    fn is_compressed(&self) -> bool {
        self.encoding == Encoding::Gzip && !self.bytes.is_empty()
    }
}

/// Reads the content of a request, up to the limit of the host. The headers name its compression.
pub(crate) async fn read(mut body: Body, headers: &HeaderMap, host: &impl CallHost) -> Result<Content, Error> {
    let (encoding, limit) = (Encoding::of(headers, CONTENT_ENCODING)?, host.message_bytes());
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Error::RequestIncomplete)?.into_data() else {
            continue;
        };
        if first.len() + all.len() + data.len() > limit {
            return Err(Error::MessageTooLarge { limit });
        }
        // Most content arrives in one piece, which is not copied.
        if first.is_empty() && all.is_empty() {
            first = data;
            if body.is_end_stream() {
                break;
            }
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(Content { encoding, bytes: if all.is_empty() { first } else { all.freeze() } })
}

/// Makes an answer.
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
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if content.len() >= WORTH_COMPRESSING {
        response.headers_mut().append(VARY, HeaderValue::from(ACCEPT_ENCODING));
    }
    let content = match compress(&content, gzip) {
        Some(compressed) => {
            response.headers_mut().insert(CONTENT_ENCODING, GZIP);
            compressed
        }
        None => content,
    };
    response.map(|_| Body::new(Full::new(content)))
}

/// Whether a client accepts gzip, by the header of this name.
pub(crate) fn accepts_gzip(headers: &HeaderMap, name: HeaderName) -> bool {
    let mut others = false;
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    for part in values.flat_map(|value| value.split(',')) {
        let (coding, weight) = part.split_once(';').unwrap_or((part, ""));
        let refused = weight.split_once('=').is_some_and(|(_, weight)| weight.trim().parse() == Ok(0.0_f32));
        match coding.trim() {
            coding if coding.eq_ignore_ascii_case("gzip") => return !refused,
            "*" => others = !refused,
            _ => {}
        }
    }
    others
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

/// Decompresses and decodes. Small content is done at once; the rest of content that turns out to be large is a job.
async fn gunzip<T: Send + 'static>(
    compressed: Bytes,
    host: &impl CallHost,
    decode: impl FnOnce(Bytes) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let sent = compressed.len();
    let mut gunzip = Gunzip::new(compressed, host.clone());
    // The size of the input counts too: many empty gzip members are much work without any content.
    if sent <= SMALL_GZIP && gunzip.reads_all_within(INLINE_BYTES)? {
        return decode(gunzip.content.into());
    }
    let limit = host.message_bytes();
    let rest = move || {
        // Reserved once: pages that are never written take no memory.
        gunzip.content.reserve_exact(limit.saturating_sub(gunzip.content.len()));
        gunzip.reads_all_within(limit)?;
        decode(gunzip.content.into())
    };
    host.run(usize::MAX, rest).await?
}

/// Content that is being decompressed.
struct Gunzip<H> {
    decoder: MultiGzDecoder<Reader<Bytes>>,
    content: Vec<u8>,
    host: H,
}

impl<H: CallHost> Gunzip<H> {
    fn new(compressed: Bytes, host: H) -> Self {
        Self { decoder: MultiGzDecoder::new(compressed.reader()), content: Vec::new(), host }
    }

    /// Goes on until the end, or until there are more than `bytes` bytes. Returns whether it reached the end. It never
    /// allocates more than the limit.
    fn reads_all_within(&mut self, bytes: usize) -> Result<bool, Error> {
        let (mut chunk, limit) = ([0; CHUNK], self.host.message_bytes());
        while self.content.len() <= bytes {
            let read = match self.decoder.read(&mut chunk) {
                Ok(0) => return Ok(true),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
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
