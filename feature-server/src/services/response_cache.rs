//! Response cache of Get: an entry is valid as long as no record that was read for it has been written since. It keeps
//! answers as they are sent.
//!
//! An answer depends only on the question and on records, whose versions are kept with the entry. So entries need no
//! expiry, and a lookup takes no lock that a writer holds.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use feature_auth::Principal;
use feature_auth::access::{Caller, NamedCaller};
use feature_core::{Level, Record, Scope};
use feature_store::{FeatureStore, StoreError, Stripe, Version, Versioned};
use grpc_transcoding::compression::{WORTH_COMPRESSING, gzip_after};
use grpc_transcoding::framing::{COMPRESSED, PREFIX, prefix};
use prost::Message;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

/// The most bytes of an entry beside its messages and its principal, roughly.
const ENTRY_BYTES: usize = 640;

/// The bytes of a typical entry.
const TYPICAL_BYTES: usize = 2048;

/// The cached answers. Those that are rarely requested are evicted first.
#[derive(Clone)]
pub struct Answers {
    store: Arc<Versioned>,
    given: Option<Arc<Cache<Kept, Arc<Given>, Weight>>>,
}

/// The key of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Question<'a> {
    /// The method and its caller.
    pub(super) asked: Asked<'a>,
    /// The request, encoded.
    pub(super) message: &'a [u8],
}

/// The method of a question, and its caller, with the names that the call has beside the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Asked<'a> {
    /// The Get of a level, by the feature service.
    Features(Level, &'a Caller),
    /// `GetSettings`.
    Settings(&'a NamedCaller),
}

/// A question that the cache owns.
#[derive(Debug, Clone)]
struct Kept {
    asked: KeptAsked,
    message: Bytes,
}

#[derive(Debug, Clone)]
enum KeptAsked {
    Features(Level, Caller),
    Settings(NamedCaller),
}

#[derive(Debug)]
struct Given {
    frame: Frame,
    basis: Vec<Version>,
}

/// The versions of the records that were read for an answer.
#[derive(Debug, Default)]
pub struct Basis {
    versions: Vec<Version>,
    /// A record was read during a write, so its version cannot prove later that it is unchanged.
    unsteady: bool,
}

impl Answers {
    /// * `store`: the store that answers are read from.
    /// * `bytes`: the most bytes of the cache; 0 turns it off.
    pub fn new(store: Arc<Versioned>, bytes: usize) -> Self {
        let given = || Arc::new(Cache::with_weighter(bytes / TYPICAL_BYTES, bytes as u64, Weight));
        Self { store, given: (bytes > 0).then(given) }
    }

    /// The cached answer, if it is still valid.
    pub(super) fn find(&self, question: &Question<'_>) -> Option<Frame> {
        let given = self.given.as_ref()?.get(question)?;
        let holds = given.basis.iter().all(|version| self.store.is_current(*version));
        holds.then(|| given.frame.clone())
    }

    /// Caches an answer that was made from these versions.
    pub(super) fn keep(&self, question: &Question<'_>, frame: &Frame, basis: Basis) {
        if let (Some(cache), false) = (&self.given, basis.unsteady) {
            let asked = match question.asked {
                Asked::Features(level, caller) => KeptAsked::Features(level, caller.clone()),
                Asked::Settings(caller) => KeptAsked::Settings(caller.clone()),
            };
            // Copied, because the received message may be a slice of a larger buffer.
            let kept = Kept { asked, message: Bytes::copy_from_slice(question.message) };
            cache.insert(kept, Arc::new(Given { frame: frame.clone(), basis: basis.versions }));
        }
    }

    /// Reads a record and adds its version to `basis`.
    pub(super) fn read(&self, scope: &Scope, basis: &mut Basis) -> Result<Record, StoreError> {
        basis.add(self.store.version(scope));
        self.store.record(scope)
    }
}

impl Basis {
    /// Adds the version of a record that is about to be read; `None` during a write to it.
    pub fn add(&mut self, version: Option<Version>) {
        match version {
            Some(version) => self.versions.push(version),
            None => self.unsteady = true,
        }
    }

    /// Adds what else was read.
    pub(super) fn extend(&mut self, other: Self) {
        self.versions.extend(other.versions);
        self.unsteady |= other.unsteady;
    }

    /// The stripes of all records that were read.
    pub(super) fn stripes(&self) -> Vec<Stripe> {
        let mut stripes: Vec<_> = self.versions.iter().map(|version| version.stripe()).collect();
        stripes.sort_unstable();
        stripes.dedup();
        stripes
    }

    /// Whether none of the records has changed since it was read, so that they are of one moment.
    pub(super) fn is_current(&self, store: &Versioned) -> bool {
        !self.unsteady && self.versions.iter().all(|version| store.is_current(*version))
    }
}

impl Kept {
    fn question(&self) -> Question<'_> {
        let asked = match &self.asked {
            KeptAsked::Features(level, caller) => Asked::Features(*level, caller),
            KeptAsked::Settings(caller) => Asked::Settings(caller),
        };
        Question { asked, message: &self.message }
    }

    fn principal(&self) -> &Principal {
        match &self.asked {
            KeptAsked::Features(_, caller) => caller.principal(),
            KeptAsked::Settings(caller) => caller.principal(),
        }
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.question() == other.question()
    }
}

impl Eq for Kept {}

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.question().hash(state);
    }
}

impl Equivalent<Kept> for Question<'_> {
    fn equivalent(&self, kept: &Kept) -> bool {
        *self == kept.question()
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Kept, Arc<Given>> for Weight {
    fn weight(&self, kept: &Kept, given: &Arc<Given>) -> u64 {
        // Entries usually share their principal with the token cache, but each entry can be the last one that keeps it
        // alive.
        (ENTRY_BYTES + kept.principal().bytes() + kept.message.len() + given.frame.size()) as u64
    }
}

/// An answer as it is sent and cached: its message in a gRPC frame, which is a flag byte for compression, four bytes of
/// length, and the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// Encodes a message.
    pub fn of(message: &impl Message) -> Self {
        let length = message.encoded_len();
        let mut frame = BytesMut::with_capacity(PREFIX + length);
        frame.put_slice(&prefix(0, length));
        message.encode(&mut frame).expect("the buffer has room for the message");
        Self(frame.freeze())
    }

    /// Whether the frame is large enough for [`Frame::gzip`].
    pub fn is_worth_compressing(&self) -> bool {
        self.0.len() >= PREFIX + WORTH_COMPRESSING
    }

    /// The same message, compressed.
    pub fn gzip(&self) -> Self {
        let mut frame = gzip_after(vec![0; PREFIX], &self.0[PREFIX..]);
        let prefix = prefix(COMPRESSED, frame.len() - PREFIX);
        frame[..PREFIX].copy_from_slice(&prefix);
        Self(frame.into())
    }

    /// The message without its prefix, as it is sent.
    pub fn message(&self) -> Bytes {
        self.0.slice(PREFIX..)
    }

    /// The whole frame.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The bytes of the whole frame.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests;
