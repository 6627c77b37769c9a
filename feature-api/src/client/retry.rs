//! How a stream ends, and what the client does then: the table of docs/watch.md.

use std::error::Error;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The pause before the first attempt is at most this long, that before the next one twice as long, and so on.
const PAUSE: Duration = Duration::from_millis(500);

/// No pause is longer, unless the server has named it.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A server without room gets the pauses of so many attempts later.
const EXHAUSTED_ATTEMPTS: u32 = 4;

/// Why a stream has ended, or has not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamEnd {
    /// The server stops, or closes the connection because of its age.
    #[error("the server closes the connection")]
    Closing {
        /// How long the client waits before it comes again.
        retry_after: Option<Duration>,
    },
    /// There was no message for three heartbeats, or none with all values in time.
    #[error("the server is silent")]
    Silence,
    /// The client cannot connect, or the connection broke.
    #[error("the connection fails: {0}")]
    Connection(String),
    /// The server has refused or ended the stream with a status.
    #[error("the server ends the stream with {code:?} {reason}: {message}")]
    Status {
        /// Its code.
        code: Code,
        /// The reason in its `google.rpc.ErrorInfo`, such as `STORE_CHANGED`; empty without one.
        reason: String,
        /// Its text, for developers.
        message: String,
        /// The delay in its `google.rpc.RetryInfo`.
        retry_after: Option<Duration>,
    },
}

/// What follows the end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another stream, after a pause, from the resume token.
    Continue,
    /// Another stream, after a pause, without the token.
    BeginAnew,
    /// Nothing: no repetition helps.
    Stop,
}

impl StreamEnd {
    /// What follows.
    pub(super) fn next(&self) -> Next {
        let Self::Status { code, reason, .. } = self else { return Next::Continue };
        match (code, &**reason) {
            (_, "STORE_CHANGED" | "HISTORY_CHANGED" | "REVISION_UNKNOWN" | "REVISION_COMPACTED") => Next::BeginAnew,
            (_, "ANSWER_TOO_LARGE") => Next::Stop,
            (Code::InvalidArgument | Code::PermissionDenied | Code::NotFound, _) => Next::Stop,
            // The server has no watches, or a message is larger than the client takes.
            (Code::Unimplemented | Code::OutOfRange, _) => Next::Stop,
            _ => Next::Continue,
        }
    }

    /// The pause before the next attempt.
    ///
    /// * `attempts`: how many have failed since the last message with all values.
    /// * `chance`: from 0 to 1, so that the clients of a server do not all come at once.
    pub(super) fn pause(&self, attempts: u32, chance: f64) -> Duration {
        match self {
            Self::Closing { retry_after: Some(retry_after) } => *retry_after,
            Self::Status { code, retry_after, .. } => {
                let more = if *code == Code::ResourceExhausted { EXHAUSTED_ATTEMPTS } else { 0 };
                growing(attempts.saturating_add(more), chance).max(retry_after.unwrap_or_default())
            }
            Self::Closing { retry_after: None } | Self::Silence | Self::Connection(_) => growing(attempts, chance),
        }
    }
}

impl From<Status> for StreamEnd {
    fn from(status: Status) -> Self {
        Self::Status {
            code: status.code(),
            reason: status.get_details_error_info().map(|info| info.reason).unwrap_or_default(),
            message: status.message().to_owned(),
            retry_after: status.get_details_retry_info().and_then(|info| info.retry_delay),
        }
    }
}

impl From<tonic::transport::Error> for StreamEnd {
    fn from(error: tonic::transport::Error) -> Self {
        // Its own text is 'transport error', and the cause says which.
        let mut cause: &dyn Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Connection(cause.to_string())
    }
}

