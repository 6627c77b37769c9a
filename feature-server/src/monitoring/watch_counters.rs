//! Counts watches and their messages. Each core has counters of its own.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a watch shows.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Resolved values.
    Values,
    /// Changes.
    Changes,
}

/// What a message of a watch has.
#[derive(Debug, Clone, Copy)]
pub enum MessageType {
    /// All values, or a piece of them.
    Snapshot,
    /// The values that differ.
    Delta,
    /// Changes.
    Changes,
    /// Nothing new.
    Heartbeat,
    /// The end of the stream.
    Closing,
}

/// Why a watch has ended.
#[derive(Debug, Clone, Copy)]
pub enum Reason {
    /// The client or the connection is gone, or a deadline has passed.
    Client,
    /// The connection or the server leaves.
    Leaving,
    /// The credential does not count any more.
    Credential,
    /// The client has left messages untaken for too long.
    Slow,
    /// Anything else.
    Failed,
}

/// The values of the label `kind`, in the order of [`Kind`]; the same for the labels below.
pub(super) const KINDS: [&str; 2] = ["values", "changes"];
pub(super) const TYPES: [&str; 5] = ["snapshot", "delta", "changes", "heartbeat", "closing"];
pub(super) const REASONS: [&str; 5] = ["client", "leaving", "credential", "slow", "failed"];

/// The watches of one core.
#[derive(Debug, Default)]
pub struct WatchCounters {
    pub(super) open: [AtomicU64; KINDS.len()],
    pub(super) messages: [AtomicU64; TYPES.len()],
    pub(super) closed: [AtomicU64; REASONS.len()],
}

impl WatchCounters {
    /// Counts a stream as open.
    pub fn opened(&self, kind: Kind) {
        self.open[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message.
    pub fn sent(&self, message: MessageType) {
        self.messages[message as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of a stream that was open.
    pub fn closed(&self, kind: Kind, reason: Reason) {
        self.open[kind as usize].fetch_sub(1, Ordering::Relaxed);
        self.closed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}
