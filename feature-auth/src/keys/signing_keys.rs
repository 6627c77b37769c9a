//! The server's own Ed25519 keys: files `DATA/keys/<n>.pem`. The key with the largest number signs, all keys verify.
//! Removing its file retires a key.
//!
//! A private key leaves this file only inside a [`SigningKey`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use uuid::Uuid;

use super::jwks::{KeySet, VerifyingKey};
use crate::text_file;

/// Why the server's own keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file system reports an error.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The failed action.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// A file holds no key.
    #[error("{} is no Ed25519 key in PKCS#8 PEM: restore it, or remove it to do without it", .0.display())]
    Malformed(PathBuf),
    /// There is no key at all.
    #[error("{} holds no key: make one with 'feature-server token keygen'", .0.display())]
    Empty(PathBuf),
    /// The folder is empty, and the servers of a fleet need the same one.
    #[error(
        "{} holds no key, and the servers of a fleet must not make their own: make one once with 'feature-server token \
         keygen', give each server a copy of that folder, or configure auth.issuers",
        .0.display()
    )]
    NotShared(PathBuf),
    /// The cryptographic library cannot make a key.
    #[error("cannot make a key: the cryptographic library refuses")]
    Generate,
}

/// The folder with the server's own keys.
#[derive(Debug, Clone)]
pub struct KeyFolder {
    path: PathBuf,
}

/// One of the server's own keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKey {
    /// The `kid` of the tokens that it signs: its thumbprint (RFC 7638).
    pub id: String,
    /// Its file.
    pub path: PathBuf,
}

/// The key that signs. Its debug output does not show the private key.
#[derive(Debug)]
pub struct SigningKey {
    pub(crate) id: String,
    pub(crate) key: EncodingKey,
}

impl KeyFolder {
    /// Opens the keys of a data folder. Makes missing folders, with mode 0700 for the keys, and a first key if there is
    /// none.
    ///
    /// Several processes may do this at the same time: they all use the same first key.
    pub fn open_or_create(data: &Path) -> Result<Self, KeysError> {
        let folder = Self::make(data)?;
        if folder.numbers()?.is_empty() {
            // Another process may have been faster; then its key is the first one.
            folder.write(1)?;
        }
        folder.check_keys()?;
        Ok(folder)
    }

    /// Opens the keys of a data folder that several servers share, and makes none: a key of its own would make tokens
    /// that the other servers refuse. Makes missing folders.
    ///
    /// `needed`: whether there must be a key, because no other credential is accepted.
    pub fn open_shared(data: &Path, needed: bool) -> Result<Self, KeysError> {
        let folder = Self::make(data)?;
        if needed && folder.numbers()?.is_empty() {
            return Err(KeysError::NotShared(folder.path));
        }
        folder.check_keys()?;
        Ok(folder)
    }

    /// Reads all keys, and warns of those that others can read.
    fn check_keys(&self) -> Result<(), KeysError> {
        for number in self.numbers()? {
            let OwnKey { path, .. } = self.own_key(number)?;
            let mode = fs::metadata(&path).map_err(io_error("read", &path))?.permissions().mode();
            if mode & 0o077 != 0 {
                tracing::warn!(path = %path.display(), "others can read this signing key: chmod 600 it, or replace it");
            }
        }
        Ok(())
    }

    /// The keys of a data folder in ascending order: the last one signs. Makes nothing.
    pub fn list(data: &Path) -> Result<Vec<OwnKey>, KeysError> {
        let folder = Self { path: data.join("keys") };
        folder.numbers()?.into_iter().map(|number| folder.own_key(number)).collect()
    }

    /// Adds a key with the next number to a data folder. From then on it signs.
    pub fn add(data: &Path) -> Result<OwnKey, KeysError> {
        let folder = Self::make(data)?;
        let last = folder.numbers()?.last().copied().unwrap_or_default();
        // Another process may take some numbers at the same time.
        let added = (last..u32::MAX).find_map(|before| folder.write(before + 1).transpose());
        let full = || io_error("add a key to", &folder.path)(io::Error::other("no larger number is left"));
        added.unwrap_or_else(|| Err(full()))
    }

