//! Which revisions a moment allows: the last one that was acknowledged before it, and those that were begun after it.

use std::collections::HashMap;

use super::replay::Replayed;
use crate::fleet::record::{Answer, Nanos, WriteCall};

/// The moments of all writes that are in the log.
pub struct Timeline {
    base: u64,
    /// When a write was acknowledged, and the largest revision up to then.
    acknowledged: Vec<(Nanos, u64)>,
    /// When a write was sent, and the smallest revision from then on.
    begun: Vec<(Nanos, u64)>,
}

impl Timeline {
    /// The writes of a cycle that began at revision `base`.
    pub fn new(base: u64, calls: &HashMap<String, WriteCall>, replayed: &Replayed) -> Self {
        let found = calls.values().filter_map(|call| Some((call, *replayed.found.get(&call.id)?)));
        let (mut acknowledged, mut begun) = (Vec::new(), Vec::new());
        for (call, revision) in found {
            begun.push((call.begin, revision));
            if matches!(call.answer, Answer::Acknowledged(..)) {
                acknowledged.push((call.end, revision));
            }
        }
        acknowledged.sort_unstable();
        begun.sort_unstable();
        let mut largest = base;
        for (_, revision) in &mut acknowledged {
            largest = largest.max(*revision);
            *revision = largest;
        }
        let mut smallest = u64::MAX;
        for (_, revision) in begun.iter_mut().rev() {
            smallest = smallest.min(*revision);
            *revision = smallest;
        }
        Self { base, acknowledged, begun }
    }

    /// The revision up to which everything was acknowledged before this moment.
    pub fn acknowledged_before(&self, moment: Nanos) -> u64 {
        let count = self.acknowledged.partition_point(|(end, _)| *end < moment);
        count.checked_sub(1).map_or(self.base, |last| self.acknowledged[last].1)
    }

    /// The last revision that can have been there at this moment: each later one, or one before it, began afterwards.
    pub fn possible_at(&self, moment: Nanos) -> u64 {
        let count = self.begun.partition_point(|(begin, _)| *begin <= moment);
        self.begun.get(count).map_or(u64::MAX, |(_, revision)| revision - 1)
    }
}
