//! A log in memory, and connections to it that fail.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use feature_core::{Record, Scope, Timestamp, decide};
use uuid::Uuid;

use super::run::Rules;
use crate::engine::{Append, Chain, Engine, EngineError, Entry, Head, Outcome, Position};
use crate::format::encoding::decode_event;
use crate::store::fold::check_values;
use crate::tests::fixtures::scopes;
use crate::tests::simulation::writes;

pub(super) const STORE: Uuid = Uuid::from_u128(7);

/// The shared log, and everything that a run knows about it.
pub(super) struct Log {
    pub(super) rng: Rng,
    pub(super) rules: Rules,
    pub(super) entries: Vec<Entry>,
    pub(super) kept_from: u64,
    /// The records of all scopes at every position that there ever was, in the order of the scopes.
    pub(super) known: HashMap<[u8; 16], Vec<Record>>,
    /// Attempts that were lost on their way, and may arrive yet.
    on_their_way: Vec<(Position, Vec<Entry>)>,
    /// The replica that appends alone.
    turn: Option<usize>,
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
            kept_from: 1,
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

    fn compare_and_add(&mut self, base: Position, group: &[Entry]) -> bool {
        if self.end() != base && self.rules.compare {
            return false;
        }
        for entry in group {
            let revision = self.end().revision + 1;
            let body = &entry.body;
            let Ok(event) = decode_event(revision, body) else { panic!("the log takes events") };
            let mut records = self.records_at(self.end()).to_vec();
            let place = scopes().iter().position(|scope| *scope == event.scope).expect("no other scope is written");
            records[place].apply(&event);
            let position = Position { revision, chain: self.end().chain.with(revision, body) };
            self.known.insert(key(position.chain), records);
            self.entries.push(Entry { position, body: body.clone() });
        }
        true
    }

    /// Another replica writes something.
    pub(super) fn ghost_writes(&mut self) {
        let write = writes::any(&mut self.rng).1;
        let end = self.end();
        let record = &self.records_at(end)[place(&write.scope)];
        let now = Timestamp::from_unix_nanos(self.now);
        if let Ok(Some(event)) = decide(&write, record, now, end.revision + 1)
            && check_values(&event).is_ok()
        {
            self.compare_and_add(end, &end.entries([event].iter()));
        }
    }

    /// One of the attempts on their way arrives.
    pub(super) fn late_arrival(&mut self) {
        if !self.on_their_way.is_empty() && self.turn.is_none() {
            let (base, group) = self.on_their_way.swap_remove(self.rng.usize(..self.on_their_way.len()));
            let added = self.compare_and_add(base, &group);
            self.tally.push(if added { "a late copy was added" } else { "a late copy was refused" });
        }
    }

    /// The database is restored from a backup, or a failover loses writes. Somebody writes before anybody looks.
    pub(super) fn take_back(&mut self) {
        let length = self.rng.usize(..=self.entries.len());
        self.entries.truncate(length);
        self.on_their_way.clear();
        self.kept_from = self.kept_from.min(length as u64 + 1);
        self.cuts += 1;
        for _ in 0..self.rng.usize(..4) {
            self.ghost_writes();
        }
    }

    pub(super) fn end_turn(&mut self) {
        self.turn = None;
    }

    fn fails(&mut self) -> bool {
        self.rng.u8(..100) < self.faults
    }

    fn unreachable(&mut self) -> EngineError {
        self.tally.push("the log was out of reach");
        EngineError { reason: "connection refused".to_owned() }
    }
}

pub(super) fn place(scope: &Scope) -> usize {
    scopes().iter().position(|known| known == scope).expect("the simulation writes to no other scope")
}

fn key(chain: Chain) -> [u8; 16] {
    chain.as_bytes().try_into().expect("a chain has 16 bytes")
}

/// A replica's connection to the log.
pub(super) struct Connection {
    log: Arc<Mutex<Log>>,
    replica: usize,
    /// The connection leads to a database that was replaced when the log had so many entries: it answers reads, and
    /// never a write.
    pub(super) replaced: Mutex<Option<Vec<Entry>>>,
}

