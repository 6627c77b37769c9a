//! Decides when a connection is closed: for silence, idleness, age, to make room, or because its client reads nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::activity::Activity;
use crate::config::settings::Limits;

/// How long a connection without calls stays open after its GOAWAY.
const GOAWAY_GRACE: Duration = Duration::from_secs(5);

/// The least time for which calls may go on, on a connection that is too old.
const AGE_GRACE: Duration = Duration::from_secs(60);

/// The age of a connection, and whether its GOAWAY has been sent.
#[derive(Debug)]
pub(crate) struct ConnectionAge<'l> {
    limits: &'l Limits,
    /// When the GOAWAY was sent.
    goaway_sent_at: Option<Instant>,
    /// Before the GOAWAY: when the connection is too old. After it: when the calls that are still running are ended.
    /// `None` while the server shuts down, because the shutdown ends calls itself.
    ends: Option<Instant>,
    /// When to check again whether the client reads what it is sent.
    next_round: Instant,
}

impl<'l> ConnectionAge<'l> {
    /// For a connection that is opened now.
    pub(crate) fn new(limits: &'l Limits) -> Self {
        let now = Instant::now();
        let ends = Some(now + jittered(Duration::from_millis(limits.connection_age_ms)));
        Self { limits, goaway_sent_at: None, ends, next_round: now + Duration::from_millis(limits.send_timeout_ms) }
    }

    pub(crate) fn goaway_sent(&self) -> bool {
        self.goaway_sent_at.is_some()
    }

    /// Records that the server shuts down and that the GOAWAY has been sent.
    pub(crate) fn drain(&mut self) {
        self.goaway_sent_at = Some(Instant::now());
        self.ends = None;
    }

    /// Sends a GOAWAY if it is time for it. Returns when to call this again; `None` if the connection is to be closed.
    pub(crate) fn step(&mut self, activity: &Activity, send_goaway: &mut dyn FnMut()) -> Option<Instant> {
        let now = Instant::now();
        if self.next_round <= now {
            if activity.stalled() {
                return None;
            }
            self.next_round = now + Duration::from_millis(self.limits.send_timeout_ms);
        }
        let quiet_until = self.quiet_until(activity);
        let over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        // A second request to go after the GOAWAY closes the connection: it has had time to go.
        let makes_room = quiet_until.is_some() && activity.goaway_requests() > usize::from(self.goaway_sent());
        if over(self.ends) || over(quiet_until) || makes_room {
            if self.goaway_sent() || !activity.protocol_is_decided() {
                return None;
            }
            send_goaway();
            self.goaway_sent_at = Some(now);
            self.ends = Some(now + AGE_GRACE.max(Duration::from_millis(self.limits.max_deadline_ms)));
            return self.step(activity, send_goaway);
        }
        // A connection with calls may become idle at any time, and then stays open for at least this long.
        let idle = if self.goaway_sent() { GOAWAY_GRACE } else { Duration::from_millis(self.limits.idle_timeout_ms) };
        let quiet_until = quiet_until.unwrap_or(now + idle);
        Some(self.ends.into_iter().fold(quiet_until.min(self.next_round), Instant::min))
    }

    /// When the connection has been idle for too long; `None` while calls run.
    fn quiet_until(&self, activity: &Activity) -> Option<Instant> {
        let quiet_since = activity.quiet_since()?;
        Some(match self.goaway_sent_at {
            _ if !activity.protocol_is_decided() => {
                quiet_since + 2 * Duration::from_millis(self.limits.receive_timeout_ms)
            }
            None => quiet_since + Duration::from_millis(self.limits.idle_timeout_ms),
            Some(sent_at) => quiet_since.max(sent_at) + GOAWAY_GRACE,
        })
    }
}

/// A duration that varies at random by up to a tenth, so that connections opened together do not close together.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.9 + 0.2 * fastrand::f64())
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
