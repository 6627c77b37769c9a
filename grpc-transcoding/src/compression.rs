//! Bodies as a whole: the content of a request within a limit, that of an answer, and gzip in both directions.

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

use crate::error::Failure;
use crate::middleware::response_body::CallBody;
use crate::permit::Share;
use crate::permit::decode_pool::{self, INLINE_BYTES};

/// The value of `x-content-type-options`, in every answer that has content which a browser could take for a page.
pub(crate) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// The encoding that is supported beside none.
pub(crate) const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// Below this, gzip costs more than it saves.
const WORTH_COMPRESSING: usize = 1024;

/// The most bytes of gzip that are decompressed where the connection is served.
const SMALL_GZIP: usize = 16 * 1024;

/// How much is decompressed at once.
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
    /// The encoding that the header of this name tells; none when it is missing.
    pub(crate) fn of(headers: &HeaderMap, name: HeaderName) -> Result<Self, Failure> {
        headers.get(name).map_or(Ok(Encoding::Identity), |value| Self::parse(value.as_bytes()))
    }

    /// The encoding of this name.
    pub(crate) fn parse(name: &[u8]) -> Result<Self, Failure> {
        if name.eq_ignore_ascii_case(b"gzip") {
            Ok(Encoding::Gzip)
        } else if name.eq_ignore_ascii_case(b"identity") || name.is_empty() {
            Ok(Encoding::Identity)
        } else {
            Err(Failure::EncodingUnknown(String::from_utf8_lossy(name).into_owned()))
        }
    }
}

/// Content of a request, as it was sent. Empty content is not compressed.
pub(crate) struct Content {
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Bytes,
}

impl Content {
    /// Decompresses it.
    ///
    /// `share`: of the call. It says how many bytes may come out at most, and counts them.
    pub(crate) async fn decompress(self, share: &Share) -> Result<Bytes, Failure> {
        if self.is_compressed() { gunzip(self.bytes, share, Ok).await } else { Ok(self.bytes) }
    }

    /// Decompresses and decodes it. Where that is large work, both are one job, so that what was decompressed does not
    /// wait for another one.
    pub(crate) async fn decode<T: Send + 'static>(
        self,
        share: &Share,
        decode: impl FnOnce(Bytes) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        if self.is_compressed() {
            return gunzip(self.bytes, share, decode).await;
        }
        decode_pool::run(share, self.bytes.len(), move || decode(self.bytes)).await?
    }

    fn is_compressed(&self) -> bool {
        self.encoding == Encoding::Gzip && !self.bytes.is_empty()
    }
}

/// Reads the content of a request.
///
/// * `headers`: of the request; they tell how the content is compressed.
/// * `share`: of the call. It says how many bytes the content may have at most.
pub(crate) async fn read(mut body: Body, headers: &HeaderMap, share: &Share) -> Result<Content, Failure> {
    let (encoding, limit) = (Encoding::of(headers, CONTENT_ENCODING)?, share.message_bytes());
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Failure::RequestIncomplete)?.into_data() else {
            continue;
        };
        if first.len() + all.len() + data.len() > limit {
            return Err(Failure::MessageTooLarge { limit });
        }
        // Most content comes in one piece, which then need not be copied.
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
/// * `headers`: what else it tells.
/// * `gzip`: whether the client takes it compressed ([`accepts_gzip`]). It is, where that is worth it.
pub(crate) fn answer(
    status: StatusCode,
    headers: HeaderMap,
    content_type: HeaderValue,
    content: Bytes,
    gzip: bool,
) -> Response<CallBody> {
    let mut response = Response::new(CallBody::default());
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
    response.map(|_| CallBody::translated(Body::new(Full::new(content))))
}

/// Whether a client takes gzip, as the header of this name tells.
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

/// Compresses content where the client takes it (`gzip`) and it is worth it.
pub(crate) fn compress(content: &[u8], gzip: bool) -> Option<Bytes> {
    if !gzip || content.len() < WORTH_COMPRESSING {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(content.len() / 2), Compression::fast());
    let compressed = encoder.write_all(content).and_then(|()| encoder.finish());
    Some(compressed.expect("memory can always be written to").into())
}

/// Decompresses and decodes what is small at once, and the rest of what turns out to be large elsewhere.
async fn gunzip<T: Send + 'static>(
    compressed: Bytes,
    share: &Share,
    decode: impl FnOnce(Bytes) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let sent = compressed.len();
    let mut gunzip = Gunzip::new(compressed, share.clone());
    // Many empty members are much work for no content.
    if sent <= SMALL_GZIP && gunzip.reads_all_within(INLINE_BYTES)? {
        return decode(gunzip.content.into());
    }
    let limit = share.message_bytes();
    let rest = move || {
        // Once for all: memory that is not written to takes none.
        gunzip.content.reserve_exact(limit.saturating_sub(gunzip.content.len()));
        gunzip.reads_all_within(limit)?;
        decode(gunzip.content.into())
    };
    decode_pool::run(share, usize::MAX, rest).await?
}

/// Content that is being decompressed.
struct Gunzip {
    decoder: MultiGzDecoder<Reader<Bytes>>,
    content: Vec<u8>,
    share: Share,
}

impl Gunzip {
    fn new(compressed: Bytes, share: Share) -> Self {
        Self { decoder: MultiGzDecoder::new(compressed.reader()), content: Vec::new(), share }
    }

    /// Goes on until the end or until there are so many bytes, whichever is first. Returns whether it is the end. No
    /// more bytes than allowed are ever allocated.
    fn reads_all_within(&mut self, bytes: usize) -> Result<bool, Failure> {
        let (mut chunk, limit) = ([0; CHUNK], self.share.message_bytes());
        while self.content.len() <= bytes {
            let read = match self.decoder.read(&mut chunk) {
                Ok(0) => return Ok(true),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Err(Failure::ContentMalformed("it is said to be gzip and is not")),
            };
            let length = self.content.len() + read;
            if length > limit {
                return Err(Failure::MessageTooLarge { limit });
            }
            self.share.decompress(read)?;
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
