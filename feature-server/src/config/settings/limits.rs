//! The settings `limits` with their defaults: what clients may use up. What happens over a limit is not said here.

use serde::{Deserialize, Serialize};

/// What a client may use up. Nothing here can be without a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest request message, in bytes.
    pub message_bytes: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// Connections without a call. If there are more, the longest idle ones get a GOAWAY.
    pub idle_connections: usize,
    /// Streams at once on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// Calls at once in all whose callers have shown a valid token; more are refused.
    pub calls: usize,
    /// Calls a second of one identity, in the long run; for a moment twice as many may come at once. 0: as many as the
    /// server can answer.
    pub calls_per_second_per_identity: u32,
    /// Calls at once in all whose callers have not shown a valid token and that have to wait or are streams; more are
    /// refused.
    pub unauthenticated_calls: usize,
    /// How many of those may come from one address.
    pub unauthenticated_calls_per_address: usize,
    /// What a caller without a valid token may send in one call, in bytes.
    pub unauthenticated_bytes: usize,
    /// What the requests of all calls under way may have in memory, as they were sent, in bytes; more is refused.
    pub request_bytes: usize,
    /// How much of memory the answers to reads may take that are kept for the next time, in bytes; 0 keeps none.
    pub answer_cache_bytes: usize,
    /// Writes that wait for the disk at once; more are refused.
    pub queued_writes: usize,
    /// Reads that wait for the disk at once; more are refused.
    pub queued_reads: usize,
    /// The largest header block of a request, in bytes; at least 8,192, because over HTTP/1.1 less cannot be enforced.
    pub header_bytes: u32,
    /// The most headers of a request.
    pub headers: usize,
    /// How long the handshake of a TLS connection may take, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// How long a new connection may stay silent, in milliseconds. With TLS this begins after the handshake.
    pub first_byte_timeout_ms: u64,
    /// How long a client may take to send the header of an HTTP/1.1 request, the wait for it included, in milliseconds.
    pub header_timeout_ms: u64,
    /// How long a client may take to send the body of a request that is answered when all of it is here, in
    /// milliseconds.
    pub body_timeout_ms: u64,
    /// How long a client may leave what was sent to it untaken, in milliseconds.
    pub send_timeout_ms: u64,
    /// How long a connection may stay without a call, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How old a connection may get before its client gets a GOAWAY, in milliseconds; up to a tenth more or less, so
    /// that connections that were opened together do not end together.
    pub connection_age_ms: u64,
    /// How long the calls on a connection that is too old may go on, in milliseconds.
    pub connection_age_grace_ms: u64,
    /// How often an HTTP/2 client that sends nothing is asked whether it is still there, in milliseconds.
    pub keepalive_interval_ms: u64,
    /// How long such a client may take to answer, in milliseconds.
    pub keepalive_timeout_ms: u64,
    /// The deadline of a call whose client names none, in milliseconds.
    pub default_deadline_ms: u64,
    /// The longest deadline that a client can ask for, in milliseconds. Streams may go on longer.
    pub max_deadline_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1024 * 1024,
            connections: 10_000,
            connections_per_address: 1_000,
            idle_connections: 300,
            streams_per_connection: 100,
            calls: 2_048,
            calls_per_second_per_identity: 0,
            unauthenticated_calls: 1_024,
            unauthenticated_calls_per_address: 128,
            unauthenticated_bytes: 64 * 1024,
            request_bytes: 32 * 1024 * 1024,
            answer_cache_bytes: 64 * 1024 * 1024,
            queued_writes: 2_048,
            queued_reads: 2_048,
            header_bytes: 16 * 1024,
            headers: 100,
            handshake_timeout_ms: 10_000,
            first_byte_timeout_ms: 10_000,
            header_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            send_timeout_ms: 30_000,
            idle_timeout_ms: 300_000,
            connection_age_ms: 1_800_000,
            connection_age_grace_ms: 60_000,
            keepalive_interval_ms: 60_000,
            keepalive_timeout_ms: 20_000,
            default_deadline_ms: 10_000,
            max_deadline_ms: 60_000,
        }
    }
}
