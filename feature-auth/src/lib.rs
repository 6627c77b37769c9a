//! Who calls, and what they may do.
//!
//! A call passes here before anything of it is decoded: [`Authenticator`] turns its token into a [`Principal`], the
//! layer of the middleware asks the method's rule whether that principal may call at all, and the [`access::Caller`] it
//! leaves in the request answers the services what the principal may do to one resource. No feature, message or store
//! is known here, and tokens, keys and claims are never logged.

pub mod access;
pub mod authenticate;
pub(crate) mod clock;
mod error;
pub mod keys;
pub mod mint;
mod revocation;
pub mod roles;
#[cfg(test)]
pub(crate) mod testing;

pub use self::authenticate::claims::RESERVED_CLAIMS;
pub use self::authenticate::principal::{self, Principal};
pub use self::authenticate::{Attempt, Authenticator, Waiting};
pub use self::clock::Moment;
pub use self::error::AuthError;
pub use self::keys::signing_keys;
