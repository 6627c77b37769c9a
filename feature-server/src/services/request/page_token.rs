//! Page tokens (AIP-158): where the next page begins, of which request, and of which state of what is listed. So all
//! pages of a list together show one state.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;

use crate::error::Failure;

const PAGE_SIZE: usize = 100;
const PAGE_SIZE_MAX: usize = 1_000;

/// A page ends early when its items have so many bytes.
pub(in crate::services) const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The most characters of a token: the two ids of a scope have up to 1,600 bytes, and the rest is less.
const MAX_CHARS: usize = 3_072;

/// A page token. It holds no secret, and a forged one only begins a page elsewhere.
#[derive(Clone, PartialEq, Message)]
pub(in crate::services) struct PageToken {
    /// A hash of the other fields of the request.
    #[prost(fixed64, tag = "1")]
    request: u64,
    /// The state of what is listed: a hash of it, or its revision.
    #[prost(fixed64, tag = "2")]
    pub(in crate::services) state: u64,
    /// The last item of the page before.
    #[prost(string, repeated, tag = "3")]
    pub(in crate::services) after: Vec<String>,
}

impl PageToken {
    /// The token of the page after this item.
    pub(in crate::services) fn new(request: u64, state: u64, after: Vec<String>) -> Self {
        Self { request, state, after }
    }

    /// Reads the token of a page; `None` for the first page.
    ///
    /// # Errors
    /// [`Failure::Request`] for a token of another request or of none.
    pub(in crate::services) fn read(text: &str, request: u64) -> Result<Option<Self>, Failure> {
        if text.is_empty() {
            return Ok(None);
        }
        let bytes =
            Some(text).filter(|text| text.len() <= MAX_CHARS).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let token = bytes.and_then(|bytes| Self::decode(&bytes[..]).ok()).filter(|token| token.request == request);
        token.map(Some).ok_or_else(Self::wrong)
    }

    /// The failure of a request with a token that this server has not made.
    pub(in crate::services) fn wrong() -> Failure {
        Failure::field("page_token", "must be from the answer to a request with the same other fields")
    }

    /// The token as a request has it.
    pub(in crate::services) fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.encode_to_vec())
    }
}

/// The most items of a page, of which a request says `page_size`.
///
/// # Errors
/// [`Failure::Request`] for a negative number.
pub(in crate::services) fn page_size(page_size: i32) -> Result<usize, Failure> {
    match usize::try_from(page_size) {
        Ok(0) => Ok(PAGE_SIZE),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => Err(Failure::field("page_size", "must not be negative")),
    }
}

/// The same hash for the same value in every process of this version.
pub(in crate::services) fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_for_its_own_request_only() {
        let token = PageToken::new(1, 2, vec!["checkout.new_ui".to_owned()]);
        let text = token.to_text();
        assert_eq!(PageToken::read("", 1).unwrap(), None);
        assert_eq!(PageToken::read(&text, 1).unwrap(), Some(token));
        for (text, request) in [(text.as_str(), 9), ("x", 1), ("%%", 1), (&"A".repeat(4_000), 1)] {
            assert!(matches!(PageToken::read(text, request), Err(Failure::Request(_))), "{text}");
        }
        let longest = vec!["user".to_owned(), "😀".repeat(200), "😀".repeat(200)];
        assert!(PageToken::new(u64::MAX, u64::MAX, longest).to_text().len() <= MAX_CHARS);
    }

    #[test]
    fn a_page_has_100_items_unless_the_request_says_another_number_up_to_1000() {
        let sizes = [0, 1, 1_000, 1_001, i32::MAX].map(|size| page_size(size).unwrap());
        assert_eq!(sizes, [100, 1, 1_000, 1_000, 1_000]);
        assert!(matches!(page_size(-1), Err(Failure::Request(_))));
    }
}
