//! The states of a client, and the age of its values. Every instant is an argument.

use std::time::{Duration, Instant};

/// What an application gets from a client. The names are those of a provider in OpenFeature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There are no values yet.
    NotReady,
    /// The values are those of the server.
    Ready,
    /// The server has been silent for three heartbeats. The values are the last ones.
    Stale,
    /// The first values did not come in time, or the client has been stale for too long. It goes on connecting.
    Error,
    /// The client has stopped, because of a failure that no repetition mends.
    Fatal,
}

/// How long each state lasts at most without a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the start to the first values.
    pub(super) start: Duration,
    /// From the last message of any kind to [`State::Stale`].
    pub(super) silence: Duration,
    /// From there to [`State::Error`].
    pub(super) stale: Duration,
}

/// What a message says about the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// Nothing: it is a piece of a state, or the end of a stream.
    Alive,
    /// Nothing has changed; the server shows what was true this long ago.
    Unchanged { age: Option<Duration>, synced: bool },
    /// With it the client has all values.
    Synced,
}

/// A state, with the instant that its end depends on.
#[derive(Debug, Clone, Copy)]
enum Phase {
    NotReady { since: Instant },
    Ready { last_message: Instant },
    Stale { since: Instant },
    Error,
    Fatal,
}

/// The state of a client, and how fresh its values are.
#[derive(Debug)]
pub(super) struct Freshness {
    limits: Limits,
    phase: Phase,
    /// When a message last said that the client has all values.
    confirmed: Option<Instant>,
    /// The age in the last heartbeat.
    server_age: Duration,
}

impl Freshness {
    /// The freshness of a client that starts now.
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        let phase = Phase::NotReady { since: now };
        Self { limits, phase, confirmed: None, server_age: Duration::ZERO }
    }

    /// A message has come.
    pub(super) fn message(&mut self, sign: Sign, now: Instant) {
        self.phase = match (self.phase.at(&self.limits, now), sign) {
            (Phase::Fatal, _) => Phase::Fatal,
            (_, Sign::Synced | Sign::Unchanged { synced: true, .. }) | (Phase::Ready { .. }, _) => {
                Phase::Ready { last_message: now }
            }
            (other, _) => other,
        };
        if let Sign::Unchanged { age, .. } = sign {
            self.server_age = age.unwrap_or_default();
        }
        // Before the first values there is nothing whose age counts.
        if sign == Sign::Synced || (sign != Sign::Alive && self.confirmed.is_some()) {
            self.confirmed = Some(now);
        }
    }

    /// The client has stopped.
    pub(super) fn stop(&mut self) {
        self.phase = Phase::Fatal;
    }

    /// The state.
    pub(super) fn state(&self, now: Instant) -> State {
        match self.phase.at(&self.limits, now) {
            Phase::NotReady { .. } => State::NotReady,
            Phase::Ready { .. } => State::Ready,
            Phase::Stale { .. } => State::Stale,
            Phase::Error => State::Error,
            Phase::Fatal => State::Fatal,
        }
    }

    /// When the state changes if no message comes.
    pub(super) fn next_change(&self, now: Instant) -> Option<Instant> {
        self.phase.at(&self.limits, now).ends(&self.limits)
    }

    /// How old the values may be; `None` without values.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.confirmed.map(|confirmed| now.saturating_duration_since(confirmed) + self.server_age)
    }
}

impl Phase {
    /// The phase that this one has become without a message.
    fn at(self, limits: &Limits, now: Instant) -> Self {
        match (self, self.ends(limits)) {
            (Self::Ready { .. }, Some(end)) if now >= end => Self::Stale { since: end }.at(limits, now),
            (_, Some(end)) if now >= end => Self::Error,
            _ => self,
        }
    }

