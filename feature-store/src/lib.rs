//! Durable storage of feature settings: the contract of a store, its two implementations, and the committer.
//!
//! A store keeps events and shows records; it never looks inside a value. The [`JournalStore`] keeps events in a
//! journal, which is the truth, and shows records from a projection, which can always be rebuilt. The
//! [`MemoryStore`] is the reference that it is tested against. The [`Committer`] is the only one that writes, and
//! [`Readers`] read without holding anybody up.
//! Nothing here knows protobuf messages of the API, transport or permissions.

mod committer;
mod encoding;
mod error;
mod files;
mod identity;
mod journal;
mod journal_store;
mod key;
mod memory;
mod projection;
mod readers;
mod store;
#[cfg(test)]
mod tests;

pub use committer::{CommitError, Committer};
pub use error::{OpenError, StoreError};
pub use files::FileError;
pub use journal_store::JournalStore;
pub use memory::MemoryStore;
pub use readers::{ReadError, Readers};
pub use store::{FeatureStore, VALUE_MAX_BYTES, VALUE_MAX_DEPTH};
