//! Which connections make room when too many are open without a call: those that have been without one for longest. How
//! a connection goes is not known here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::activity::Activity;

/// The connections that are open, and how many of them may be without a call.
#[derive(Debug)]
pub(super) struct Crowd {
    /// So many may be without a call; up to a quarter more until it is noticed.
    limit: usize,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    activities: HashMap<u64, Arc<Activity>>,
    /// How many there have been.
    joined: u64,
}

/// The membership of an open connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Member {
    crowd: Arc<Crowd>,
    number: u64,
}

impl Crowd {
    /// * `limit`: the connections that may be without a call.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, members: Mutex::default() })
    }

    /// Takes an open connection in. Others may be asked to leave for it.
    pub(super) fn join(self: &Arc<Self>, activity: Arc<Activity>) -> Member {
        let mut members = self.members();
        let number = members.joined;
        members.joined += 1;
        members.activities.insert(number, activity);
        // Looking at all of them takes time, so it is done once for many.
        if number.is_multiple_of(self.a_quarter() as u64) && members.activities.len() > self.limit {
            self.make_room(&members);
        }
        Member { crowd: self.clone(), number }
    }

    /// Asks those to leave that are too many, and some more, so that it is not to be done again at once. Who was asked
    /// before and is still here is asked again.
    fn make_room(&self, members: &Members) {
        let mut quiet: Vec<_> =
            members.activities.values().filter_map(|activity| Some((activity.quiet_since()?, activity))).collect();
        if quiet.len() <= self.limit {
            return;
        }
        quiet.sort_unstable_by_key(|(since, _)| *since);
        let leave = quiet.len() - (self.limit - self.limit / 4);
        quiet[..leave].iter().for_each(|(_, activity)| activity.ask_to_leave());
    }

    fn a_quarter(&self) -> usize {
        (self.limit / 4).max(1)
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        // Nothing panics between two changes that belong together.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crowd.members().activities.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_that_are_quiet_for_longest_leave() {
        let crowd = Crowd::new(8);
        let mut members = Vec::new();
        let mut busy = Vec::new();
        for number in 0..12 {
            let activity = Activity::new();
            if number % 4 == 0 {
                busy.push(activity.begin_call());
            }
            members.push((activity.clone(), crowd.join(activity)));
            advance(Duration::from_secs(1)).await;
        }
        let asked = |members: &[(Arc<Activity>, Member)]| {
            members.iter().map(|(activity, _)| activity.asked_to_leave()).collect::<Vec<_>>()
        };
        assert_eq!(asked(&members), [0; 12], "nine are quiet, and nobody has looked since");
        busy.clear();
        members.push({
            let activity = Activity::new();
            (activity.clone(), crowd.join(activity))
        });
        // All 13 are quiet now; the calls have ended last.
        assert_eq!(asked(&members), [0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0, 0]);
    }

    #[tokio::test]
    async fn who_is_gone_does_not_count() {
        let crowd = Crowd::new(4);
        for _ in 0..100 {
            let activity = Activity::new();
            let member = crowd.join(activity.clone());
            assert_eq!(activity.asked_to_leave(), 0);
            drop(member);
        }
        assert!(crowd.members().activities.is_empty());
    }
}
