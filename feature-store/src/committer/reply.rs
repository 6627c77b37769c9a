//! Who waits for a write, and how they are told what became of it. What became of it is not known here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use feature_core::Details;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::CommitError;

type Outcome = Result<Details, CommitError>;

/// Where a caller gets the outcome of its write.
pub(crate) type Answered = oneshot::Receiver<Outcome>;

/// Somebody who waits for the outcome of a write.
#[derive(Debug)]
pub(crate) struct Caller {
    answer: oneshot::Sender<Outcome>,
    /// Where it waits; none outside of any runtime.
    runtime: Option<Handle>,
}

impl Caller {
    /// Somebody who waits in the runtime of this thread.
    pub(super) fn new() -> (Self, Answered) {
        let (answer, answered) = oneshot::channel();
        (Self { answer, runtime: Handle::try_current().ok() }, answered)
    }

    /// Whether it no longer waits.
    pub(super) fn has_gone(&self) -> bool {
        self.answer.is_closed()
    }

    fn tell(self, outcome: Outcome) {
        // Who has gone meanwhile needs no answer.
        let _ = self.answer.send(outcome);
    }
}

/// Tells callers what became of their writes. To wake a thread costs a system call, so those who wait in one runtime are
/// told there, and their thread is woken once for all of them.
pub(super) fn tell(outcomes: impl Iterator<Item = (Caller, Outcome)>) {
    let mut elsewhere = HashMap::new();
    for (mut caller, outcome) in outcomes {
        let Some(runtime) = caller.runtime.take() else {
            caller.tell(outcome);
            continue;
        };
        match elsewhere.entry(runtime.id()) {
            Entry::Vacant(entry) => drop(entry.insert((runtime, vec![(caller, outcome)]))),
            Entry::Occupied(mut entry) => entry.get_mut().1.push((caller, outcome)),
        }
    }
    for (runtime, outcomes) in elsewhere.into_values() {
        let is_alone = outcomes.len() == 1;
        let tell = move || outcomes.into_iter().for_each(|(caller, outcome)| caller.tell(outcome));
        if is_alone {
            tell();
        } else {
            runtime.spawn(async { tell() });
        }
    }
}
