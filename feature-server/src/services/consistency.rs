//! What a replica of a fleet says of its view, and what a client may ask of it.
//!
//! An answer names the [position](REVISION) that it includes. A Get that names [one](MIN_REVISION) waits until the view
//! has it, so a client reads on any replica what it has written on another one. A server with a store of its own needs
//! none of this: its reads show every acknowledged write.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use feature_store::{CHAIN_PREFIX, Position, Replica};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use tokio::time::timeout_at;

use crate::call_context::deadline::Deadline;
use crate::config::settings::{Store, WhenStale};
use crate::error::Failure;

/// The metadata of an answer with the position that it includes: the revision, a dot, and the first four bytes of its
/// chain in hexadecimal digits.
pub const REVISION: HeaderName = HeaderName::from_static("feature-revision");

/// The metadata of a Get with the position that its answer has to include, or [`LATEST`].
pub const MIN_REVISION: HeaderName = HeaderName::from_static("feature-min-revision");

/// Stands for everything that was acknowledged before the call, by any replica.
const LATEST: &[u8] = b"latest";

/// The wait for a position ends so long before the call's deadline, so that the client gets an error that says why.
const TIME_TO_ANSWER: Duration = Duration::from_millis(50);

/// After so long without a proof by a write, a replica says that it takes no writes.
const WRITES_TIMEOUT: Duration = Duration::from_secs(5);

/// The view of a replica, for those who read it.
pub struct Consistency {
    replica: Arc<Replica>,
    max_staleness: Duration,
    when_stale: WhenStale,
    /// The metadata of the last position, since most answers have the same.
    last: ArcSwap<(Position, HeaderValue)>,
}

/// What the answer to a Get has to include.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Minimum {
    Latest,
    Position { revision: u64, chain: [u8; CHAIN_PREFIX] },
}

impl Consistency {
    /// The view of a replica, with the limits of these settings.
    pub fn new(replica: Arc<Replica>, settings: &Store) -> Self {
        let position = replica.position();
        Self {
            replica,
            max_staleness: Duration::from_millis(settings.max_staleness_ms),
            when_stale: settings.when_stale,
            last: ArcSwap::from_pointee((position, metadata(position))),
        }
    }

    /// The metadata of an answer that is read from now on.
    pub fn revision(&self) -> HeaderValue {
        let position = self.replica.position();
        let last = self.last.load();
        if last.0 == position {
            return last.1.clone();
        }
        let value = metadata(position);
        self.last.store(Arc::new((position, value.clone())));
        value
    }

    /// The view has every write that was acknowledged longer ago than this; `None`: nothing is known of that.
    pub fn staleness(&self) -> Option<Duration> {
        self.replica.staleness()
    }

    /// Whether the view is as new as the settings demand.
    pub fn is_fresh(&self) -> bool {
        self.staleness().is_some_and(|age| age <= self.max_staleness)
    }

    /// Whether the database has taken a write a moment ago.
    pub fn takes_writes(&self) -> bool {
        self.staleness().is_some_and(|age| age <= WRITES_TIMEOUT)
    }

    /// Whether a Get has to wait for [`Consistency::reach`] first.
    ///
    /// # Errors
    /// [`Failure::Stale`] when the view is too old to answer at all.
    pub fn must_wait(&self, headers: &HeaderMap) -> Result<bool, Failure> {
        if self.when_stale == WhenStale::Refuse && !self.is_fresh() {
            return Err(Failure::Stale);
        }
        Ok(headers.contains_key(MIN_REVISION))
    }

