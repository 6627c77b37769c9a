//! The identity file of a data folder: the version of the folder's format, and the id of the store.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::OpenError;
use crate::files::{self, FileError};

/// The format version of the folder. It changes when an older binary must not touch the folder.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Identity {
    format: u32,
    store: String,
}

/// The part that every format has.
#[derive(Deserialize)]
struct AnyIdentity {
    format: u32,
}

pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("identity")
}

/// The id of the store in this folder; `None` when the identity file does not exist.
pub(crate) fn read(folder: &Path) -> Result<Option<Uuid>, OpenError> {
    let path = path(folder);
    let Some(bytes) = files::read(&path)? else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(AnyIdentity { format: FORMAT }) => {}
        Ok(AnyIdentity { format }) => return Err(OpenError::OtherFormat { path, found: format, known: FORMAT }),
        Err(_) => return Err(OpenError::DamagedIdentity { path }),
    }
    let store = serde_json::from_slice::<Identity>(&bytes).ok().and_then(|identity| identity.store.parse().ok());
    store.map(Some).ok_or(OpenError::DamagedIdentity { path })
}

/// Gives the folder its identity.
pub(crate) fn write(folder: &Path, store: Uuid) -> Result<(), FileError> {
    let identity = Identity { format: FORMAT, store: store.to_string() };
    let mut text = serde_json::to_vec(&identity).expect("a number and a text have a JSON form");
    text.push(b'\n');
    files::replace(&path(folder), &text)
}
