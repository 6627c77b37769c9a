//! A reader that keeps records while their versions are current, as the server's response cache does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use feature_core::{Record, Scope};

use crate::tests::fixtures::scopes;
use crate::{FeatureStore, Version, Versioned};

/// What a reader sees at one moment: the revision, then all records.
pub(super) type Sight = (u64, Vec<Record>);

pub(super) struct Reader {
    store: Arc<Versioned>,
    scopes: Vec<Scope>,
    /// A kept record for each scope, with its version.
    kept: Mutex<Vec<Option<(Version, Record)>>>,
    /// Whether a kept record was used, outdated, or could not be kept because of a write.
    pub(super) used: AtomicBool,
    pub(super) outdated: AtomicBool,
    pub(super) unversioned: AtomicBool,
}

impl Reader {
    pub(super) fn new(store: Arc<Versioned>) -> Self {
        let (scopes, kept) = (scopes(), Mutex::new(vec![None; scopes().len()]));
        let (used, outdated, unversioned) = Default::default();
        Self { store, scopes, kept, used, outdated, unversioned }
    }

    /// What is in the store.
    pub(super) fn fresh(&self) -> Sight {
        let record = |scope| self.store.record(scope).expect("the store is intact");
        (self.store.revision(), self.scopes.iter().map(record).collect())
    }

    /// The same with each kept record whose version is current in place of the one in the store.
    pub(super) fn kept(&self) -> Sight {
        let revision = self.store.revision();
        let mut kept = self.kept.lock().expect("a look does not panic");
        (revision, self.scopes.iter().zip(kept.iter_mut()).map(|(scope, kept)| self.record(scope, kept)).collect())
    }

    fn record(&self, scope: &Scope, kept: &mut Option<(Version, Record)>) -> Record {
        if let Some((version, record)) = kept {
            if self.store.is_current(*version) {
                self.used.store(true, Ordering::Relaxed);
                return record.clone();
            }
            self.outdated.store(true, Ordering::Relaxed);
        }
        let version = self.store.version(scope);
        if version.is_none() {
            self.unversioned.store(true, Ordering::Relaxed);
        }
        let record = self.store.record(scope).expect("the store is intact");
        *kept = version.map(|version| (version, record.clone()));
        record
    }
}
