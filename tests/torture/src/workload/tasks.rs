//! Client tasks: writers with scopes of their own, writers that compete for scopes, and readers. Each has its own
//! connection and runs until it must stop or an answer fails to arrive.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fastrand::Rng;
use tonic::{Code, Status};

use super::client::Client;
use super::random_writes;
use super::write::{Operation, State, Write};
use super::{Shared, SharedHistory};

/// The outcome of a call, as its answer shows it.
enum Outcome<T> {
    Accepted(T),
    /// The server did not write.
    Refused(Status),
    /// The server may write now, a little later, or never.
    Unknown,
}

/// Writes to scopes without other writers, so that every answer is predictable.
pub async fn write_own(mut client: Client, shared: Arc<Shared>, scopes: Vec<SharedHistory>, mut rng: Rng) {
    while !shared.is_stopping() {
        let history = &scopes[rng.usize(..scopes.len())];
        let (scope, base, write, next, changes) = {
            let mut history = history.lock();
            let base = history.newest();
            let state = history.state(base).clone();
            let write = random_writes::write(&mut rng, history.scope.level, &state, shared.values);
            let next = write.apply(history.scope.level, &state);
            let changes = next != state && !is_outdated(&write, &state);
            let number = if changes { history.issue(base, next) } else { base };
            (history.scope.clone(), base, write, number, changes)
        };
        let named = write.organization.as_deref();
        let outcome = outcome(client.write(&scope, &write).await);
        let mut history = history.lock();
        let outdated = is_outdated(&write, history.state(base));
        match outcome {
            Outcome::Accepted(_) if outdated => {
                history.problems.push(format!("{scope:?}: accepted with another sequence: {write:?}"));
            }
            Outcome::Accepted(details) => {
                if changes {
                    history.acknowledge(next, &details, named);
                } else {
                    history.tell(base, &details, named);
                }
                shared.writes.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Refused(status) => {
                if changes {
                    history.refuse(next);
                }
                if !(outdated && status.code() == Code::Aborted) && status.code() != Code::ResourceExhausted {
                    history.problems.push(format!("{scope:?}: refused: {status}"));
                }
            }
            Outcome::Unknown => return,
        }
    }
}

/// Writes to scopes with several writers, each time on top of what it has just read.
pub async fn write_contested(mut client: Client, shared: Arc<Shared>, scopes: Vec<SharedHistory>, mut rng: Rng) {
    while !shared.is_stopping() {
        let history = &scopes[rng.usize(..scopes.len())];
        let (scope, since) = {
            let history = history.lock();
            (history.scope.clone(), history.newest())
        };
        let read = match outcome(client.read(&scope).await) {
            Outcome::Accepted(read) => read,
            Outcome::Refused(status) => {
                history.lock().problems.push(format!("{scope:?}: a read was refused: {status}"));
                continue;
            }
            Outcome::Unknown => return,
        };
        let (number, write) = {
            let mut history = history.lock();
            // A state that is not in the history has been recorded as a problem.
            let Some(base) = history.see(since, &read) else { continue };
            let set = random_writes::contested(&mut rng, scope.level, history.state(base));
            let write = Write { operation: Operation::Set(set), organization: None };
            let next = write.apply(scope.level, history.state(base));
            (history.issue(base, next), write)
        };
        let outcome = outcome(client.write(&scope, &write).await);
        let mut history = history.lock();
        match outcome {
            Outcome::Accepted(details) => {
                history.acknowledge(number, &details, None);
                shared.writes.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Refused(status) => {
                history.refuse(number);
                if !matches!(status.code(), Code::Aborted | Code::ResourceExhausted) {
                    history.problems.push(format!("{scope:?}: refused: {status}"));
                }
            }
            Outcome::Unknown => return,
        }
    }
}

/// Reads, and records what it sees.
pub async fn read(mut client: Client, shared: Arc<Shared>, scopes: Vec<SharedHistory>, mut rng: Rng) {
    while !shared.is_stopping() {
        let history = &scopes[rng.usize(..scopes.len())];
        let (scope, since) = {
            let history = history.lock();
            (history.scope.clone(), history.newest())
        };
        match outcome(client.read(&scope).await) {
            Outcome::Accepted(read) => {
                history.lock().see(since, &read);
                shared.reads.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Refused(status) if status.code() == Code::ResourceExhausted => {}
            Outcome::Refused(status) => {
                history.lock().problems.push(format!("{scope:?}: a read was refused: {status}"));
            }
            Outcome::Unknown => return,
        }
    }
}

fn is_outdated(write: &Write, state: &State) -> bool {
    match &write.operation {
        Operation::Set(set) => set.expected_sequence.is_some_and(|expected| expected != state.sequence),
        Operation::Reset => false,
    }
}

fn outcome<T>(answer: Result<T, Status>) -> Outcome<T> {
    match answer {
        Ok(answer) => Outcome::Accepted(answer),
        Err(status) => match status.code() {
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal => {
                Outcome::Unknown
            }
            _ => Outcome::Refused(status),
        },
    }
}
