//! Durable storage of feature settings: the contract of a store ([`FeatureStore`]), its implementations, and the
//! threads that write and read.
//!
//! A store keeps events and shows records; it never interprets a value. The [`JournalStore`] keeps events in a journal,
//! which is the truth, and shows records from a projection, which can always be rebuilt. The [`MemoryStore`] is the
//! reference in tests. What they keep can be read as an [`EventLog`]. The [`Committer`] makes all writes: it turns a
//! group of them into one [`Batch`]. [`Readers`] read on threads of their own. A [`Versioned`] store says whether a
//! record has changed since it was read. A [`Replica`] shares its events with other replicas, in an [`Engine`].
//!
//! The API's protobuf messages, transport and permissions have no place here.

#![forbid(unsafe_code)]

mod background;
mod committer;
mod engine;
mod error;
mod event_log;
mod files;
mod format;
mod journal;
mod maintenance;
mod projection;
mod readers;
mod replica;
mod store;
#[cfg(test)]
mod tests;

pub use committer::reply::EventLoops;
pub use committer::{CommitError, Committed, CommittedBatch, Committer, GroupCommit, GroupObserver};
pub use engine::postgres::{
    Durability, PostgresCheckError, PostgresEngine, PostgresOpenError, PostgresOptions, PostgresOptionsError,
    PostgresUrl, PostgresUrlError,
};
pub use engine::{Append, BaseRecord, Beat, Chain, Engine, EngineError, Entry, Head, Outcome, Position};
pub use error::{LineError, OpenError, StoreError};
pub use event_log::past::{changed_since, record_at, revision_at};
pub use event_log::term::Term;
pub use event_log::{EventLog, Found, Order};
pub use files::FileError;
pub use journal::{History, Torn};
pub use maintenance::backup::backup;
pub use maintenance::copy_to_log::{CopyError, copy_to_log};
pub use maintenance::export::{ExportError, export, export_log};
pub use maintenance::import::{ImportError, import};
pub use maintenance::verify::{ProjectionState, Verification, verify};
pub use readers::{ReadError, Readers};
pub use replica::opening::{OpenReplica, store_of_replica};
pub use replica::{CHAIN_PREFIX, Replica};
pub use store::batch::Batch;
pub use store::fold::check_value;
pub use store::journal_store::JournalStore;
pub use store::limits::{Keep, VALUE_MAX_BYTES, VALUE_MAX_DEPTH};
pub use store::memory::MemoryStore;
pub use store::selection::{Selected, Selection};
pub use store::touched::{Stripe, Touched};
pub use store::versioned::{Version, Versioned};
pub use store::{FeatureStore, StoreStatus};
