//! Which connections make room when too many are open without a call: those that have been without one for longest. How
//! a connection goes is not known here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Duration, Instant, timeout};

use super::activity::Activity;

/// How long those who were asked to leave have for it, before they are asked once more, which ends them.
const GOAWAY_TIMEOUT: Duration = Duration::from_millis(20);

/// How long a connection waits at most until others have left, before it has to go itself.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The connections that are open, and how many of them may be without a call.
#[derive(Debug)]
pub(crate) struct IdleConnections {
    /// So many may be without a call; up to a quarter more until it is noticed.
    limit: usize,
    registered: Mutex<Registered>,
    /// Told whenever one leaves that was asked to.
    left: Notify,
}

#[derive(Debug, Default)]
struct Registered {
    activities: HashMap<u64, Arc<Activity>>,
    /// How many there have been.
    registrations: u64,
    /// How many of those are still here that were asked to leave when it was last looked.
    leaving: usize,
    goaway_at: Option<Instant>,
}

/// The membership of an open connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    connections: Arc<IdleConnections>,
    number: u64,
    activity: Arc<Activity>,
}

impl IdleConnections {
    /// * `limit`: the connections that may be without a call.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, registered: Mutex::default(), left: Notify::new() })
    }

    /// Takes an open connection in. Others may be asked to leave for it, and where too many are still at that, it waits;
    /// none when they come faster than they leave.
    pub(crate) async fn register(self: &Arc<Self>, activity: Arc<Activity>) -> Option<Registration> {
        if self.is_full() {
            timeout(WAIT_MAX, self.room()).await.ok()?;
        }
        Some(self.insert(activity))
    }

    async fn room(&self) {
        while self.is_full() {
            if timeout(GOAWAY_TIMEOUT, self.left.notified()).await.is_err() {
                self.close_again();
            }
        }
        // Where several wait, each lets the next one in.
        self.left.notify_one();
    }

    fn insert(self: &Arc<Self>, activity: Arc<Activity>) -> Registration {
        let mut registered = self.registered();
        let number = registered.registrations;
        registered.registrations += 1;
        registered.activities.insert(number, activity.clone());
        // Looking at all of them takes time, so it is done once for many.
        if number.is_multiple_of(self.quarter() as u64) && registered.activities.len() > self.limit {
            self.make_room(&mut registered);
        }
        drop(registered);
        Registration { connections: self.clone(), number, activity }
    }

    fn is_full(&self) -> bool {
        self.registered().leaving > self.quarter()
    }

    fn close_again(&self) {
        let mut registered = self.registered();
        if registered.goaway_at.is_none_or(|at| at.elapsed() >= GOAWAY_TIMEOUT) {
            self.make_room(&mut registered);
        }
    }

    /// Asks those to leave that are too many, and some more, so that it is not to be done again at once. Who was asked
    /// before and is still here is asked again.
    fn make_room(&self, registered: &mut Registered) {
        registered.goaway_at = Some(Instant::now());
        let mut quiet: Vec<_> =
            registered.activities.values().filter_map(|activity| Some((activity.quiet_since()?, activity))).collect();
        registered.leaving = 0;
        if quiet.len() <= self.limit {
            return;
        }
        quiet.sort_unstable_by_key(|(since, _)| *since);
        let leave = quiet.len() - (self.limit - self.limit / 4);
        quiet[..leave].iter().for_each(|(_, activity)| activity.request_goaway());
        registered.leaving = leave;
    }

    fn quarter(&self) -> usize {
        (self.limit / 4).max(1)
    }

    fn registered(&self) -> MutexGuard<'_, Registered> {
        // Nothing panics between two changes that belong together.
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut registered = self.connections.registered();
        registered.activities.remove(&self.number);
        if self.activity.goaway_requests() > 0 {
            // One that was busy when it was last looked may not be among them.
            registered.leaving = registered.leaving.saturating_sub(1);
            drop(registered);
            self.connections.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_that_are_quiet_for_longest_leave() {
        let connections = IdleConnections::new(8);
        let mut registered = Vec::new();
        let mut busy = Vec::new();
        for number in 0..12 {
            let activity = Activity::new();
            if number % 4 == 0 {
                busy.push(activity.begin_call());
            }
            registered.push((activity.clone(), connections.insert(activity)));
            advance(Duration::from_secs(1)).await;
        }
        let asked = |registered: &[(Arc<Activity>, Registration)]| {
            registered.iter().map(|(activity, _)| activity.goaway_requests()).collect::<Vec<_>>()
        };
        assert_eq!(asked(&registered), [0; 12], "nine are quiet, and nobody has looked since");
        busy.clear();
        registered.push({
            let activity = Activity::new();
            (activity.clone(), connections.insert(activity))
        });
        // All 13 are quiet now; the calls have ended last.
        assert_eq!(asked(&registered), [0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0, 0]);
    }

    #[tokio::test]
    async fn who_is_gone_does_not_count() {
        let connections = IdleConnections::new(4);
        for _ in 0..100 {
            let activity = Activity::new();
            let registration = connections.register(activity.clone()).await.unwrap();
            assert_eq!(activity.goaway_requests(), 0);
            drop(registration);
        }
        assert!(connections.registered().activities.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_waits_until_others_have_left() {
        let connections = IdleConnections::new(8);
        let mut registered: Vec<_> = (0..11).map(|_| connections.insert(Activity::new())).collect();
        let next = || connections.register(Activity::new());
        assert!(next().await.is_none(), "five are asked again and again, and stay");
        let mut leaving: Vec<_> =
            registered.extract_if(.., |registration| registration.activity.goaway_requests() > 0).collect();
        assert_eq!(leaving.len(), 5);
        let (next, ()) = tokio::join!(next(), async { leaving.truncate(2) });
        assert!(next.is_some(), "two of them are still here, which is as many as may be");
    }
}
