//! Who calls, and what they may do.
//!
//! A call passes here before anything of it is decoded: [`Authenticator`] turns its token into a [`Principal`], the
//! [`layer()`] asks the method's rule whether that principal may call at all, and the [`access::Caller`] it leaves in
//! the request answers the services what the principal may do to one resource. No feature, message or store is known
//! here, and tokens, keys and claims are never logged.

pub mod access;
mod authenticator;
mod cached;
mod certificates;
mod claims;
mod error;
mod fetch;
mod issuer;
mod jwks;
mod jws;
mod key_set;
pub mod keys;
mod layer;
mod moment;
pub mod principal;
mod rates;
mod remembered;
mod revocation_file;
mod revocations;
mod role_claims;
pub mod roles;
#[cfg(test)]
pub(crate) mod testing;
pub mod token;
mod upkeep;
mod verifier;

pub use self::authenticator::{Attempt, Authenticator, Waiting};
pub use self::claims::RESERVED_CLAIMS;
pub use self::error::AuthError;
pub use self::layer::{AuthFuture, AuthLayer, AuthService, layer};
pub use self::moment::Moment;
pub use self::principal::Principal;
