//! Writers: of scopes of their own, and of scopes that all servers write to at once.

use fastrand::Rng;

use super::caller::Caller;
use crate::fleet::record::Answer;
use crate::fleet::record::Record;
use crate::workload::Values;
use crate::workload::client::Read;
use crate::workload::feature::{Level, Scope};
use crate::workload::random_writes;
use crate::workload::write::{Operation, Set, State, Write};

/// Writes to scopes without other writers. It guesses their states, for sequences that are right most of the time.
pub async fn write_own(mut caller: Caller, scopes: Vec<Scope>) -> Record {
    let mut states: Vec<Option<State>> = vec![None; scopes.len()];
    while caller.goes_on().await {
        let number = caller.rng.usize(..scopes.len());
        let scope = &scopes[number];
        let state = match states[number].take() {
            Some(state) => state,
            None => match read(&mut caller, scope).await {
                Some(state) => state,
                None => continue,
            },
        };
        let write = random_writes::write(&mut caller.rng, scope.level, &state, Values::Mixed);
        let next = write.apply(scope.level, &state);
        states[number] = match caller.write(scope, write).await {
            Answer::Acknowledged(..) => Some(next),
            Answer::Mismatch(actual) if *actual == state.sequence => Some(state),
            // A read will tell.
            Answer::Mismatch(_) | Answer::Refused(_) | Answer::Unknown(_) => None,
        };
    }
    caller.record
}

/// Writes to scopes with other writers, each time on top of what it has just read.
pub async fn write_contested(mut caller: Caller, scopes: Vec<Scope>) -> Record {
    while caller.goes_on().await {
        let scope = &scopes[caller.rng.usize(..scopes.len())];
        let Some(state) = read(&mut caller, scope).await else { continue };
        let write = if caller.rng.u8(..4) == 0 && !state.layer.is_empty() {
            repeated(&state)
        } else {
            contested(&mut caller.rng, scope.level, &state)
        };
        caller.write(scope, write).await;
    }
    caller.record
}

fn contested(rng: &mut Rng, level: Level, state: &State) -> Write {
    Write { operation: Operation::Set(random_writes::contested(rng, level, state)), organization: None }
}

/// A write of what is there already. Unless another writer was faster, it changes nothing: an answer about now.
fn repeated(state: &State) -> Write {
    let set = Set { features: state.layer.clone(), ..Default::default() };
    Write { operation: Operation::Set(set), organization: None }
}

async fn read(caller: &mut Caller, scope: &Scope) -> Option<State> {
    let asks = caller.expects();
    let Read { layer, details } = caller.read(scope, asks).await?.clone();
    let organization = Some(details.owner).filter(|owner| *owner != scope.instance && scope.level == Level::User);
    Some(State { layer, sequence: details.sequence, organization })
}