impl Connection {
    pub(super) fn new(log: &Arc<Mutex<Log>>, replica: usize) -> Self {
        Self { log: Arc::clone(log), replica, replaced: Mutex::new(None) }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("a failed check ends the run")
    }

    /// The entries that a read sees.
    fn seen(&self, log: &mut Log) -> Vec<Entry> {
        match &*self.replaced.lock().expect("a failed check ends the run") {
            Some(entries) => {
                log.tally.push("a replaced database answered");
                entries.clone()
            }
            None => log.entries.clone(),
        }
    }

    fn is_replaced(&self) -> bool {
        self.replaced.lock().expect("a failed check ends the run").is_some()
    }
}

impl Engine for Connection {
    fn head(&self) -> Result<Head, EngineError> {
        let mut log = self.log();
        if log.fails() {
            return Err(log.unreachable());
        }
        let end = self.seen(&mut log).last().map_or(Position::start(STORE), |entry| entry.position);
        Ok(Head { store: STORE, end, kept_from: log.kept_from })
    }

    fn append(&self, base: Position, group: &[Entry]) -> Result<Append, EngineError> {
        let mut log = self.log();
        if log.turn.is_none() && log.is_busy {
            // Others are faster, again and again.
            while log.rng.u8(..3) == 0 {
                log.ghost_writes();
            }
        }
        let has_turn = log.turn.take() == Some(self.replica);
        if has_turn {
            log.tally.push("a turn to append alone");
        }
        let unknown = || Ok(Append::Unknown { reason: "connection lost".to_owned() });
        if self.is_replaced() {
            return unknown();
        }
        if log.fails() {
            let fault = log.rng.u8(..4);
            if fault == 0 {
                return Err(log.unreachable());
            }
            let errors_mean_no = log.rules.errors_mean_no;
            let lost = match fault {
                1 => "an attempt was lost before it arrived",
                2 => {
                    log.on_their_way.push((base, group.to_vec()));
                    "an attempt was lost on its way"
                }
                _ => {
                    log.compare_and_add(base, group);
                    "an attempt was lost after it had succeeded"
                }
            };
            log.tally.push(lost);
            return if errors_mean_no { Ok(Append::Overtaken) } else { unknown() };
        }
        if group.is_empty() && !log.rules.confirm_without_events {
            return Ok(Append::Added);
        }
        if log.compare_and_add(base, group) {
            Ok(Append::Added)
        } else {
            log.tally.push("a group was overtaken");
            Ok(Append::Overtaken)
        }
    }

    fn outcome(&self, base: Position, group: &[Entry]) -> Result<Outcome, EngineError> {
        let mut log = self.log();
        if log.rng.bool() {
            log.late_arrival();
        }
        if self.is_replaced() || log.fails() {
            return Err(log.unreachable());
        }
        let Some(last) = group.last().filter(|_| log.end() != base) else {
            return Ok(if log.end() == base { Outcome::Open } else { Outcome::Overtaken });
        };
        let there = log.entries.get(last.position.revision as usize - 1);
        Ok(if there.is_some_and(|entry| entry.position == last.position) { Outcome::Added } else { Outcome::Overtaken })
    }

    fn take_turn(&self) -> Result<(), EngineError> {
        let mut log = self.log();
        if self.is_replaced() || log.fails() {
            return Err(log.unreachable());
        }
        log.turn = Some(self.replica);
        Ok(())
    }

    /// The simulation takes the turns of all threads.
    fn wait_for_hint(&self, _: Duration) {}

    fn read(&self, from: u64, limit: usize) -> Result<Vec<Entry>, EngineError> {
        let mut log = self.log();
        if log.fails() {
            return Err(log.unreachable());
        }
        let from = from.max(log.kept_from);
        let entries = self.seen(&mut log).into_iter();
        Ok(entries.filter(|entry| entry.position.revision >= from).take(limit).collect())
    }
}
