//! Keys: those of issuers, which verify tokens, and the server's own, which sign them too.

pub(super) mod jwks;
pub(super) mod jwks_cache;
pub(super) mod jwks_http;
pub(super) mod key_set;
pub mod signing_keys;
