//! What is known of one scope: the states that it may be in, and what was acknowledged or seen. Judges every answer.
//!
//! A write is issued before it is sent: from then on readers may see what becomes of it. Each possible state knows the one
//! that it was made of, so what is true forms a chain, and whatever is certain must lie on it.

use super::client::Read;
use super::feature::{Details, Scope, Time};
use super::write::State;

/// What is known of one scope.
#[derive(Debug, Clone)]
pub struct History {
    pub scope: Scope,
    /// The first was settled; the others were issued since then.
    states: Vec<Possible>,
    /// The newest state that is certain: everything later shows this or a newer one.
    floor: usize,
    created: Option<Time>,
    /// What was promised and did not hold.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone)]
struct Possible {
    state: State,
    /// The state that this one was made of.
    base: usize,
    /// When it became so, where that is known.
    changed: Option<Time>,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Sent; nothing is known.
    Open,
    /// Refused: it must never be seen.
    Refused,
    /// Acknowledged or seen: it must never be gone.
    Certain,
}

impl History {
    /// A scope that was never written.
    pub fn new(scope: Scope) -> Self {
        let first = Possible { state: State::default(), base: 0, changed: None, fate: Fate::Certain };
        Self { scope, states: vec![first], floor: 0, created: None, problems: Vec::new() }
    }

    /// The newest state that is certain, by its number.
    pub fn newest(&self) -> usize {
        self.floor
    }

    /// A state by its number.
    pub fn state(&self, number: usize) -> &State {
        &self.states[number].state
    }

    /// Notes that a write is about to be sent that turns state `base` into another. Gives the number of that.
    pub fn issue(&mut self, base: usize, state: State) -> usize {
        self.states.push(Possible { state, base, changed: None, fate: Fate::Open });
        self.states.len() - 1
    }

    /// Notes that the write which leads to a state was refused.
    pub fn refuse(&mut self, number: usize) {
        if self.states[number].fate == Fate::Certain {
            self.problems.push(format!("{}: a refused write was seen", self.describe(number)));
        }
        self.states[number].fate = Fate::Refused;
    }

    /// Notes that the write which leads to a state was acknowledged with these details.
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

    /// Checks details that an answer tells of a scope which it did not change. `since`: the newest state at its request.
    pub fn tell(&mut self, since: usize, details: &Details, named: Option<&str>) {
        let matches = |number: usize| {
            let state = &self.states[number].state;
            state.sequence == details.sequence && state.owner(&self.scope, named) == details.owner
        };
        if !self.candidates(since, details).any(matches) {
            self.problems.push(format!("{}: told as {details:?}", self.describe(since)));
        }
    }

    /// Notes what a reader saw. `since`: the newest state at its request. Gives the state's number.
    pub fn see(&mut self, since: usize, read: &Read) -> Option<usize> {
        let found: Vec<_> = self.matching(since, read).collect();
        let oldest = found.iter().copied().min_by_key(|number| self.order(*number));
        match (oldest, found.len()) {
            (Some(number), 1) => self.certain(number, &read.details),
            // Which of several equal ones it was is not known; at least the oldest is reached.
            (Some(number), _) => self.raise(number),
            (None, _) => {
                let problem = format!("{}: a reader saw {}", self.describe(since), describe_read(read));
                self.problems.push(problem);
            }
        }
        oldest
    }

    /// Compares what is there after a restart with all that is known, and goes on from there.
    ///
    /// Everything certain must have led to it; what is open may be there, whole, or not at all.
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

    /// The states, from `since` on, that can have these dates.
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

    /// States are as new as their sequence, and a move of a user, which leaves it as it is, comes later.
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
