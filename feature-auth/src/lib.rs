//! Authentication and authorisation: from a credential to a principal, and to a right on a resource.
//!
//! The crate knows no transport. Its caller takes the token, the certificate and the names out of a request:
//!
//! 1. [`Authenticator`] verifies a token, [`Certificates`] recognises a client certificate. Both give a [`Principal`].
//! 2. [`access::AccessRules`] has the rule of each method.
//! 3. [`access::Caller`] checks the rule and answers which resources the principal may reach.
//!
//! Logs of this crate show no token, no key and no claim with roles.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use feature_auth::access::{Caller, Rule};
//! use feature_auth::config::Auth;
//! use feature_auth::keys::KeyFolder;
//! use feature_auth::mint::{TokenRequest, mint};
//! use feature_auth::roles::Roles;
//! use feature_auth::{Authentication, Authenticator, Timestamp};
//! use feature_core::{InstanceId, Level, Scope};
//!
//! # let data = tempfile::tempdir()?;
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # let _entered = runtime.enter();
//! let (config, roles) = (Auth::default(), Roles::new(&BTreeMap::new()));
//! let keys = KeyFolder::open_or_create(data.path())?;
//!
//! // Mint a token.
//! let demo = InstanceId::new("demo")?;
//! let request = TokenRequest {
//!     roles: vec!["IAM_OWNER".to_owned()],
//!     instance: Some(demo.clone()),
//!     lifetime: Duration::from_secs(60),
//!     ..TokenRequest::default()
//! };
//! let token = mint(&keys.signing()?, &config, &roles, &request, Timestamp::now())?.token;
//!
//! // Authenticate it.
//! let authenticator = Authenticator::new(&config, &roles, keys, Timestamp::now())?;
//! let Authentication::Ready(principal) = authenticator.authenticate(&token, Timestamp::now()) else {
//!     panic!("the key is loaded");
//! };
//!
//! // Ask for a right. `()` is a call that names neither an instance nor an organization.
//! let rule = Rule::new(Some("iam.feature.write".to_owned()), None, Some(Level::Instance));
//! let caller = Caller::admit(principal?, Arc::new(rule), &())?;
//! assert_eq!(caller.instance()?, Scope::Instance(demo));
//! assert!(caller.system().is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod access;
mod authenticate;
mod clock;
pub mod config;
mod error;
pub mod keys;
pub mod mint;
pub mod revocation;
pub mod roles;
pub mod roots;
#[cfg(test)]
mod testing;
pub mod text_file;

pub use self::authenticate::certificates::{CertificateNames, Certificates};
pub use self::authenticate::claims::RESERVED_CLAIMS;
pub use self::authenticate::issuer::{OPERATOR, OWN_ISSUER};
pub use self::authenticate::principal::{Grant, Identity, Principal, TokenNames};
pub use self::authenticate::{Authentication, Authenticator, PendingAuthentication};
pub use self::clock::Timestamp;
pub use self::error::{AuthError, SetupError};