    /// Waits until the view has what the metadata of a Get asks for.
    ///
    /// # Errors
    /// [`Failure::Request`] when the metadata is wrong, [`Failure::RevisionNotReached`] when it takes too long, and
    /// [`Failure::HistoryChanged`] when the position is one of another history.
    pub async fn reach(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<(), Failure> {
        let deadline = extensions.get::<Deadline>().map(|deadline| deadline.answer);
        let minimum = minimum(headers)?;
        let reached = async {
            match minimum {
                Minimum::Latest => self.replica.reach_latest().await,
                Minimum::Position { revision, .. } => self.reach_revision(revision).await,
            }
        };
        match deadline.map(|deadline| deadline.checked_sub(TIME_TO_ANSWER).unwrap_or(deadline)) {
            Some(end) => timeout_at(end, reached)
                .await
                .map_err(|_| Failure::RevisionNotReached { revision: self.replica.position().revision })?,
            None => reached.await,
        }
        match minimum {
            Minimum::Position { revision, chain }
                if self.replica.position().revision < revision
                    || self.replica.has_position(revision, &chain) == Some(false) =>
            {
                Err(Failure::HistoryChanged { revision })
            }
            _ => Ok(()),
        }
    }

    /// Waits until the view has a revision, or was proved new later than the call: then it has all of this history. It
    /// is up to the caller to give up.
    pub async fn reach_revision(&self, revision: u64) {
        tokio::select! {
            biased;
            () = self.replica.reach_revision(revision) => {}
            () = self.replica.reach_latest() => {}
        }
    }
}

fn metadata(Position { revision, chain }: Position) -> HeaderValue {
    let prefix: String = chain.as_bytes().iter().take(CHAIN_PREFIX).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("{revision}.{prefix}")).expect("digits and a dot are visible ASCII")
}

fn minimum(headers: &HeaderMap) -> Result<Minimum, Failure> {
    let mut values = headers.get_all(MIN_REVISION).iter();
    match (values.next().map(HeaderValue::as_bytes), values.next()) {
        (Some(LATEST), None) => Ok(Minimum::Latest),
        (Some(value), None) => position(value).ok_or_else(|| {
            Failure::field(
                MIN_REVISION.as_str(),
                "must be 'latest', or the feature-revision of an answer, such as 42.0a1b2c3d",
            )
        }),
        _ => Err(Failure::field(MIN_REVISION.as_str(), "must be there once")),
    }
}

fn position(value: &[u8]) -> Option<Minimum> {
    let (revision, chain) = str::from_utf8(value).ok()?.split_once('.')?;
    let is_plain = revision.bytes().all(|byte| byte.is_ascii_digit())
        && chain.len() == 2 * CHAIN_PREFIX
        && chain.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (revision, chain) = (revision.parse().ok()?, u32::from_str_radix(chain, 16).ok()?);
    is_plain.then_some(Minimum::Position { revision, chain: chain.to_be_bytes() })
}

impl fmt::Debug for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consistency").field("max_staleness", &self.max_staleness).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minimum_is_latest_or_a_position_once() {
        let some = |revision, chain| Some(Minimum::Position { revision, chain });
        // the values of the metadata | what they ask for
        let table: [(&[&str], Option<Minimum>); 12] = [
            (&["latest"], Some(Minimum::Latest)),
            (&["42.0a1b2c3d"], some(42, [0x0a, 0x1b, 0x2c, 0x3d])),
            (&["0.FFFFFFFF"], some(0, [0xff; 4])),
            (&["18446744073709551615.00000000"], some(u64::MAX, [0; 4])),
            (&["18446744073709551616.00000000"], None),
            (&["42"], None),
            (&["42.0a1b2c"], None),
            (&["+42.0a1b2c3d"], None),
            (&["42.+a1b2c3d"], None),
            (&[".0a1b2c3d"], None),
            (&["Latest"], None),
            (&["latest", "latest"], None),
        ];
        for (values, expected) in table {
            let headers = values.iter().map(|value| (MIN_REVISION, HeaderValue::from_static(value))).collect();
            let found = minimum(&headers);
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{values:?}");
            assert!(found.is_ok() || matches!(found, Err(Failure::Request(_))), "{found:?}");
        }
    }
}
