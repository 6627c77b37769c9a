//! Calls whose message is in the query of a GET request.
//!
//! Parameters that are not known are left alone, as the protocol wants it. A request without a query, as those who only
//! look at the status send it, is a call with the empty message in JSON.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD_INDIFFERENT;
use bytes::Bytes;
use http::Uri;
use percent_encoding::percent_decode_str;

use crate::error::Failure;
use crate::permit::Share;
use crate::transcoding::compression::{Content, Encoding};

/// The message in the query.
///
/// `share`: of the call. It says how many bytes the message may have at most.
pub(crate) fn message(uri: &Uri, share: &Share) -> Result<Content, Failure> {
    if is_absent(uri) {
        return Ok(Content { encoding: Encoding::Identity, bytes: Bytes::from_static(b"{}") });
    }
    let message = bytes(uri, "message").ok_or(Failure::ContentMalformed("the parameter 'message' is missing"))?;
    let encoding = Encoding::parse(&bytes(uri, "compression").unwrap_or_default())?;
    let malformed = |_| Failure::ContentMalformed("the parameter 'message' is not base64 in its URL-safe form");
    let message = match value(uri, "base64").as_deref() {
        Some("1") => URL_SAFE_NO_PAD_INDIFFERENT.decode(message).map_err(malformed)?,
        _ => message,
    };
    let limit = share.message_bytes();
    if message.len() > limit {
        return Err(Failure::MessageTooLarge { limit });
    }
    Ok(Content { encoding, bytes: message.into() })
}

/// Whether there is no query at all.
pub(crate) fn is_absent(uri: &Uri) -> bool {
    uri.query().is_none_or(str::is_empty)
}

/// The first value of a parameter, if it is text.
pub(crate) fn value(uri: &Uri, name: &str) -> Option<String> {
    String::from_utf8(bytes(uri, name)?).ok()
}

fn bytes(uri: &Uri, name: &str) -> Option<Vec<u8>> {
    let pairs = uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|pair| decoded(pair.0) == name.as_bytes()).map(|pair| decoded(pair.1)).next()
}

/// As forms are encoded: a plus is a space.
fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(&text.replace('+', " ")).collect()
}
