//! Calls with the message in the query of a GET request. Unknown parameters are ignored, as the protocol asks for. A
//! request without a query is a call with an empty message in JSON: health checkers send such requests.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD_INDIFFERENT;
use bytes::Bytes;
use http::Uri;

use crate::compression::{Content, Encoding};
use crate::error::Error;
use crate::percent;

/// The message in the query, of at most `limit` bytes.
pub(crate) fn message(uri: &Uri, limit: usize) -> Result<Content, Error> {
    if is_absent(uri) {
        return Ok(Content { encoding: Encoding::Identity, bytes: Bytes::from_static(b"{}") });
    }
    let message = bytes(uri, "message").ok_or(Error::ContentMalformed("the parameter 'message' is missing"))?;
    let encoding = Encoding::parse(&bytes(uri, "compression").unwrap_or_default())?;
    let malformed = |_| Error::ContentMalformed("the parameter 'message' is not base64 in its URL-safe form");
    let message = match value(uri, "base64").as_deref() {
        Some("1") => URL_SAFE_NO_PAD_INDIFFERENT.decode(message).map_err(malformed)?,
        _ => message,
    };
    if message.len() > limit {
        return Err(Error::MessageTooLarge { limit });
    }
    Ok(Content { encoding, bytes: message.into() })
}

/// Whether the query is missing or empty.
pub(crate) fn is_absent(uri: &Uri) -> bool {
    uri.query().is_none_or(str::is_empty)
}

/// The first value of a parameter, if it is text.
pub(crate) fn value(uri: &Uri, name: &str) -> Option<String> {
    String::from_utf8(bytes(uri, name)?).ok()
}

fn bytes(uri: &Uri, name: &str) -> Option<Vec<u8>> {
    let mut pairs = uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(key, _)| percent::decode_lossy(key) == name.as_bytes())?;
    Some(percent::decode_lossy(value))
}
