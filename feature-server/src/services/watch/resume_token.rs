//! Resume tokens: of which stream, how far it has come, and in which history.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use feature_store::EventLog;
use prost::Message;

use crate::error::{Failure, OwnFeatureFailure};

/// The most characters of a token.
const MAX_CHARS: usize = 128;

/// A resume token. It holds no secret: what a stream shows follows from the rights of its caller alone.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ResumeToken {
    /// The id of the store, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    store: Vec<u8>,
    /// Everything up to this change was shown.
    #[prost(uint64, tag = "2")]
    pub(super) revision: u64,
    /// A digest of what the client has: of the values, or of the last change.
    #[prost(fixed64, tag = "3")]
    pub(super) digest: u64,
    /// A digest of the other fields of the request.
    #[prost(fixed64, tag = "4")]
    request: u64,
}

impl ResumeToken {
    /// The token of a stream.
    pub(super) fn new(log: &dyn EventLog, revision: u64, digest: u64, request: u64) -> Self {
        Self { store: log.store_id().as_bytes().to_vec(), revision, digest, request }
    }

    /// Reads the token of a request.
    ///
    /// # Errors
    /// [`Failure::Request`] for a token that this server has not made for such a request, and
    /// [`OwnFeatureFailure::StoreChanged`] for one of another store.
    pub(super) fn read(text: &str, log: &dyn EventLog, request: u64) -> Result<Self, Failure> {
        let bytes =
            Some(text).filter(|text| text.len() <= MAX_CHARS).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let token = bytes.and_then(|bytes| Self::decode(&bytes[..]).ok()).filter(|token| token.request == request);
        let wrong = || Failure::field("resume_token", "must be from a stream whose request had the same other fields");
        let token = token.ok_or_else(wrong)?;
        if token.store != log.store_id().as_bytes() {
            return Err(OwnFeatureFailure::StoreChanged.into());
        }
        Ok(token)
    }

    /// The token as a request has it.
    pub(super) fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.encode_to_vec())
    }
}

/// A digest that every version of the server makes of the same parts.
pub(super) fn digest_of(parts: &[&[u8]]) -> u64 {
    let mut all = Vec::new();
    for part in parts {
        all.extend(part.len().to_be_bytes());
        all.extend(*part);
    }
    let digest = digest(&SHA256, &all);
    u64::from_be_bytes(*digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use feature_store::MemoryStore;

    use super::*;

    #[test]
    fn a_token_counts_for_its_own_request_and_store() {
        let log = MemoryStore::default();
        let token = ResumeToken::new(&log, 7, 8, 9);
        let text = token.to_text();
        assert_eq!(ResumeToken::read(&text, &log, 9).unwrap(), token);
        let reason = |text: &str, request| ResumeToken::read(text, &log, request).unwrap_err().reason().to_owned();
        assert_eq!(reason(&text, 8), "FIELD_INVALID");
        for forged in ["", "x", "%%", &text[1..], &"A".repeat(MAX_CHARS + 1)] {
            assert_eq!(reason(forged, 9), "FIELD_INVALID", "{forged}");
        }
        let other = ResumeToken { store: vec![1; 16], ..token };
        assert_eq!(reason(&other.to_text(), 9), "STORE_CHANGED");
        let longest = ResumeToken::new(&log, u64::MAX, u64::MAX, u64::MAX);
        assert!(longest.to_text().len() <= MAX_CHARS);
    }

    #[test]
    fn a_digest_tells_where_its_parts_end() {
        assert_ne!(digest_of(&[b"ab", b"c"]), digest_of(&[b"a", b"bc"]));
        assert_eq!(digest_of(&[b"a"]), 0x3b19_6fd4_907b_edf5, "it is the same in every version");
    }
}
