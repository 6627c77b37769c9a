//! The identity file of a data folder: the version of the folder's format, the id of the store, and where its history
//! begins.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::OpenError;
use crate::files::{self, FileError};

/// The format version of the folder. It changes when an older binary must not touch the folder.
const FORMAT: u32 = 1;

/// What a data folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The store's id.
    pub(crate) store: Uuid,
    /// The revision of the oldest event that is kept. Without this, a lost segment would look like a dropped one.
    pub(crate) oldest: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredIdentity {
    format: u32,
    store: String,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    oldest: u64,
}

fn first() -> u64 {
    1
}

fn is_first(oldest: &u64) -> bool {
    *oldest == 1
}

/// The part that every format has.
#[derive(Deserialize)]
struct AnyIdentity {
    format: u32,
}

pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("identity")
}

/// The identity of the store in this folder; `None` when the file does not exist.
pub(crate) fn read(folder: &Path) -> Result<Option<Identity>, OpenError> {
    let path = path(folder);
    let Some(bytes) = files::read(&path)? else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(AnyIdentity { format: FORMAT }) => {}
        Ok(AnyIdentity { format }) => return Err(OpenError::OtherFormat { path, found: format, known: FORMAT }),
        Err(_) => return Err(OpenError::DamagedIdentity { path }),
    }
    let stored = serde_json::from_slice::<StoredIdentity>(&bytes).ok().filter(|stored| stored.oldest > 0);
    let identity = stored.and_then(|StoredIdentity { store, oldest, .. }| {
        let store = store.parse().ok()?;
        Some(Identity { store, oldest })
    });
    identity.map(Some).ok_or(OpenError::DamagedIdentity { path })
}

/// Gives the folder its identity, durably.
pub(crate) fn write(folder: &Path, identity: Identity) -> Result<(), FileError> {
    let Identity { store, oldest } = identity;
    let identity = StoredIdentity { format: FORMAT, store: store.to_string(), oldest };
    let mut text = serde_json::to_vec(&identity).expect("numbers and a text have a JSON form");
    text.push(b'\n');
    files::replace(&path(folder), &text)
}
