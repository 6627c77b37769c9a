//! The projection of a run: in memory, where each process builds it anew, or in sled, where it outlives the processes
//! and may be old, damaged or lost at the next start.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use feature_core::{Record, Scope};

use super::disk::Disk;
use super::process::SIZES;
use crate::error::{OpenError, StoreError};
use crate::format::encoding::decode_record;
use crate::format::scope_key;
use crate::journal::Journal;
use crate::projection::Projection;
use crate::tests::doubtful::open_sled;
use crate::tests::fixtures::{append, copy};
use crate::{Batch, FeatureStore, MemoryStore, Selected, Selection};

/// Opens the projection for each process of a run.
pub(super) enum Projections {
    InMemory,
    /// sled works on the real disk, in this folder.
    Sled(tempfile::TempDir),
}

impl Projections {
    pub(super) fn in_sled() -> Self {
        Self::Sled(tempfile::tempdir().expect("the system has a folder for temporary files"))
    }

    pub(super) fn open(&self, journal: &Journal, disk: &Disk) -> Result<Faulty, OpenError> {
        let inner: Box<dyn FeatureStore> = match self {
            Self::InMemory => {
                let (base, mut records) = (journal.base_revision()?, HashMap::new());
                journal.base(&mut |record| {
                    let scope = scope_key::decode(&record.key).expect("a base has scopes");
                    records.insert(scope, decode_record(&record.body).expect("a base has records"));
                    Ok(())
                })?;
                let store = MemoryStore::with(base, records);
                journal.replay(base, 3, |events| append(&store, &events).map_err(|error| unreachable!("{error}")))?;
                Box::new(store)
            }
            Self::Sled(folder) => {
                Box::new(Projection::open(&folder.path().join("projection"), journal, SIZES.cache_bytes)?)
            }
        };
        Ok(Faulty { inner, disk: disk.clone(), fails: AtomicBool::new(false) })
    }

    /// Keeps a copy of the projection as it is now.
    pub(super) fn keep_copy(&self) {
        if let Some((projection, older)) = self.folders() {
            let _ = fs::remove_dir_all(&older);
            copy(&projection, &older).expect("the folder can be copied");
        }
    }

    /// Does something to the projection between two processes, and says what.
    pub(super) fn age(&self, rng: &mut Rng) -> Option<&'static str> {
        let (projection, older) = self.folders().filter(|(projection, _)| projection.exists())?;
        match rng.u8(..6) {
            0 if older.exists() => {
                fs::remove_dir_all(&projection).expect("the folder can be removed");
                fs::rename(&older, &projection).expect("the folder can be renamed");
                Some("an older projection caught up")
            }
            1 => {
                fs::remove_dir_all(&projection).expect("the folder can be removed");
                Some("a lost projection was built")
            }
            2 => {
                let tree = open_sled(&projection);
                let (key, _) = tree.scan_prefix("r").next()?.expect("sled works");
                tree.remove(key).expect("sled works");
                Some("a damaged projection was set aside")
            }
            _ => None,
        }
    }

    fn folders(&self) -> Option<(PathBuf, PathBuf)> {
        match self {
            Self::InMemory => None,
            Self::Sled(folder) => Some((folder.path().join("projection"), folder.path().join("older"))),
        }
    }
}

/// A projection that fails from some moment on.
pub(super) struct Faulty {
    inner: Box<dyn FeatureStore>,
    disk: Disk,
    fails: AtomicBool,
}

impl Faulty {
    pub(super) fn fail(&self) {
        self.fails.store(true, Ordering::Relaxed);
    }
}

impl FeatureStore for Faulty {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.inner.record(scope)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        self.inner.select(selection, after, limit)
    }

    fn revision(&self) -> u64 {
        self.inner.revision()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        self.disk.look();
        if self.fails.load(Ordering::Relaxed) {
            return Err(StoreError::Projection { reason: "as planned".to_owned() });
        }
        self.inner.append(batch)?;
        self.disk.look();
        Ok(())
    }

    fn write_failure(&self) -> Option<StoreError> {
        self.inner.write_failure()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}
