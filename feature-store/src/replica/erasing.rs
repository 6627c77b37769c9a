//! Carries out erasures in the log. It is done before the base has the erasure, so the base shows that it is done; a
//! replica that ends before only means that it is done again.

use std::collections::BTreeSet;

use feature_core::Erasure;

use super::Replica;
use super::events::LogSource;
use super::page::Page;
use crate::engine::{Entry, Position};
use crate::error::StoreError;
use crate::event_log::Order;
use crate::event_log::erasures::{blank, concerned};
use crate::event_log::parts::{PartSource, Parts};

/// The most entries that are read at once.
const PAGE: usize = if cfg!(test) { 5 } else { 1_000 };

/// How often the same entries are looked at again.
const ATTEMPTS: usize = 10;

impl Replica {
    /// Learns of erasures that the base does not have, when the view has them already.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]; [`StoreError::NotUnderstood`].
    pub(super) fn learn_erasures(&self) -> Result<(), StoreError> {
        let (mut next, last) = (self.base_revision()? + 1, self.position().revision);
        while next <= last {
            let Page { entries, .. } = Page::read(&*self.engine, next, PAGE)?;
            let Some(end) = entries.last() else { break };
            next = end.position.revision + 1;
            let events = entries.iter().map(Entry::event).collect::<Result<Vec<_>, _>>()?;
            self.erasures.add(events.iter().filter(|event| event.revision <= last));
        }
        Ok(())
    }

    /// Takes out of the log what these erasures take out, the last of which is the entry at `at`.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]; [`StoreError::NotUnderstood`]; [`StoreError::LogBroken`].
    pub(super) fn erase(&self, erasures: &[Erasure], at: Position) -> Result<(), StoreError> {
        let Some(newest) = erasures.last().map(|last| last.revision) else { return Ok(()) };
        let carry_out = || {
            let parts = Parts::new(crc32c::crc32c(self.store.as_bytes()));
            let (log, oldest) = (LogSource { engine: &*self.engine, newest }, self.engine.head()?.kept_from);
            let find = |terms: &[_], from| parts.find(&log, terms, from, Order::NewestFirst, (oldest, newest));
            let revisions = concerned(erasures, oldest, |revision| log.part(revision).first, find, &|| true)?;
            let revisions: Vec<_> = revisions.into_iter().flatten().collect();
            for revisions in revisions.chunks(PAGE) {
                // Another replica may carry out other erasures in the same entries.
                let mut attempts = 0;
                while self.erase_entries(revisions, erasures, at, &log)? {
                    attempts += 1;
                    if attempts == ATTEMPTS {
                        return Err(StoreError::Unreachable { reason: "the log changes all the time".to_owned() });
                    }
                }
            }
            Ok(())
        };
        let users = erasures.len();
        let carried_out: Result<(), StoreError> = carry_out();
        match &carried_out {
            Ok(()) => tracing::info!(users, revision = newest, "what was known of users was erased"),
            Err(error) => tracing::warn!(users, revision = newest, %error, "what is known of users is not erased yet"),
        }
        carried_out
    }

    /// Erases in the entries with these revisions, which ascend. Returns whether there was something to take out.
    fn erase_entries(
        &self,
        revisions: &[u64],
        erasures: &[Erasure],
        at: Position,
        log: &LogSource<'_>,
    ) -> Result<bool, StoreError> {
        // With the entries before them, whose chains are kept.
        let all: BTreeSet<_> = revisions.iter().flat_map(|revision| [revision - 1, *revision]).collect();
        let all: Vec<_> = all.into_iter().collect();
        let (mut left, mut before, mut has_some) = (&all[..], Position::start(self.store), false);
        while !left.is_empty() {
            let page = self.engine.read_each(left)?;
            let Some(end) = page.last().map(|end| end.position.revision) else { break };
            left = &left[left.partition_point(|revision| *revision <= end)..];
            let (mut erased, mut firsts) = (Vec::new(), BTreeSet::new());
            for entry in page {
                let mut event = entry.event()?;
                let Position { revision, .. } = entry.position;
                if erasures.iter().any(|erasure| erasure.concerns(&event)) {
                    blank(erasures, &mut event);
                    let before = Some(before).filter(|before| before.revision + 1 == revision);
                    firsts.insert(log.part(revision).first);
                    erased.push((entry.body.clone(), entry.erased(&event, before.map(|before| before.chain))));
                }
                before = entry.position;
            }
            has_some |= !erased.is_empty();
            self.engine.erase(at, &erased, &firsts.into_iter().collect::<Vec<_>>())?;
        }
        Ok(has_some)
    }
}
