//! Why identity cannot be set up at start. What goes wrong in a call is a `Failure` and not here.

use crate::auth::keys::signing_keys::KeysError;

/// Why the server cannot tell who calls.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A setting has a value that does not work.
    #[error("{key} = {value:?}: {problem}")]
    Setting {
        /// The setting, such as `auth.issuers[0].jwks_url`.
        key: String,
        /// Its value.
        value: String,
        /// What is wrong with it, and what is allowed.
        problem: String,
    },
    /// The server's own keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl AuthError {
    pub(super) fn setting(key: impl Into<String>, value: impl ToString, problem: impl ToString) -> Self {
        Self::Setting { key: key.into(), value: value.to_string(), problem: problem.to_string() }
    }
}
