//! A reader that keeps records while their versions are current, as the server's response cache does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use feature_core::Record;

use crate::tests::fixtures::scopes;
use crate::{FeatureStore, Version, Versioned};

/// What a reader sees at one moment: the revision, then all records.
pub(super) type Sight = (u64, Vec<Record>);

pub(super) struct Reader {
    store: Arc<Versioned>,
    /// A kept record for each scope, with its version.
    kept: Mutex<Vec<Option<(Version, Record)>>>,
    /// Whether a kept record was used, outdated, or could not be kept because of a write.
    pub(super) used: AtomicBool,
    pub(super) outdated: AtomicBool,
    pub(super) unversioned: AtomicBool,
}

impl Reader {
    pub(super) fn new(store: Arc<Versioned>) -> Self {
        let kept = Mutex::new(vec![None; scopes().len()]);
        let (used, outdated, unversioned) = Default::default();
        Self { store, kept, used, outdated, unversioned }
    }

    pub(super) fn sight(&self) -> Sight {
        let revision = self.store.revision();
        let mut kept = self.kept.lock().expect("a look does not panic");
        let mut records = Vec::new();
        for (scope, kept) in scopes().iter().zip(kept.iter_mut()) {
            match kept {
                Some((version, record)) if self.store.is_current(*version) => {
                    self.used.store(true, Ordering::Relaxed);
                    records.push(record.clone());
                    continue;
                }
                Some(_) => self.outdated.store(true, Ordering::Relaxed),
                None => {}
            }
            let version = self.store.version(scope);
            let record = self.store.record(scope).expect("the store is intact");
            if version.is_none() {
                self.unversioned.store(true, Ordering::Relaxed);
            }
            *kept = version.map(|version| (version, record.clone()));
            records.push(record);
        }
        (revision, records)
    }
}
