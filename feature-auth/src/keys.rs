//! Keys: an issuer's keys verify its tokens. The server's own keys also sign.

pub(crate) mod jwks;
pub(crate) mod jwks_cache;
pub(crate) mod jwks_http;
pub(crate) mod key_set;
mod signing_keys;

pub use self::signing_keys::{KeyFolder, KeysError, OwnKey, SigningKey};