fn growing(attempts: u32, chance: f64) -> Duration {
    PAUSE.saturating_mul(2_u32.saturating_pow(attempts)).min(PAUSE_MAX).mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn status(code: Code, reason: &str, retry_after_ms: Option<u64>) -> StreamEnd {
        let mut details = ErrorDetails::new();
        if !reason.is_empty() {
            details.set_error_info(reason, "zitadel.feature.v2", []);
        }
        if let Some(retry_after_ms) = retry_after_ms {
            details.set_retry_info(Some(Duration::from_millis(retry_after_ms)));
        }
        Status::with_error_details(code, "a text", details).into()
    }

    #[test]
    fn the_end_of_a_stream_says_what_follows() {
        let table = [
            // code, reason, what follows
            (Code::Unavailable, "STORE_UNAVAILABLE", Next::Continue),
            (Code::Unavailable, "", Next::Continue),
            (Code::Unknown, "", Next::Continue),
            (Code::Internal, "INTERNAL", Next::Continue),
            (Code::Cancelled, "", Next::Continue),
            (Code::ResourceExhausted, "TOO_MANY_WATCHES", Next::Continue),
            (Code::Unauthenticated, "TOKEN_EXPIRED", Next::Continue),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", Next::Continue),
            (Code::FailedPrecondition, "STORE_CHANGED", Next::BeginAnew),
            (Code::FailedPrecondition, "HISTORY_CHANGED", Next::BeginAnew),
            (Code::FailedPrecondition, "REVISION_UNKNOWN", Next::BeginAnew),
            (Code::FailedPrecondition, "REVISION_COMPACTED", Next::BeginAnew),
            (Code::FailedPrecondition, "ANSWER_TOO_LARGE", Next::Stop),
            (Code::InvalidArgument, "FIELD_INVALID", Next::Stop),
            (Code::PermissionDenied, "PERMISSION_MISSING", Next::Stop),
            (Code::NotFound, "", Next::Stop),
            (Code::Unimplemented, "", Next::Stop),
            (Code::OutOfRange, "", Next::Stop),
        ];
        for (code, reason, next) in table {
            assert_eq!(status(code, reason, None).next(), next, "{code:?} {reason}");
        }
        for end in [StreamEnd::Closing { retry_after: None }, StreamEnd::Silence, StreamEnd::Connection("x".into())] {
            assert_eq!(end.next(), Next::Continue, "{end}");
        }
    }

    #[test]
    fn pauses_grow_up_to_half_a_minute() {
        let closing = |ms: Option<u64>| StreamEnd::Closing { retry_after: ms.map(Duration::from_millis) };
        let unavailable = |ms: Option<u64>| status(Code::Unavailable, "", ms);
        let exhausted = |ms: Option<u64>| status(Code::ResourceExhausted, "", ms);
        let table = [
            // end, attempts, chance, pause in milliseconds
            (StreamEnd::Silence, 0, 0.0, 0),
            (StreamEnd::Silence, 0, 1.0, 500),
            (StreamEnd::Silence, 1, 1.0, 1_000),
            (StreamEnd::Silence, 3, 0.5, 2_000),
            (StreamEnd::Silence, 5, 1.0, 16_000),
            (StreamEnd::Silence, 6, 1.0, 30_000),
            (StreamEnd::Silence, u32::MAX, 1.0, 30_000),
            (StreamEnd::Connection(String::new()), 1, 1.0, 1_000),
            (unavailable(None), 1, 1.0, 1_000),
            (unavailable(Some(700)), 0, 1.0, 700),
            (unavailable(Some(700)), 1, 1.0, 1_000),
            (exhausted(None), 0, 1.0, 8_000),
            (exhausted(None), u32::MAX, 1.0, 30_000),
            (exhausted(Some(60_000)), 0, 1.0, 60_000),
            (closing(None), 0, 1.0, 500),
            (closing(Some(4_000)), 0, 0.0, 4_000),
            (closing(Some(0)), 9, 1.0, 0),
        ];
        for (end, attempts, chance, pause_ms) in table {
            assert_eq!(end.pause(attempts, chance), Duration::from_millis(pause_ms), "{end} {attempts} {chance}");
        }
    }
}
