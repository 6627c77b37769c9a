//! Keys: an issuer's keys verify its tokens. The server's own keys also sign.

pub(crate) mod jwks;
pub(crate) mod jwks_cache;
pub(crate) mod jwks_http;
mod signing_keys;

use std::error::Error;
use std::io;
use std::path::PathBuf;

use http::StatusCode;
use hyper_util::client::legacy;

use self::jwks_http::BODY_MAX_BYTES;
pub use self::signing_keys::{KeyFolder, KeysError, OwnKey, SigningKey};
use crate::roots::RootsError;

/// Why the keys of an issuer cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Folder(#[from] KeysError),
    #[error("cannot read {}: {}", .0.display(), .1)]
    File(PathBuf, io::Error),
    #[error("must be an https URL without user information")]
    Url,
    #[error(transparent)]
    CaFile(RootsError),
    #[error("{0}, name some in jwks_ca_file")]
    NoRoots(RootsError),
    #[error("the server gives no complete answer in time")]
    Timeout,
    /// The server cannot be reached, or its certificate is not trusted.
    #[error("the server cannot be reached: {}", chain(.0))]
    Connection(#[from] legacy::Error),
    /// The status is not 200. That includes redirects, which could lead anywhere.
    #[error("the server answers {0}")]
    Status(StatusCode),
    #[error("the answer cannot be read, or has more than {BODY_MAX_BYTES} bytes: {0}")]
    Body(Box<dyn Error + Send + Sync>),
    /// The text is no JSON object with a list `keys`.
    #[error("the answer or file is no JSON Web Key Set")]
    Malformed,
    #[error("the answer or file holds no usable key{}", listed(.0))]
    NoUsableKey(Vec<String>),
}

/// The error with its causes: the outermost one alone does not say what failed.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The first three reasons, as the end of a sentence.
fn listed(reasons: &[String]) -> String {
    let first = reasons[..reasons.len().min(3)].join("; ");
    if first.is_empty() { first } else { format!(" ({first})") }
}
