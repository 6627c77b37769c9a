//! How a stream ended, from its status.

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::campaign::watch::record::End;

/// How a stream ended with this status. `has_closed`: the last message was `closing`.
pub fn end_of(status: &Status, has_begun: bool, has_closed: bool) -> End {
    let info = status.get_details_error_info();
    let number = |name| info.as_ref().and_then(|info| info.metadata.get(name)?.parse().ok());
    match info.as_ref().map(|info| &*info.reason) {
        Some("REVISION_UNKNOWN" | "HISTORY_CHANGED") => End::TakenBack,
        Some("REVISION_COMPACTED") => match (number("oldest"), number("newest")) {
            (Some(oldest), Some(newest)) => End::Compacted { oldest, newest },
            _ => End::Other(format!("the oldest and the newest revision are not told: {info:?}")),
        },
        Some("WATCH_TOO_SLOW") => End::TooSlow,
        Some(_) if status.code() == Code::Unavailable => match (has_begun, has_closed) {
            (true, false) => End::Other(format!("the server ended it without closing: {status}")),
            (_, true) => End::Closing,
            (false, false) => End::Broken,
        },
        // Before a stream begins, the database may hang until the server gives up.
        _ if status.code() == Code::DeadlineExceeded && !has_begun => End::Broken,
        None if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled) => {
            End::Broken
        }
        _ => End::Other(format!("{status}")),
    }
}