    /// The number of keys in a data folder. Reads all of them, and makes nothing.
    pub fn count(data: &Path) -> Result<usize, KeysError> {
        if data.join("keys").exists() { Ok(Self::list(data)?.len()) } else { Ok(0) }
    }

    /// The key that signs: the one with the largest number. A folder without keys is an error.
    pub fn signing(&self) -> Result<SigningKey, KeysError> {
        let number = self.numbers()?.last().copied().ok_or_else(|| KeysError::Empty(self.path.clone()))?;
        Ok(self.read(number)?.0)
    }

    /// The public keys. An empty folder is no error: removing the last key retires its tokens.
    pub(crate) fn verifying(&self) -> Result<KeySet, KeysError> {
        let keys: Result<_, KeysError> = self.numbers()?.into_iter().map(|number| Ok(self.read(number)?.1)).collect();
        Ok(KeySet { keys: keys?, skipped: Vec::new() })
    }

    fn make(data: &Path) -> Result<Self, KeysError> {
        let path = data.join("keys");
        if !path.exists() {
            fs::create_dir_all(data).map_err(io_error("make", data))?;
            // Recursive, so that it may exist: another process may be faster.
            DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(io_error("make", &path))?;
            // A new folder is durable only once its parent is synced.
            sync_folder(data)?;
            let parent = data.parent().filter(|parent| !parent.as_os_str().is_empty());
            sync_folder(parent.unwrap_or(Path::new(".")))?;
        }
        Ok(Self { path })
    }

    fn file(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number}.pem"))
    }

    /// The numbers of the keys, in ascending order. Ignores other files in the folder.
    fn numbers(&self) -> Result<Vec<u32>, KeysError> {
        let error = io_error("list", &self.path);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(&error)? {
            let name = entry.map_err(&error)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".pem")).and_then(|stem| stem.parse().ok());
            // `+1.pem` and `01.pem` parse too, but `file` spells their numbers differently.
            numbers.extend(number.filter(|number| self.file(*number).file_name() == Some(&name)));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn own_key(&self, number: u32) -> Result<OwnKey, KeysError> {
        Ok(OwnKey { id: self.read(number)?.0.id, path: self.file(number) })
    }

    fn read(&self, number: u32) -> Result<(SigningKey, VerifyingKey), KeysError> {
        let path = self.file(number);
        let pem = text_file::read(&path).map_err(io_error("read", &path))?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| KeysError::Malformed(path.clone()))?;
        let der = der.secret_pkcs8_der();
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| KeysError::Malformed(path))?;
        let key = DecodingKey::from_ed_der(pair.public_key().as_ref());
        let id = thumbprint(&key);
        let public = VerifyingKey { id: Some(id.clone()), algorithms: vec![Algorithm::EdDSA], key };
        Ok((SigningKey { id, key: EncodingKey::from_ed_der(der) }, public))
    }

    /// Makes a key with this number. `None` if another process has just taken the number.
    fn write(&self, number: u32) -> Result<Option<OwnKey>, KeysError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeysError::Generate)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeysError::Generate)?;
        // The 48 bytes of such a key are exactly one line of PEM (RFC 7468).
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        let temporary = self.path.join(format!(".{}.tmp", Uuid::new_v4()));
        let path = self.file(number);
        // A link appears with the complete file or, if the name is taken, not at all. A rename would replace the other
        // process's key.
        let private = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let written = private.and_then(|mut file| file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()));
        let linked = written.and_then(|()| fs::hard_link(&temporary, &path));
        let removed = fs::remove_file(&temporary);
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            linked => linked.and(removed).map_err(io_error("make", &path))?,
        }
        sync_folder(&self.path)?;
        self.own_key(number).map(Some)
    }
}

/// The thumbprint of an Ed25519 key (RFC 7638) with SHA-256, in base64url.
fn thumbprint(key: &DecodingKey) -> String {
    let jwk = Jwk::from_decoding_key(key, Some(Algorithm::EdDSA)).expect("Ed25519 keys have 32 bytes");
    jwk.thumbprint(ThumbprintHash::SHA256).expect("a thumbprint is defined for Ed25519 keys")
}

fn sync_folder(path: &Path) -> Result<(), KeysError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error("sync", path))
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> KeysError {
    move |source| KeysError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
