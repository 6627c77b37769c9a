//! The deadline of a call: from the client's `grpc-timeout` and the server's limits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use crate::error::Failure;
use crate::net::shutdown::{Drain, Phase};

/// The header in which a gRPC or gRPC-Web client says how long it waits.
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The deadline of a call, in the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When the answer must have begun.
    pub answer: Instant,
    /// When a stream of answers ends; `None` without a timeout of the client.
    pub stream: Option<Instant>,
}

impl Deadline {
    /// The deadline of a call that begins now.
    ///
    /// `asked`: how long the client waits; `default` if it does not say. No answer takes longer than `max`.
    pub(crate) fn new(asked: Option<Duration>, default: Duration, max: Duration) -> Self {
        let now = Instant::now();
        Self {
            answer: now + asked.unwrap_or(default).min(max),
            // A deadline in thousands of years may not fit into an instant; it then counts as no deadline.
            stream: asked.and_then(|asked| now.checked_add(asked)),
        }
    }
}

/// What ends a call from outside: its deadline, or the end of the drain period.
///
/// The timer is created at the first poll. A call that never waits is not polled here, so it costs nothing.
#[derive(Default)]
pub(crate) struct Ending(Option<Pin<Box<dyn Future<Output = Failure> + Send>>>);

impl Ending {
    /// Ready when the deadline has passed or the drain period has ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>, drain: &Drain) -> Poll<Failure> {
        let wait = self.0.get_or_insert_with(|| {
            let ended = drain.clone().reached(Phase::Ended);
            // Runs outside of the task's budget: a call that has used up the budget would starve the timer.
            Box::pin(unconstrained(async move {
                let Some(deadline) = deadline else {
                    ended.await;
                    return Failure::ShuttingDown;
                };
                tokio::select! {
                    () = tokio::time::sleep_until(deadline) => Failure::DeadlineExceeded,
                    () = ended => Failure::ShuttingDown,
                }
            }))
        });
        wait.as_mut().poll(cx)
    }
}

/// How long the client waits, by its headers.
pub(crate) fn asked(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match parse(value.as_bytes()) {
        Some(timeout) if values.next().is_none() => Ok(Some(timeout)),
        _ => Err(Failure::field(
            GRPC_TIMEOUT.as_str(),
            "must be given once, as 1 to 8 digits and one of the units H, M, S, m, u, n",
        )),
    }
}

/// Parses a timeout of the gRPC protocol.
///
/// The protocol says 'positive', but clients whose time is already up send 0, so 0 is valid.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(number * 60 * 60)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_timeouts() {
        let s = Duration::from_secs;
        let table = [
            // value, meaning
            ("1H", Some(s(3600))),
            ("2M", Some(s(120))),
            ("3S", Some(s(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("9n", Some(Duration::from_nanos(9))),
            ("00000001S", Some(s(1))),
            ("99999999H", Some(s(99_999_999 * 3600))),
            ("0n", Some(s(0))),
            ("100000000S", None),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("1h", None),
            ("-1S", None),
            ("+1S", None),
            ("1.5S", None),
            (" 1S", None),
            ("1 S", None),
            ("1SS", None),
            ("٣S", None),
        ];
        for (value, meaning) in table {
            assert_eq!(parse(value.as_bytes()), meaning, "{value:?}");
        }
    }

    #[test]
    fn names_the_header_when_it_is_malformed_or_given_twice() {
        for values in [&["soon"][..], &["1S", "2S"]] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(GRPC_TIMEOUT, value.parse().unwrap());
            }
            let failure = asked(&headers).unwrap_err();
            assert!(failure.to_string().starts_with("grpc-timeout: "), "{failure}");
        }
    }

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
