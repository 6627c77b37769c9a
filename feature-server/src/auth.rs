//! Who calls, and what they may do.
//!
//! A call passes here before anything of it is decoded: [`Authenticator`] turns its token into a [`Principal`], the
//! [`layer()`] asks the method's rule whether that principal may call at all, and the [`access::Caller`] it leaves in
//! the request answers the services what the principal may do to one resource. No feature, message or store is known
//! here, and tokens, keys and claims are never logged.

pub mod access;
pub(crate) mod authenticator;
pub(crate) mod certificates;
mod claims;
pub(crate) mod clock;
mod error;
mod issuer;
mod jwks;
mod jwks_cache;
mod jwks_http;
mod jws;
mod key_set;
pub mod mint;
pub mod principal;
mod refresh;
mod revocation_file;
mod revocations;
mod role_claims;
pub mod roles;
pub mod signing_keys;
#[cfg(test)]
pub(crate) mod testing;
mod token_cache;
mod verifier;

pub use self::authenticator::{Attempt, Authenticator, Waiting};
pub use self::claims::RESERVED_CLAIMS;
pub use self::clock::Moment;
pub use self::error::AuthError;
pub use self::principal::Principal;
