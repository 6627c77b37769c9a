//! Which connections make room when too many are open without a call: those that have been without one for longest. How
//! a connection goes is not known here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Duration, Instant, timeout};

use super::activity::Activity;

/// How long those who were asked to leave have for it, before they are asked once more, which ends them.
const LEAVING: Duration = Duration::from_millis(20);

/// How long a connection waits at most until others have left, before it has to go itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// The connections that are open, and how many of them may be without a call.
#[derive(Debug)]
pub(crate) struct Crowd {
    /// So many may be without a call; up to a quarter more until it is noticed.
    limit: usize,
    members: Mutex<Members>,
    /// Told whenever one leaves that was asked to.
    left: Notify,
}

#[derive(Debug, Default)]
struct Members {
    activities: HashMap<u64, Arc<Activity>>,
    /// How many there have been.
    joined: u64,
    /// How many of those are still here that were asked to leave when it was last looked.
    leaving: usize,
    asked_at: Option<Instant>,
}

/// The membership of an open connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    crowd: Arc<Crowd>,
    number: u64,
    activity: Arc<Activity>,
}

impl Crowd {
    /// * `limit`: the connections that may be without a call.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, members: Mutex::default(), left: Notify::new() })
    }

    /// Takes an open connection in. Others may be asked to leave for it, and where too many are still at that, it waits;
    /// none when they come faster than they leave.
    pub(crate) async fn join(self: &Arc<Self>, activity: Arc<Activity>) -> Option<Member> {
        if self.is_full() {
            timeout(PATIENCE, self.room()).await.ok()?;
        }
        Some(self.take_in(activity))
    }

    async fn room(&self) {
        while self.is_full() {
            if timeout(LEAVING, self.left.notified()).await.is_err() {
                self.ask_again();
            }
        }
        // Where several wait, each lets the next one in.
        self.left.notify_one();
    }

    fn take_in(self: &Arc<Self>, activity: Arc<Activity>) -> Member {
        let mut members = self.members();
        let number = members.joined;
        members.joined += 1;
        members.activities.insert(number, activity.clone());
        // Looking at all of them takes time, so it is done once for many.
        if number.is_multiple_of(self.a_quarter() as u64) && members.activities.len() > self.limit {
            self.make_room(&mut members);
        }
        drop(members);
        Member { crowd: self.clone(), number, activity }
    }

    fn is_full(&self) -> bool {
        self.members().leaving > self.a_quarter()
    }

    fn ask_again(&self) {
        let mut members = self.members();
        if members.asked_at.is_none_or(|at| at.elapsed() >= LEAVING) {
            self.make_room(&mut members);
        }
    }

    /// Asks those to leave that are too many, and some more, so that it is not to be done again at once. Who was asked
    /// before and is still here is asked again.
    fn make_room(&self, members: &mut Members) {
        members.asked_at = Some(Instant::now());
        let mut quiet: Vec<_> =
            members.activities.values().filter_map(|activity| Some((activity.quiet_since()?, activity))).collect();
        members.leaving = 0;
        if quiet.len() <= self.limit {
            return;
        }
        quiet.sort_unstable_by_key(|(since, _)| *since);
        let leave = quiet.len() - (self.limit - self.limit / 4);
        quiet[..leave].iter().for_each(|(_, activity)| activity.ask_to_leave());
        members.leaving = leave;
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
        let mut members = self.crowd.members();
        members.activities.remove(&self.number);
        if self.activity.asked_to_leave() > 0 {
            // One that was busy when it was last looked may not be among them.
            members.leaving = members.leaving.saturating_sub(1);
            drop(members);
            self.crowd.left.notify_one();
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
        let crowd = Crowd::new(8);
        let mut members = Vec::new();
        let mut busy = Vec::new();
        for number in 0..12 {
            let activity = Activity::new();
            if number % 4 == 0 {
                busy.push(activity.begin_call());
            }
            members.push((activity.clone(), crowd.take_in(activity)));
            advance(Duration::from_secs(1)).await;
        }
        let asked = |members: &[(Arc<Activity>, Member)]| {
            members.iter().map(|(activity, _)| activity.asked_to_leave()).collect::<Vec<_>>()
        };
        assert_eq!(asked(&members), [0; 12], "nine are quiet, and nobody has looked since");
        busy.clear();
        members.push({
            let activity = Activity::new();
            (activity.clone(), crowd.take_in(activity))
        });
        // All 13 are quiet now; the calls have ended last.
        assert_eq!(asked(&members), [0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0, 0]);
    }

    #[tokio::test]
    async fn who_is_gone_does_not_count() {
        let crowd = Crowd::new(4);
        for _ in 0..100 {
            let activity = Activity::new();
            let member = crowd.join(activity.clone()).await.unwrap();
            assert_eq!(activity.asked_to_leave(), 0);
            drop(member);
        }
        assert!(crowd.members().activities.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_waits_until_others_have_left() {
        let crowd = Crowd::new(8);
        let mut members: Vec<_> = (0..11).map(|_| crowd.take_in(Activity::new())).collect();
        let next = || crowd.join(Activity::new());
        assert!(next().await.is_none(), "five are asked again and again, and stay");
        let mut leaving: Vec<_> = members.extract_if(.., |member| member.activity.asked_to_leave() > 0).collect();
        assert_eq!(leaving.len(), 5);
        let (next, ()) = tokio::join!(next(), async { leaving.truncate(2) });
        assert!(next.is_some(), "two of them are still here, which is as many as may be");
    }
}
