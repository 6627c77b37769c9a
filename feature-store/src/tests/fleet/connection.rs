//! Connections to a log in memory, which fail in every way that those to a database do.

use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use uuid::Uuid;

use super::log::{Log, STORE};
use crate::engine::{Append, BaseRecord, Beat, Engine, EngineError, Entry, Head, Outcome, Position};

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
        Ok(Head { store: STORE, end, kept_from: log.kept_from, folded: log.folded })
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
        if last.position.revision < log.kept_from && last.position.revision <= log.end().revision {
            return Err(EngineError { reason: "the entries of that time were dropped meanwhile".to_owned() });
        }
        let there = log.entries.get(last.position.revision as usize - 1);
        Ok(if there.is_some_and(|entry| entry.position == last.position) { Outcome::Added } else { Outcome::Overtaken })
    }

    fn take_turn(&self) -> Result<Position, EngineError> {
        let mut log = self.log();
        if self.is_replaced() || log.fails() {
            return Err(log.unreachable());
        }
        log.turn = Some(self.replica);
        Ok(log.end())
    }

    fn beat(&self, _: Uuid, position: Position) -> Result<Beat, EngineError> {
        if self.is_replaced() && self.log().rules.prove_by_write {
            return Err(self.log().unreachable());
        }
        let head = self.head()?;
        let mut log = self.log();
        let (entries, kept_from) = (self.seen(&mut log), log.kept_from);
        let kept = entries.iter().filter(|entry| entry.position.revision >= kept_from);
        let mut known = kept.map(|entry| entry.position).chain([head.end, Position::start(STORE)]);
        Ok(Beat { head, has_position: known.any(|known| known == position), newest_revocation: 0 })
    }

    fn revocations(&self, _: i64, _: usize) -> Result<Vec<(i64, String)>, EngineError> {
        Ok(Vec::new())
    }

    fn revoke(&self, _: &str) -> Result<(), EngineError> {
        Err(self.log().unreachable())
    }

    fn base(&self, after: &[u8], limit: usize) -> Result<Vec<BaseRecord>, EngineError> {
        let mut log = self.log();
        if log.fails() {
            return Err(log.unreachable());
        }
        if !log.is_busy {
            let records = log.base.range::<[u8], _>((Bound::Excluded(after), Bound::Unbounded));
            return Ok(records.take(limit).map(|(_, record)| record.clone()).collect());
        }
        // A page has one record, and the base moves between two pages.
        let next = log.base.range::<[u8], _>((Bound::Excluded(after), Bound::Unbounded)).next();
        let page = next.map(|(_, record)| record.clone()).into_iter().collect();
        if log.rng.u8(..3) == 0 {
            log.ghost_writes();
            log.fold();
        }
        if log.rng.u8(..6) == 0 {
            log.kept_from = log.folded + 1;
        }
        Ok(page)
    }

    fn base_of(&self, keys: &[&[u8]]) -> Result<Vec<BaseRecord>, EngineError> {
        let mut log = self.log();
        if log.fails() {
            return Err(log.unreachable());
        }
        Ok(keys.iter().filter_map(|key| log.base.get(*key).cloned()).collect())
    }

    fn fold(&self, from: u64, to: Position, records: &[BaseRecord]) -> Result<(), EngineError> {
        let mut log = self.log();
        if log.fails() && log.rng.bool() {
            return Err(log.unreachable());
        }
        let is_there = log.entries.get(to.revision as usize - 1).is_some_and(|entry| entry.position == to);
        let is_own_turn = !self.is_replaced() && log.folded == from && is_there;
        if is_own_turn {
            log.folded = to.revision;
            log.base.extend(records.iter().map(|record| (record.key.clone(), record.clone())));
            log.tally.push("the base was brought forward");
        }
        // The answer may be lost although it was done.
        if log.fails() { Err(log.unreachable()) } else { Ok(()) }
    }

    fn begin(&self, _: Position, _: &[BaseRecord], _: bool) -> Result<(), EngineError> {
        Err(EngineError { reason: "a simulated log begins empty".to_owned() })
    }

    fn drop_entries(&self, up_to: u64) -> Result<(), EngineError> {
        let mut log = self.log();
        if self.is_replaced() || log.fails() {
            return Err(log.unreachable());
        }
        if log.kept_from <= up_to && log.folded >= up_to {
            log.kept_from = up_to + 1;
            log.tally.push("old entries were dropped");
        }
        Ok(())
    }

    /// The simulation takes the turns of all threads.
    fn wait_for_hint(&self, _: Duration) -> Option<u64> {
        None
    }

    fn read(&self, from: u64, limit: usize) -> Result<Vec<Entry>, EngineError> {
        let mut log = self.log();
        if log.fails() {
            return Err(log.unreachable());
        }
        if log.is_busy && log.turn.is_none() && log.rng.u8(..4) == 0 {
            log.ghost_writes();
        }
        let from = from.max(log.kept_from);
        let entries = self.seen(&mut log).into_iter();
        Ok(entries.filter(|entry| entry.position.revision >= from).take(limit).collect())
    }

    fn read_each(&self, revisions: &[u64]) -> Result<Vec<Entry>, EngineError> {
        let mut log = self.log();
        let kept_from = log.kept_from;
        let entries = self.seen(&mut log).into_iter().filter(|entry| entry.position.revision >= kept_from);
        Ok(entries.filter(|entry| revisions.contains(&entry.position.revision)).collect())
    }

    fn erase(&self, at: Position, entries: &[(Vec<u8>, Entry)], firsts: &[u64]) -> Result<(), EngineError> {
        let mut log = self.log();
        if self.is_replaced() || log.fails() && log.rng.bool() {
            return Err(log.unreachable());
        }
        if !log.entries.iter().any(|kept| kept.position == at) {
            return Ok(());
        }
        for (old, erased) in entries {
            let is_it = |kept: &&mut Entry| kept.position == erased.position && kept.body == *old;
            let kept = log.entries.iter_mut().find(is_it);
            kept.into_iter().for_each(|kept| kept.body.clone_from(&erased.body));
        }
        log.indexes.retain(|first, _| !firsts.contains(first));
        if !entries.is_empty() {
            log.erased_up_to = log.entries.len();
            log.tally.push("entries were erased");
        }
        // The answer may be lost although it was done.
        if log.fails() { Err(log.unreachable()) } else { Ok(()) }
    }

    fn index(&self, first: u64) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.log().indexes.get(&first).cloned())
    }

    fn store_index(&self, first: u64, index: &[u8]) -> Result<(), EngineError> {
        self.log().indexes.insert(first, index.to_vec());
        Ok(())
    }
}
