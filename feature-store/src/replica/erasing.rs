//! Carries out erasures in the log. It is done before the base has the erasure, so the base shows that it is done; a
//! replica that ends before only means that it is done again.

use std::collections::{BTreeMap, BTreeSet};

use feature_core::Erasure;

use super::Replica;
use super::events::LogSource;
use super::page::Page;
use crate::engine::{Chain, Entry};
use crate::error::StoreError;
use crate::event_log::Order;
use crate::event_log::erasures::{blank, terms};
use crate::event_log::parts::{PartSource, Parts};

/// The most entries that are read at once.
const PAGE: usize = if cfg!(test) { 5 } else { 1_000 };

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

    /// Takes out of the log what these erasures, which are in it, take out.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]; [`StoreError::NotUnderstood`]; [`StoreError::LogBroken`].
    pub(super) fn erase(&self, erasures: &[Erasure]) -> Result<(), StoreError> {
        let Some(newest) = erasures.last().map(|last| last.revision) else { return Ok(()) };
        let revisions: Vec<_> = self.concerned(erasures, newest)?.into_iter().collect();
        for revisions in revisions.chunks(PAGE) {
            self.erase_entries(revisions, erasures, newest)?;
        }
        let users = erasures.len();
        tracing::info!(users, revision = newest, "what was known of users was erased");
        Ok(())
    }

    /// `revisions`: those of entries, ascending.
    fn erase_entries(&self, revisions: &[u64], erasures: &[Erasure], newest: u64) -> Result<(), StoreError> {
        // With the entries before them, whose chains are kept.
        let all: BTreeSet<_> = revisions.iter().flat_map(|revision| [revision - 1, *revision]).collect();
        let (all, mut entries) = (all.into_iter().collect::<Vec<_>>(), BTreeMap::new());
        let mut left = &all[..];
        while !left.is_empty() {
            let page = self.engine.read_each(left)?;
            let Some(end) = page.last().map(|end| end.position.revision) else { break };
            left = &left[left.partition_point(|revision| *revision <= end)..];
            entries.extend(page.into_iter().map(|entry| (entry.position.revision, entry)));
        }
        let (mut erased, mut firsts) = (Vec::new(), BTreeSet::new());
        for entry in revisions.iter().filter_map(|revision| entries.get(revision)) {
            let revision = entry.position.revision;
            let mut event = entry.event()?;
            if erasures.iter().any(|erasure| erasure.concerns(&event)) {
                blank(erasures, &mut event);
                let before = match revision {
                    1 => Some(Chain::start(self.store)),
                    _ => entries.get(&(revision - 1)).map(|before| before.position.chain),
                };
                firsts.insert(self.log(newest).part(revision).first);
                erased.push(entry.erased(&event, before));
            }
        }
        Ok(self.engine.erase(&erased, &firsts.into_iter().collect::<Vec<_>>())?)
    }

    /// The revisions of the entries that erasures may concern.
    fn concerned(&self, erasures: &[Erasure], newest: u64) -> Result<BTreeSet<u64>, StoreError> {
        let (parts, oldest) = (Parts::new(crc32c::crc32c(self.store.as_bytes())), self.engine.head()?.kept_from);
        let mut concerned = BTreeSet::new();
        for erasure in erasures {
            for terms in terms(erasure) {
                let mut from = Some(erasure.revision);
                while let Some(at) = from {
                    let found = parts.find(&self.log(newest), &terms, at, Order::NewestFirst, (oldest, newest))?;
                    concerned.extend(found.revisions);
                    from = found.next;
                }
            }
        }
        Ok(concerned)
    }

    fn log(&self, newest: u64) -> LogSource<'_> {
        LogSource { engine: &*self.engine, newest }
    }
}
