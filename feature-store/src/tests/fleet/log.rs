//! A log in memory.

use std::collections::{BTreeMap, HashMap};

use fastrand::Rng;
use feature_core::{Erasure, Record, Timestamp};
use uuid::Uuid;

use super::run::Rules;
use crate::engine::{BaseRecord, Chain, EngineError, Entry, Position};
use crate::event_log::erasures::blank;
use crate::format::encoding::{decode_event, encode_record};
use crate::format::scope_key;
use crate::tests::fixtures::{decide_batch, erasures, place, scopes};
use crate::tests::simulation::writes;

pub(super) const STORE: Uuid = Uuid::from_u128(7);

/// The shared log, and everything that a run knows about it.
pub(super) struct Log {
    pub(super) rng: Rng,
    pub(super) rules: Rules,
    pub(super) entries: Vec<Entry>,
    /// The number of entries when something was erased in them.
    pub(super) erased_up_to: usize,
    pub(super) kept_from: u64,
    pub(super) base: BTreeMap<Vec<u8>, BaseRecord>,
    pub(super) folded: u64,
    pub(super) indexes: HashMap<u64, Vec<u8>>,
    /// The records of all scopes at every position that there ever was, in the order of the scopes.
    pub(super) known: HashMap<[u8; 16], Vec<Record>>,
    /// Attempts that were lost on their way, and may arrive yet.
    pub(super) on_their_way: Vec<(Position, Vec<Entry>)>,
    /// The replica that appends alone.
    pub(super) turn: Option<usize>,
    /// How likely a call fails, in percent.
    pub(super) faults: u8,
    /// Whether other replicas write all the time.
    pub(super) is_busy: bool,
    pub(super) now: i64,
    pub(super) tally: Vec<&'static str>,
    /// How often the log was cut back.
    pub(super) cuts: usize,
}

impl Log {
    pub(super) fn new(rng: Rng, rules: Rules) -> Self {
        let known = HashMap::from([(key(Chain::start(STORE)), vec![Record::default(); scopes().len()])]);
        Self {
            rng,
            rules,
            entries: Vec::new(),
            erased_up_to: 0,
            kept_from: 1,
            base: BTreeMap::new(),
            folded: 0,
            indexes: HashMap::new(),
            known,
            on_their_way: Vec::new(),
            turn: None,
            faults: 0,
            is_busy: true,
            now: 0,
            tally: Vec::new(),
            cuts: 0,
        }
    }

    pub(super) fn end(&self) -> Position {
        self.entries.last().map_or(Position::start(STORE), |entry| entry.position)
    }

    pub(super) fn records_at(&self, position: Position) -> &[Record] {
        &self.known[&key(position.chain)]
    }

    pub(super) fn compare_and_add(&mut self, base: Position, group: &[Entry]) -> bool {
        if self.end() != base && self.rules.compare {
            return false;
        }
        for entry in group {
            let revision = self.end().revision + 1;
            let body = &entry.body;
            let Ok(event) = decode_event(revision, body) else { panic!("the log takes events") };
            let mut records = self.records_at(self.end()).to_vec();
            records[place(&event.scope)].apply(&event);
            let position = Position { revision, chain: self.end().chain.with(revision, body) };
            self.known.insert(key(position.chain), records);
            self.entries.push(Entry { position, body: body.clone() });
        }
        true
    }

    /// Another replica writes something.
    pub(super) fn ghost_writes(&mut self) {
        let batch = writes::batch(&mut self.rng).1;
        let end = self.end();
        let (mut records, now) = (self.records_at(end).to_vec(), Timestamp::from_unix_nanos(self.now));
        if let Ok((events, _)) = decide_batch(&mut records, &batch, now, end.revision + 1) {
            self.compare_and_add(end, &end.entries(events.iter()));
        }
    }

    /// Another replica brings the base to the end of the log.
    pub(super) fn fold(&mut self) {
        let end = self.end();
        let records = self.records_at(end).to_vec();
        for entry in &self.entries[self.folded as usize..] {
            let revision = entry.position.revision;
            let Ok(event) = decode_event(revision, &entry.body) else { panic!("the log has events") };
            let (key, body) = (scope_key::encode(&event.scope), encode_record(&records[place(&event.scope)]));
            self.base.insert(key.clone(), BaseRecord { key, revision, body });
        }
        let events: Vec<_> = self.entries.iter().map(|entry| entry.event().expect("the log has events")).collect();
        let erasures = erasures(&events);
        let mut before = Chain::start(STORE);
        for (entry, mut event) in self.entries.iter_mut().zip(events) {
            if erasures.iter().any(|erasure| erasure.concerns(&event)) {
                blank(&erasures, &mut event);
                *entry = entry.erased(&event, Some(before));
                self.erased_up_to = end.revision as usize;
            }
            before = entry.position.chain;
        }
        self.folded = end.revision;
    }

    /// All erasures.
    pub(super) fn erasures(&self) -> Vec<Erasure> {
        let event = |entry: &Entry| entry.event().expect("the log has events");
        erasures(&self.entries.iter().map(event).collect::<Vec<_>>())
    }

    /// One of the attempts on their way arrives.
    pub(super) fn late_arrival(&mut self) {
        if !self.on_their_way.is_empty() && self.turn.is_none() {
            let (base, group) = self.on_their_way.swap_remove(self.rng.usize(..self.on_their_way.len()));
            let added = self.compare_and_add(base, &group);
            self.tally.push(if added { "a late copy was added" } else { "a late copy was refused" });
        }
    }

    /// The database is restored from a backup, or a failover loses writes. Another replica writes at once.
    pub(super) fn take_back(&mut self) {
        // Nothing brings back what was erased: of erasures that were carried out, none is lost.
        let length = self.rng.usize(self.erased_up_to..=self.entries.len());
        self.entries.truncate(length);
        // A transaction is there as a whole.
        while self.entries.last().is_some_and(|last| last.event().expect("the log has events").continues) {
            self.entries.pop();
        }
        self.on_their_way.clear();
        // A backup has a base of its own time. The simulation lets it begin anew.
        (self.kept_from, self.folded) = (1, 0);
        self.base.clear();
        self.cuts += 1;
        for _ in 0..self.rng.usize(..4) {
            self.ghost_writes();
        }
    }

    pub(super) fn end_turn(&mut self) {
        self.turn = None;
    }

    pub(super) fn fails(&mut self) -> bool {
        self.rng.u8(..100) < self.faults
    }

    pub(super) fn unreachable(&mut self) -> EngineError {
        self.tally.push("the log was out of reach");
        EngineError { reason: "connection refused".to_owned() }
    }
}

fn key(chain: Chain) -> [u8; 16] {
    chain.as_bytes().try_into().expect("a chain has 16 bytes")
}
