//! A store whose records have versions, so that a reader can tell without reading again whether a record has changed.
//!
//! It is a seqlock without the data: each stripe of scopes has a counter, which is odd while a write changes one of its
//! scopes. A reader notes an even counter before it reads a record; while the counter stays the same, so does the
//! record. Readers take no lock, and a writer never waits for them.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use feature_core::{Event, InstanceId, OwnKey, Record, Scope};
use tokio::sync::watch;

use crate::error::StoreError;
use crate::event_log::EventLog;
use crate::event_log::past::TAKEN_BACK_MAX;
use crate::format::encoding::value_bytes;
use crate::store::batch::Batch;
use crate::store::recent_events::{Events, RecentEvents};
use crate::store::selection::{Selected, Selection};
use crate::store::touched::{Stripe, Touched};
use crate::store::{FeatureStore, StoreStatus};

/// The number of counters. After a write, scopes that share its counter are read once more, and nothing else happens.
const STRIPES: usize = 65_536;

/// A read of an earlier revision ends after so many bytes of records that have changed since.
const EARLIER_BYTES: usize = 4 * 1024 * 1024;

/// A read of an earlier revision takes back events with values of so many bytes at most.
const EVENTS_BYTES: usize = 64 * 1024 * 1024;

/// So many events are read from the history at once.
const READ_AT_ONCE: usize = 10_000;

/// A store whose records have versions. All writes must go through it.
pub struct Versioned {
    store: Arc<dyn FeatureStore>,
    /// One counter for each stripe: twice the number of its writes, and one more during a write.
    counters: Box<[AtomicU64]>,
    /// The events that reads of an earlier revision take back.
    recent: Mutex<RecentEvents>,
    /// What watchers have to look at.
    touched: Touched,
}

/// The version of a record at a moment without a write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    stripe: usize,
    count: u64,
}

impl Versioned {
    /// Gives the records of a store versions.
    pub fn new(store: Arc<dyn FeatureStore>) -> Arc<Self> {
        let counters = (0..STRIPES).map(|_| AtomicU64::new(0)).collect();
        let recent = Mutex::new(RecentEvents::after_revision(store.revision()));
        let touched = Touched::new(store.revision());
        Arc::new(Self { store, counters, recent, touched })
    }

    /// The version of the record of `scope`; `None` during a write. Call this before reading the record.
    pub fn version(&self, scope: &Scope) -> Option<Version> {
        self.version_of(stripe(scope))
    }

    /// The version of all definitions of an owner; `None` during a write. Call this before reading them.
    pub fn version_of_definitions(&self, owner: Option<&InstanceId>) -> Option<Version> {
        self.version_of(stripe_of_definitions(owner))
    }

    /// Whether the record still has this version. As soon as any reader can see a newer record, this is `false`.
    pub fn is_current(&self, version: Version) -> bool {
        self.counters[version.stripe].load(Ordering::Acquire) == version.count
    }

