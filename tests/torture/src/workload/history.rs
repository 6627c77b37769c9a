//! The history of one scope: its possible states, and the proof for each. Checks every answer.
//!
//! A write adds a possible state before it is sent, since readers may see its effect from then on. Each state refers to
//! the state that it changes. The true states form a chain, and every certain state must be in it.

use super::client::Read;
use super::feature::{Details, Scope, Time};
use super::write::State;

/// The history of one scope.
#[derive(Debug, Clone)]
pub struct History {
    pub scope: Scope,
    /// The first state was read by [`Self::settle`]; writes have added the others since then.
    states: Vec<Possible>,
    /// The newest certain state: every later answer must show this state or a newer one.
    floor: usize,
    created: Option<Time>,
    /// Broken promises.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone)]
struct Possible {
    state: State,
    /// The state that the write changes.
    base: usize,
    /// The time of the change, if an answer has shown it.
    changed: Option<Time>,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The write was sent; its outcome is unknown.
    Open,
    /// The write was refused: no read may show this state.
    Refused,
    /// The write was acknowledged or read: the state must not be lost.
    Certain,
}

impl History {
    /// A scope that was never written.
    pub fn new(scope: Scope) -> Self {
        let first = Possible { state: State::default(), base: 0, changed: None, fate: Fate::Certain };
        Self { scope, states: vec![first], floor: 0, created: None, problems: Vec::new() }
    }

    /// The number of the newest certain state.
    pub fn newest(&self) -> usize {
        self.floor
    }

    /// The state with this number.
    pub fn state(&self, number: usize) -> &State {
        &self.states[number].state
    }

    /// Records a write from state `base` to another state, before the write is sent. Returns the number of the new
    /// state.
    pub fn issue(&mut self, base: usize, state: State) -> usize {
        self.states.push(Possible { state, base, changed: None, fate: Fate::Open });
        self.states.len() - 1
    }

    /// Records that the server refused the write to this state.
    pub fn refuse(&mut self, number: usize) {
        if self.states[number].fate == Fate::Certain {
            self.problems.push(format!("{}: a refused write was seen", self.describe(number)));
        }
        self.states[number].fate = Fate::Refused;
    }

    /// Records that the server acknowledged the write to this state, with these details.
    ///
    /// `named`: the organization that the call named.
    pub fn acknowledge(&mut self, number: usize, details: &Details, named: Option<&str>) {
        let Possible { ref state, base, .. } = self.states[number];
        let right = state.sequence == details.sequence && state.owner(&self.scope, named) == details.owner;
        if !right || !self.dated(number, details) {
            self.problems.push(format!("{}: acknowledged as {details:?}", self.describe(number)));
        }
        let rival = self.states.iter().enumerate().find(|(other, rival)| {
            *other != 0 && *other != number && rival.base == base && rival.fate == Fate::Certain
        });
        if let Some((rival, _)) = rival {
            self.problems.push(format!("{}: accepted beside {}", self.describe(number), self.describe(rival)));
        }
        self.certain(number, details);
    }

    /// Checks the details in the answer of a write that changed nothing. `since`: the newest certain state at the
    /// request.
    pub fn tell(&mut self, since: usize, details: &Details, named: Option<&str>) {
        let matches = |number: usize| {
            let state = &self.states[number].state;
            state.sequence == details.sequence && state.owner(&self.scope, named) == details.owner
        };
        if !self.candidates(since, details).any(matches) {
            self.problems.push(format!("{}: told as {details:?}", self.describe(since)));
        }
    }

    /// Records what a reader saw. `since`: the newest certain state at the request. Returns the number of the state.
    pub fn see(&mut self, since: usize, read: &Read) -> Option<usize> {
        let found: Vec<_> = self.matching(since, read).collect();
        let oldest = found.iter().copied().min_by_key(|number| self.order(*number));
        match (oldest, found.len()) {
            (Some(number), 1) => self.certain(number, &read.details),
            // Several states are equal, and the read does not show which one it saw: only the oldest is certain.
            (Some(number), _) => self.raise(number),
            (None, _) => {
                let problem = format!("{}: a reader saw {}", self.describe(since), describe_read(read));
                self.problems.push(problem);
            }
        }
        oldest
    }

