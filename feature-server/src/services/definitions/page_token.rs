//! Page tokens (AIP-158): where the next page begins, of which request and of which state of the definitions. So all
//! pages of a list together are one consistent state.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;

use crate::error::{Failure, OwnFeatureFailure};

/// The most characters of a token: a key has 128, and the rest is less.
const MAX_CHARS: usize = 256;

/// A page token. It holds no secret, and a forged one only begins a page elsewhere.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PageToken {
    /// A hash of the other fields of the request.
    #[prost(fixed64, tag = "1")]
    request: u64,
    /// A hash of the definitions.
    #[prost(fixed64, tag = "2")]
    state: u64,
    /// The last key of the page before, in lower case.
    #[prost(string, tag = "3")]
    after: String,
}

impl PageToken {
    /// The token of the page after this key.
    pub(super) fn new(request: u64, state: u64, after: &str) -> Self {
        Self { request, state, after: after.to_owned() }
    }

    /// The key after which a page begins; `None` for the first page.
    ///
    /// # Errors
    /// [`Failure::Request`] for a token of another request or of none, [`OwnFeatureFailure::ListingChanged`].
    pub(super) fn read(text: &str, request: u64, state: u64) -> Result<Option<String>, Failure> {
        if text.is_empty() {
            return Ok(None);
        }
        let bytes =
            Some(text).filter(|text| text.len() <= MAX_CHARS).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let token = bytes.and_then(|bytes| Self::decode(&bytes[..]).ok()).filter(|token| token.request == request);
        let Some(token) = token else {
            return Err(Failure::field(
                "page_token",
                "must be from the answer to a request with the same other fields",
            ));
        };
        if token.state == state { Ok(Some(token.after)) } else { Err(OwnFeatureFailure::ListingChanged.into()) }
    }

    /// The token as a request has it.
    pub(super) fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.encode_to_vec())
    }
}

/// The same hash for the same value in every process of this version.
pub(super) fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_for_its_own_request_and_state_only() {
        let text = PageToken::new(1, 2, "checkout.new_ui").to_text();
        assert_eq!(PageToken::read("", 1, 2).unwrap(), None);
        assert_eq!(PageToken::read(&text, 1, 2).unwrap().as_deref(), Some("checkout.new_ui"));
        let changed = PageToken::read(&text, 1, 3).unwrap_err();
        assert!(matches!(changed, Failure::OwnFeature(OwnFeatureFailure::ListingChanged)));
        for (text, request) in [(text.as_str(), 9), ("x", 1), ("%%", 1), (&"A".repeat(300), 1)] {
            assert!(matches!(PageToken::read(text, request, 2), Err(Failure::Request(_))), "{text}");
        }
        assert!(PageToken::new(u64::MAX, u64::MAX, &"k".repeat(128)).to_text().len() <= MAX_CHARS);
    }
}
