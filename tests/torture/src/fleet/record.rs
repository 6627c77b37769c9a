//! What the clients of a fleet have sent and what they were answered, with times of one clock.

use crate::workload::client::Read;
use crate::workload::feature::{Details, Scope};
use crate::workload::write::Write;

/// Nanoseconds since the campaign began.
pub type Nanos = u64;

/// The end of a call whose answer never came.
pub const NEVER: Nanos = Nanos::MAX;

/// All calls of a cycle.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub writes: Vec<WriteCall>,
    pub reads: Vec<ReadCall>,
}

/// A write that was sent.
#[derive(Debug, Clone)]
pub struct WriteCall {
    /// Its request id, which its event has.
    pub id: String,
    /// The number of the server.
    pub server: usize,
    pub scope: Scope,
    pub write: Write,
    pub begin: Nanos,
    /// When the answer came; [`NEVER`] for an unknown outcome.
    pub end: Nanos,
    pub answer: Answer,
}

/// What a write was answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// With the revision that the answer named, if it did.
    Acknowledged(Details, Option<Place>),
    /// Refused, since the sequence was not the expected one but this.
    Mismatch(u64),
    /// Refused for another reason: nothing was written, and nothing is said of the scope.
    Refused(String),
    /// The write may have happened, or may happen yet, once.
    Unknown(String),
}

/// A read.
#[derive(Debug, Clone)]
pub struct ReadCall {
    pub server: usize,
    pub scope: Scope,
    pub begin: Nanos,
    pub end: Nanos,
    pub asks: Asks,
    /// What was read, or the error's text.
    pub answer: Result<Read, String>,
    /// The revision that the answer named, if it did.
    pub place: Option<Place>,
}

/// How new the answer to a read must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// As new as the server is ready for: the bound of its health.
    Ready,
    /// Not even that: the server says that it is not ready.
    Any,
    /// At this revision or a later one.
    AtLeast(Place),
    /// With every write that was acknowledged before.
    Latest,
}

/// A place in a history, as `feature-revision` names it: a revision, and the first four bytes of the chain there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub revision: u64,
    pub chain: u32,
}

impl Place {
    /// Reads the form of the metadata.
    pub fn parse(text: &str) -> Option<Self> {
        let (revision, chain) = text.split_once('.')?;
        Some(Self { revision: revision.parse().ok()?, chain: u32::from_str_radix(chain, 16).ok()? })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:08x}", self.revision, self.chain)
    }
}

impl Record {
    /// The number of acknowledged writes.
    pub fn acknowledged(&self) -> u64 {
        self.writes.iter().filter(|call| matches!(call.answer, Answer::Acknowledged(..))).count() as u64
    }

    /// The number of writes with an unknown outcome.
    pub fn unknown(&self) -> u64 {
        self.writes.iter().filter(|call| matches!(call.answer, Answer::Unknown(_))).count() as u64
    }

    /// Adds the calls of another client.
    pub fn extend(&mut self, other: Self) {
        self.writes.extend(other.writes);
        self.reads.extend(other.reads);
    }
}