    /// Compares a read after a restart with the history, and starts a new history from there.
    ///
    /// The state must follow from every certain state. A write with an unknown outcome may be there completely or not
    /// at all.
    pub fn settle(&mut self, read: &Read) {
        let found = self.matching(self.floor, read).max_by_key(|number| self.order(*number));
        let state = match found {
            Some(number) => {
                let chain = self.chain(number);
                let is_lost = |lost: &usize| self.states[*lost].fate == Fate::Certain && !chain.contains(lost);
                for lost in (0..self.states.len()).filter(is_lost).collect::<Vec<_>>() {
                    self.problems.push(format!("{}: lost, there is {}", self.describe(lost), self.describe(number)));
                }
                self.states[number].state.clone()
            }
            None => {
                let problem = format!("{}: lost, there is {}", self.describe(self.floor), describe_read(read));
                self.problems.push(problem);
                let organization = Some(read.details.owner.clone()).filter(|owner| *owner != self.scope.instance);
                State { layer: read.layer.clone(), sequence: read.details.sequence, organization }
            }
        };
        self.created = read.details.created;
        self.states = vec![Possible { state, base: 0, changed: read.details.changed, fate: Fate::Certain }];
        self.floor = 0;
    }

    fn matching<'a>(&'a self, since: usize, read: &'a Read) -> impl Iterator<Item = usize> + 'a {
        self.candidates(since, &read.details).filter(|number| {
            let state = &self.states[*number].state;
            state.layer == read.layer
                && state.sequence == read.details.sequence
                && state.owner(&self.scope, None) == read.details.owner
        })
    }

    /// The states from `since` on that can have these dates.
    fn candidates<'a>(&'a self, since: usize, details: &'a Details) -> impl Iterator<Item = usize> + 'a {
        let is_possible = move |number: &usize| {
            self.states[*number].fate != Fate::Refused
                && self.order(*number) >= self.order(since)
                && self.dated(*number, details)
        };
        (0..self.states.len()).filter(is_possible)
    }

    fn dated(&self, number: usize, details: &Details) -> bool {
        let possible = &self.states[number];
        let changed = possible
            .changed
            .map_or(details.changed >= self.states[possible.base].changed, |changed| details.changed == Some(changed));
        let written = possible.state.sequence > 0;
        let created = self.created.is_none_or(|created| !written || details.created == Some(created));
        changed && created && details.changed.is_some() == written && details.created.is_some() == written
    }

    fn certain(&mut self, number: usize, details: &Details) {
        self.states[number].fate = Fate::Certain;
        self.states[number].changed = details.changed;
        self.created = self.created.or(details.created);
        self.raise(number);
    }

    fn raise(&mut self, number: usize) {
        if self.order(number) > self.order(self.floor) {
            self.floor = number;
        }
    }

    /// The age of a state: by sequence, then by number, since moving a user does not change the sequence.
    fn order(&self, number: usize) -> (u64, usize) {
        (self.states[number].state.sequence, number)
    }

    fn chain(&self, mut number: usize) -> Vec<usize> {
        let mut chain = vec![number];
        while number != 0 {
            number = self.states[number].base;
            chain.push(number);
        }
        chain
    }

    fn describe(&self, number: usize) -> String {
        let Possible { state, fate, changed, .. } = &self.states[number];
        let State { layer, sequence, organization } = state;
        let names: Vec<_> = layer.keys().collect();
        let scope = &self.scope;
        format!("{scope:?} at {sequence} ({fate:?}, {organization:?}, {changed:?}, {names:?})")
    }
}

fn describe_read(read: &Read) -> String {
    format!("{:?} with {:?}", read.details, read.layer.keys().collect::<Vec<_>>())
}
