//! The chain: a hash over a whole history, which tells two histories of the same length apart.

use std::fmt;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use feature_core::Event;
use prost::Message;
use uuid::Uuid;

use super::{Entry, Position};
use crate::format::encoding::encode_event;

/// The bytes of a chain. Two histories meet by accident with a probability of 2^-64 at most, for any number of
/// histories that there will be.
pub(crate) const CHAIN_BYTES: usize = 16;

/// The hash of everything up to an entry: the first 16 bytes of SHA-256 over the chain before it, its revision as 8
/// bytes (big endian), and its body. It begins with the hash of the store's id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Chain([u8; CHAIN_BYTES]);

impl Chain {
    /// The chain of a store without events.
    pub fn start(store: Uuid) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(store.as_bytes());
        Self::cut(&hash.finish())
    }

    /// The chain with these bytes; `None` for another number of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, as they are stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The chain after one more entry.
    pub fn with(self, revision: u64, body: &[u8]) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(&self.0);
        hash.update(&revision.to_be_bytes());
        hash.update(body);
        Self::cut(&hash.finish())
    }

    fn cut(digest: &Digest) -> Self {
        Self(*digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Position {
    /// The position of a store without events.
    pub fn start(store: Uuid) -> Self {
        Self { revision: 0, chain: Chain::start(store) }
    }

    /// The entries of events that follow this position.
    pub(crate) fn entries<'e>(self, events: impl Iterator<Item = &'e Event>) -> Vec<Entry> {
        let entry = |before: &mut Self, event: &Event| {
            let body = encode_event(event);
            let position = Self { revision: event.revision, chain: before.chain.with(event.revision, &body) };
            *before = position;
            Some(Entry { position, body })
        };
        events.scan(self, entry).collect()
    }

    /// Whether an entry is the one after this position.
    pub(crate) fn is_followed_by(self, entry: &Entry) -> bool {
        let Position { revision, chain } = entry.position;
        let follows = || chain == self.chain.with(revision, &entry.body) || entry.chain_before() == Some(self.chain);
        revision == self.revision + 1 && follows()
    }
}

/// What an entry has beside its event when an erasure has taken something out of it: the chain of an entry is that of
/// what it was, so the body does not show any more which entry was before.
#[derive(Clone, PartialEq, Message)]
struct StoredBefore {
    #[prost(bytes = "vec", tag = "16")]
    chain: Vec<u8>,
}

impl Entry {
    /// The same entry with an event from which an erasure has taken something.
    ///
    /// `before`: the chain of the entry before it; `None` when that one is not kept any more.
    pub(crate) fn erased(&self, event: &Event, before: Option<Chain>) -> Self {
        let before = self.chain_before().or(before).map_or_else(Vec::new, |before| before.0.to_vec());
        let body = [encode_event(event), StoredBefore { chain: before }.encode_to_vec()].concat();
        Self { body, ..self.clone() }
    }

    /// Whether the body has nothing that this binary does not know.
    pub(crate) fn is_known(&self, event: &Event) -> bool {
        self.body == encode_event(event) || event.is_erased && self.body == self.erased(event, None).body
    }

    fn chain_before(&self) -> Option<Chain> {
        Chain::from_bytes(&StoredBefore::decode(&*self.body).ok()?.chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixtures::history;

    #[test]
    fn a_chain_differs_when_anything_before_it_differs() {
        let store = Uuid::from_u128(1);
        let chain = |store, revisions: Vec<u64>| {
            Position::start(store).entries(history(revisions).iter()).last().unwrap().position.chain
        };
        let one = chain(store, vec![1, 2, 3]);
        assert_eq!(one, chain(store, vec![1, 2, 3]));
        assert_ne!(one, chain(Uuid::from_u128(2), vec![1, 2, 3]), "another store");
        assert_ne!(one, chain(store, vec![1, 2]), "an entry less");
        assert_ne!(one, chain(store, vec![3, 2, 1]), "another order");
        assert_eq!(format!("{:?}", Chain::start(Uuid::nil())), "374708fff7719dd5979ec875d56cd228");
    }

    #[test]
    fn an_entry_follows_only_its_own_predecessor() {
        let start = Position::start(Uuid::nil());
        let events = history(1..=3);
        let entries = start.entries(events.iter());
        assert!(start.is_followed_by(&entries[0]) && entries[0].position.is_followed_by(&entries[1]));
        assert!(!start.is_followed_by(&entries[1]) && !entries[1].position.is_followed_by(&entries[1]));
        let mut changed = entries[1].clone();
        changed.body.push(0);
        assert!(!entries[0].position.is_followed_by(&changed));
    }

    #[test]
    fn an_erased_entry_follows_the_same_one_as_before() {
        let start = Position::start(Uuid::nil());
        let entries = start.entries(history(1..=3).iter());
        let event = Event { is_erased: true, actor: String::new(), ..entries[1].event().unwrap() };
        let erased = entries[1].erased(&event, Some(entries[0].position.chain));
        assert_eq!((erased.position, erased.event().unwrap()), (entries[1].position, event.clone()));
        assert!(entries[0].position.is_followed_by(&erased) && erased.position.is_followed_by(&entries[2]));
        let other = Position { chain: Chain::start(Uuid::from_u128(2)), ..entries[0].position };
        assert!(!other.is_followed_by(&erased) && !start.is_followed_by(&erased));
        assert!(erased.is_known(&event) && !erased.is_known(&Event { comment: "newer".to_owned(), ..event.clone() }));
        // Once more, when the entry before it is not kept any more.
        let again = erased.erased(&event, None);
        assert!(entries[0].position.is_followed_by(&again));
    }
}
