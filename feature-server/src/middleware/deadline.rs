//! The deadline of a call: it follows from the timeout of the client and from the limits of the server.

use std::time::Duration;

use tokio::time::Instant;

/// When a call has to be over. It is in the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When the answer must have begun.
    pub answer: Instant,
    /// When a stream of answers ends; only when the client has named a deadline.
    pub stream: Option<Instant>,
}

impl Deadline {
    /// The deadline of a call that begins now.
    ///
    /// `asked`: how long the client waits; without it, `default`. No answer takes longer than `max`.
    pub(crate) fn new(asked: Option<Duration>, default: Duration, max: Duration) -> Self {
        let now = Instant::now();
        Self {
            answer: now + asked.unwrap_or(default).min(max),
            // An instant may not reach a deadline in thousands of years, which then does not matter.
            stream: asked.and_then(|asked| now.checked_add(asked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_server_bounds_the_answer_and_the_client_the_stream() {
        let (default, max) = (Duration::from_secs(10), Duration::from_secs(60));
        let now = Instant::now();
        let table = [
            // asked, answer after, stream ends after
            (None, 10, None),
            (Some(1), 1, Some(1)),
            (Some(600), 60, Some(600)),
        ];
        for (asked, answer, stream) in table {
            let deadline = Deadline::new(asked.map(Duration::from_secs), default, max);
            assert_eq!(deadline.answer, now + Duration::from_secs(answer), "{asked:?}");
            assert_eq!(deadline.stream, stream.map(|s| now + Duration::from_secs(s)), "{asked:?}");
        }
        assert!(Deadline::new(Some(Duration::MAX), default, max).stream.is_none());
    }
}
