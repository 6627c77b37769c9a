//! Limits the connections without a call: if there are too many, the longest-idle ones get a GOAWAY.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Duration, Instant, timeout};

use super::activity::Activity;

/// How long a connection may take to close after its GOAWAY; then it is asked again, which closes it.
const GOAWAY_TIMEOUT: Duration = Duration::from_millis(20);

/// How long a new connection waits for others to close before it is closed itself.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The open connections, and how many of them may be idle.
#[derive(Debug)]
pub(crate) struct IdleConnections {
    /// The most idle connections. A quarter more may exist until the next check.
    limit: usize,
    registered: Mutex<Registered>,
    /// Notified whenever a connection closes that was asked to.
    left: Notify,
}

#[derive(Debug, Default)]
struct Registered {
    activities: HashMap<u64, Arc<Activity>>,
    /// How many connections have been registered so far.
    registrations: u64,
    /// How many of the connections that the last check asked to close are still open.
    leaving: usize,
    goaway_at: Option<Instant>,
}

/// The registration of an open connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    connections: Arc<IdleConnections>,
    number: u64,
    activity: Arc<Activity>,
}

impl IdleConnections {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, registered: Mutex::default(), left: Notify::new() })
    }

    /// Registers an open connection. If too many connections are still closing, it waits; `None` if they do not close
    /// in time.
    pub(crate) async fn register(self: &Arc<Self>, activity: Arc<Activity>) -> Option<Registration> {
        if self.is_full() {
            timeout(WAIT_MAX, self.room()).await.ok()?;
        }
        Some(self.insert(activity))
    }

    async fn room(&self) {
        while self.is_full() {
            if timeout(GOAWAY_TIMEOUT, self.left.notified()).await.is_ok() {
                continue;
            }
            let mut registered = self.registered();
            if registered.goaway_at.is_none_or(|at| at.elapsed() >= GOAWAY_TIMEOUT) {
                self.make_room(&mut registered);
            }
        }
        // Each waiting connection wakes the next one.
        self.left.notify_one();
    }

    fn insert(self: &Arc<Self>, activity: Arc<Activity>) -> Registration {
        let mut registered = self.registered();
        let number = registered.registrations;
        registered.registrations += 1;
        registered.activities.insert(number, activity.clone());
        // A check visits all connections, so it runs once for many registrations.
        if number.is_multiple_of(self.quarter() as u64) && registered.activities.len() > self.limit {
            self.make_room(&mut registered);
        }
        drop(registered);
        Registration { connections: self.clone(), number, activity }
    }

    fn is_full(&self) -> bool {
        self.registered().leaving > self.quarter()
    }

    /// Sends GOAWAY to the longest-idle connections, 25 % below the limit, so this runs rarely. A connection that is
    /// still open after an earlier GOAWAY is asked again.
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
        // No code panics between two changes that belong together, so the data is consistent even after a panic.
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut registered = self.connections.registered();
        registered.activities.remove(&self.number);
        if self.activity.goaway_requests() > 0 {
            // A connection that was busy during the last check is not counted.
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
    async fn longest_idle_connections_get_a_goaway() {
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
        assert_eq!(asked(&registered), [0; 12], "nine are idle, and no check has run since");
        busy.clear();
        registered.push({
            let activity = Activity::new();
            (activity.clone(), connections.insert(activity))
        });
        // All 13 are idle now; the calls ended last.
        assert_eq!(asked(&registered), [0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0, 0]);
    }

    #[tokio::test]
    async fn idle_connections_forget_dropped_registrations() {
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
    async fn a_new_connection_waits_until_others_have_closed() {
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
