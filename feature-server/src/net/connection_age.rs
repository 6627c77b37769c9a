//! Decides when a connection is closed: for silence, idleness, age, to make room, or because its client reads nothing.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use super::activity::{Activity, Heard};
use crate::config::settings::Limits;

/// How long a connection without calls stays open after its GOAWAY.
const GOAWAY_GRACE: Duration = Duration::from_secs(5);

/// How long the calls on a connection that is too old may go on. It is the longest deadline by default.
const AGE_GRACE: Duration = Duration::from_secs(60);

/// The timeouts of a connection.
#[derive(Debug)]
pub(crate) struct Timeouts {
    pub(crate) receive: Duration,
    send: Duration,
    idle: Duration,
    age: Duration,
}

/// The next action on a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Call [`ConnectionAge::step`] again at this time.
    Wait(Instant),
    /// Send a GOAWAY, and call [`ConnectionAge::step`] again at once.
    Goaway,
    /// Close the connection.
    Close,
}

/// The age of a connection, and whether its GOAWAY has been sent.
#[derive(Debug)]
pub(crate) struct ConnectionAge<'t> {
    timeouts: &'t Timeouts,
    /// When the GOAWAY was sent.
    goaway_sent_at: Option<Instant>,
    /// Before the GOAWAY: when the connection is too old. After it: when the calls that are still running are ended.
    /// `None` while the server shuts down, because the shutdown ends calls itself.
    ends: Option<Instant>,
    /// When to check again whether the client reads what it is sent.
    next_round: Instant,
}

impl Timeouts {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            receive: Duration::from_millis(limits.receive_timeout_ms),
            send: Duration::from_millis(limits.send_timeout_ms),
            idle: Duration::from_millis(limits.idle_timeout_ms),
            age: Duration::from_millis(limits.connection_age_ms),
        }
    }
}

impl<'t> ConnectionAge<'t> {
    /// For a connection that is opened now.
    pub(crate) fn new(timeouts: &'t Timeouts) -> Self {
        let now = Instant::now();
        Self {
            timeouts,
            goaway_sent_at: None,
            ends: Some(now + jittered(timeouts.age)),
            next_round: now + timeouts.send,
        }
    }

    pub(crate) fn goaway_sent(&self) -> bool {
        self.goaway_sent_at.is_some()
    }

    /// Records that the server shuts down and that the GOAWAY has been sent.
    pub(crate) fn drain(&mut self) {
        self.goaway_sent_at = Some(Instant::now());
        self.ends = None;
    }

    pub(crate) fn step(&mut self, activity: &Activity) -> Step {
        let now = Instant::now();
        if self.next_round <= now {
            if activity.stalled() {
                return Step::Close;
            }
            self.next_round = now + self.timeouts.send;
        }
        let quiet_until = self.quiet_until(activity);
        let over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        // A second request to go after the GOAWAY closes the connection: it has had time to go.
        let makes_room = quiet_until.is_some() && activity.goaway_requests() > usize::from(self.goaway_sent());
        if over(self.ends) || over(quiet_until) || makes_room {
            if self.goaway_sent() || activity.heard() != Heard::Enough {
                return Step::Close;
            }
            self.goaway_sent_at = Some(now);
            self.ends = Some(now + AGE_GRACE);
            return Step::Goaway;
        }
        // A connection with calls may become idle at any time, and then stays open for at least this long.
        let quiet_until =
            quiet_until.unwrap_or_else(|| now + if self.goaway_sent() { GOAWAY_GRACE } else { self.timeouts.idle });
        Step::Wait(self.ends.into_iter().fold(quiet_until.min(self.next_round), Instant::min))
    }

    /// When the connection has been idle for too long; `None` while calls run.
    fn quiet_until(&self, activity: &Activity) -> Option<Instant> {
        let quiet_since = activity.quiet_since()?;
        Some(match (activity.heard(), self.goaway_sent_at) {
            (Heard::Nothing, _) => quiet_since + self.timeouts.receive,
            (Heard::HalfPreface, _) => quiet_since + 2 * self.timeouts.receive,
            (Heard::Enough, None) => quiet_since + self.timeouts.idle,
            (Heard::Enough, Some(told)) => quiet_since.max(told) + GOAWAY_GRACE,
        })
    }
}

/// A duration that varies at random by up to a tenth, so that connections opened together do not close together.
fn jittered(time: Duration) -> Duration {
    // The only source of randomness in the standard library; quality does not matter here.
    let chance = RandomState::new().build_hasher().finish() as u32;
    time.mul_f64(0.9 + 0.2 * f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_differ_by_a_tenth_at_most() {
        let hour = Duration::from_secs(3600);
        let ages: Vec<_> = (0..1000).map(|_| jittered(hour).as_secs()).collect();
        let (least, most) = (ages.iter().min().unwrap(), ages.iter().max().unwrap());
        assert!((3240..3300).contains(least) && (3900..=3960).contains(most), "{least} to {most}");
    }
}