    /// A limit that no clock reaches is none.
    fn ends(self, limits: &Limits) -> Option<Instant> {
        match self {
            Self::NotReady { since } => since.checked_add(limits.start),
            Self::Ready { last_message } => last_message.checked_add(limits.silence),
            Self::Stale { since } => since.checked_add(limits.stale),
            Self::Error | Self::Fatal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { start: Duration::from_secs(10), silence: Duration::from_secs(45), stale: Duration::from_secs(300) };

    /// Messages, each with the second in which it comes.
    type Messages = &'static [(u64, Sign)];

    fn after(messages: Messages, start: Instant) -> Freshness {
        let mut freshness = Freshness::new(LIMITS, start);
        for (second, sign) in messages {
            freshness.message(*sign, start + Duration::from_secs(*second));
        }
        freshness
    }

    /// Heartbeats of a server that is up to date, and of one of a fleet that has lost its database.
    const CURRENT: Sign = Sign::Unchanged { age: Some(Duration::ZERO), synced: false };
    const BEHIND: Sign = Sign::Unchanged { age: Some(Duration::from_secs(60)), synced: false };

    #[test]
    fn states_follow_messages_and_time() {
        use State::*;
        const RESUMED: Sign = Sign::Unchanged { age: None, synced: true };
        // the messages, the second of the look, the state, the second of the next change
        let table: [(Messages, u64, State, Option<u64>); 18] = [
            (&[], 0, NotReady, Some(10)),
            (&[], 9, NotReady, Some(10)),
            (&[], 10, Error, None),
            (&[(1, Sign::Alive)], 9, NotReady, Some(10)),
            (&[(1, CURRENT)], 10, Error, None),
            (&[(1, Sign::Synced)], 45, Ready, Some(46)),
            (&[(1, Sign::Synced)], 46, Stale, Some(346)),
            (&[(1, Sign::Synced)], 345, Stale, Some(346)),
            (&[(1, Sign::Synced)], 346, Error, None),
            // The first values may be late.
            (&[(11, Sign::Synced)], 11, Ready, Some(56)),
            // A message of any kind counts.
            (&[(1, Sign::Synced), (40, CURRENT)], 84, Ready, Some(85)),
            (&[(1, Sign::Synced), (40, Sign::Alive)], 84, Ready, Some(85)),
            // After silence only a synced one does.
            (&[(1, Sign::Synced), (50, CURRENT)], 50, Stale, Some(346)),
            (&[(1, Sign::Synced), (50, Sign::Alive)], 50, Stale, Some(346)),
            (&[(1, Sign::Synced), (50, Sign::Synced)], 94, Ready, Some(95)),
            (&[(1, Sign::Synced), (50, RESUMED)], 94, Ready, Some(95)),
            (&[(1, Sign::Synced), (400, RESUMED)], 400, Ready, Some(445)),
            (&[(1, Sign::Synced), (400, CURRENT)], 400, Error, None),
        ];
        for (messages, second, state, change) in table {
            let start = Instant::now();
            let at = |second: u64| start + Duration::from_secs(second);
            let mut freshness = after(messages, start);
            let seen = (freshness.state(at(second)), freshness.next_change(at(second)));
            assert_eq!(seen, (state, change.map(at)), "{messages:?} at {second} s");
            freshness.stop();
            freshness.message(Sign::Synced, at(second));
            assert_eq!((freshness.state(at(500)), freshness.next_change(at(500))), (Fatal, None));
        }
    }

    #[test]
    fn values_age_from_the_last_word_of_the_server() {
        // the messages, the age in the 100th second
        let table: [(Messages, Option<u64>); 7] = [
            (&[], None),
            (&[(1, BEHIND)], None),
            (&[(1, Sign::Alive)], None),
            (&[(1, Sign::Synced)], Some(99)),
            (&[(1, Sign::Synced), (90, Sign::Alive)], Some(99)),
            (&[(1, Sign::Synced), (90, CURRENT)], Some(10)),
            (&[(1, Sign::Synced), (90, BEHIND)], Some(70)),
        ];
        for (messages, age) in table {
            let start = Instant::now();
            let age_s = after(messages, start).age(start + Duration::from_secs(100)).map(|age| age.as_secs());
            assert_eq!(age_s, age, "{messages:?}");
        }
    }
}