    /// The newest revision, whenever it changes. Its records are visible.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.touched.revisions()
    }

    /// The stripes that writes touch.
    pub fn touched(&self) -> &Touched {
        &self.touched
    }

    /// Whether a revision is a recent one: all events after it are in memory.
    pub fn is_recent(&self, revision: u64) -> bool {
        revision >= self.recent().base()
    }

    /// The events after a revision, at most `limit`; `None` when some of them are not in memory any more.
    pub fn recent_events(&self, after: u64, limit: usize) -> Option<Vec<Event>> {
        let newest = self.store.revision();
        let events = self.recent().after(after)?;
        Some(events.iter().take_while(|event| event.revision <= newest).take(limit).cloned().collect())
    }

    /// The records of a selection as they were at a revision. So one read after another shows one state. Only the
    /// layers are of that revision; the rest of each record is the newest. `None` when the revision is not there yet,
    /// or so much is written at this moment that the read cannot keep up.
    ///
    /// * `log`: the history of this store.
    /// * `after`, `limit`: as for [`FeatureStore::select`].
    ///
    /// # Errors
    /// As for [`FeatureStore::record`]; [`StoreError::TooLongAgo`]; and those of [`EventLog::events`].
    pub fn select_at(
        &self,
        log: &dyn EventLog,
        revision: u64,
        selection: Selection<'_>,
        after: Option<&Scope>,
        limit: usize,
    ) -> Result<Option<Selected>, StoreError> {
        if revision > self.store.revision() {
            return Ok(None);
        }
        let mut selected = self.store.select(selection, after, limit)?;
        // After the read: what it shows of later writes is among these events.
        let mut all = self.events_after(log, revision)?;
        let events = all.newest_first();
        let end = selected.next_after.as_ref();
        let is_within = |scope: &Scope| after.is_none_or(|after| scope > after) && end.is_none_or(|end| scope <= end);
        let (mut earlier, mut bytes, mut cut) = (Vec::new(), 0, None);
        for scope in events.into_keys().filter(|scope| selection.covers(scope) && is_within(scope)) {
            let record = self.store.record(scope)?;
            bytes += record.layer.iter().map(|(_, value)| value_bytes(value)).sum::<usize>();
            earlier.push((scope.clone(), record));
            if bytes > EARLIER_BYTES {
                cut = Some(scope.clone());
                break;
            }
        }
        if let Some(cut) = cut {
            selected.records.retain(|(scope, _)| *scope <= cut);
            selected.next_after = Some(cut);
        }
        // After these reads, too: what they show of later writes is among these events. One that a record does not have
        // yet changes nothing here.
        let Some(later) = self.recent().after(all.last()) else { return Ok(None) };
        all.extend(later);
        let events = all.newest_first();
        for (scope, record) in &mut earlier {
            let events = events.get(scope).into_iter().flatten();
            events.for_each(|event| record.take_back(&event.changes));
        }
        selected.update(selection, earlier.into_iter());
        Ok(Some(selected))
    }

    /// The definitions of an owner that may have changed after a revision; `None` when it is too long ago.
    pub fn definitions_changed(&self, after: u64, owner: Option<&InstanceId>) -> Option<BTreeSet<OwnKey>> {
        let events = self.recent().after(after)?;
        let of_owner = events.newest_first().into_keys().filter_map(|scope| match scope {
            Scope::Definition(of, key) if of.as_ref() == owner => Some(key.clone()),
            _ => None,
        });
        Some(of_owner.collect())
    }

    /// All events after a revision.
    fn events_after(&self, log: &dyn EventLog, revision: u64) -> Result<Events, StoreError> {
        let (mut earlier, mut bytes) = (Vec::new(), 0);
        loop {
            let last = earlier.last().map_or(revision, |event: &Event| event.revision);
            let (recent, base) = {
                let recent = self.recent();
                (recent.after(last), recent.base())
            };
            if let Some(recent) = recent {
                let mut events = Events::from_log(revision, earlier);
                events.extend(recent);
                return Ok(events);
            }
            let read = log.events(last + 1, READ_AT_ONCE.min((base - last) as usize))?;
            let values = read.iter().flat_map(|event| &event.changes).flat_map(|change| [&change.old, &change.new]);
            bytes += values.flatten().map(value_bytes).sum::<usize>();
            if read.is_empty() || earlier.len() >= TAKEN_BACK_MAX || bytes > EVENTS_BYTES {
                return Err(StoreError::TooLongAgo { max: TAKEN_BACK_MAX });
            }
            earlier.extend(read);
        }
    }

    fn recent(&self) -> MutexGuard<'_, RecentEvents> {
        // No code panics between two changes that belong together.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version_of(&self, stripe: usize) -> Option<Version> {
        let count = self.counters[stripe].load(Ordering::Acquire);
        count.is_multiple_of(2).then_some(Version { stripe, count })
    }
}

impl Version {
    /// The scopes that the version is of.
    pub fn stripe(&self) -> Stripe {
        stripe_named(self.stripe)
    }
}

fn stripe_named(stripe: usize) -> Stripe {
    Stripe(u32::try_from(stripe).expect("there are few stripes"))
}

fn stripe(scope: &Scope) -> usize {
    match scope {
        // All definitions of an owner have one version, since they are read together.
        Scope::Definition(owner, _) => stripe_of_definitions(owner.as_ref()),
        scope => stripe_of(scope),
    }
}

fn stripe_of_definitions(owner: Option<&InstanceId>) -> usize {
    stripe_of(("definitions", owner))
}

fn stripe_of(hashed: impl Hash) -> usize {
    // The hash has a fixed key: scopes that share a stripe on purpose gain nothing by it.
    BuildHasherDefault::<DefaultHasher>::default().hash_one(hashed) as usize % STRIPES
}

impl FeatureStore for Versioned {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.store.record(scope)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        self.store.select(selection, after, limit)
    }

    fn revision(&self) -> u64 {
        self.store.revision()
    }

    fn status(&self) -> StoreStatus {
        self.store.status()
    }

    fn free_bytes(&self) -> Option<u64> {
        self.store.free_bytes()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        let stripes: BTreeSet<_> = batch.records().map(|(scope, _)| stripe(scope)).collect();
        let write = OddCounters::begin(stripes.iter().map(|stripe| &self.counters[*stripe]).collect());
        // No reader can see an event that is not here.
        self.recent().push(batch);
        let appended = self.store.append(batch);
        if appended.is_ok() {
            self.recent().erase(batch);
        }
        drop(write);
        match &appended {
            Ok(()) => self.touched.add(stripes.into_iter().map(stripe_named), batch.revision()),
            Err(_) => self.recent().pop(),
        }
        appended
    }

    fn write_failure(&self) -> Option<StoreError> {
        self.store.write_failure()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.store.close()
    }
}

/// Counters that are odd until this is dropped. They advance even when the write fails: that costs one reading more.
struct OddCounters<'a>(Vec<&'a AtomicU64>);

impl<'a> OddCounters<'a> {
    fn begin(counters: Vec<&'a AtomicU64>) -> Self {
        for counter in &counters {
            // No reader can see a part of the write before this.
            counter.fetch_add(1, Ordering::AcqRel);
        }
        Self(counters)
    }
}

impl Drop for OddCounters<'_> {
    fn drop(&mut self) {
        for counter in &self.0 {
            counter.fetch_add(1, Ordering::Release);
        }
    }
}
