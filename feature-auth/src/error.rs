//! The crate's errors: why a call is refused, and why a configuration does not work.

use std::path::{Path, PathBuf};

use feature_core::IdError;

use crate::keys::KeysError;

/// Why a call is refused. The texts are part of the wire contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The call has no credential.
    #[error("no credential: send the metadata 'authorization: Bearer TOKEN'")]
    TokenMissing,
    /// The token is malformed, its signature or issuer is not accepted, or it is meant for another audience.
    #[error("the token is not valid: {0}")]
    TokenInvalid(&'static str),
    /// The token was valid once.
    #[error("the token has expired: get a new one")]
    TokenExpired,
    /// The client certificate was valid when the connection was opened, and has expired since.
    #[error("the client certificate has expired: connect again with a new one")]
    CertificateExpired,
    /// The caller has no right to do this.
    #[error("the permission '{permission}' is missing: {why}")]
    PermissionMissing {
        /// The permission that the caller needs.
        permission: String,
        /// What the caller lacks exactly.
        why: &'static str,
    },
    /// Neither the credential nor the call names an instance, and there is no default.
    #[error(
        "no instance: use a token of an instance, send the metadata 'x-zitadel-instance-id', or configure instances"
    )]
    InstanceUnknown,
    /// A metadata entry or a field of the call is malformed.
    #[error("{field}: {problem}")]
    FieldInvalid {
        /// The entry or the field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no such method.
    #[error("there is no method {0}")]
    MethodUnknown(String),
    /// The method has no rule, so it is closed.
    #[error("the method {0} says nothing about who may call it, so nobody may")]
    MethodWithoutAccess(String),
}

impl AuthError {
    /// A malformed field or metadata entry.
    pub fn field(field: &'static str, problem: impl ToString) -> Self {
        AuthError::FieldInvalid { field, problem: problem.to_string() }
    }
}

/// Why authentication cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
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

impl SetupError {
    /// A setting that does not work.
    pub fn setting(key: impl Into<String>, value: impl ToString, problem: impl ToString) -> Self {
        SetupError::Setting { key: key.into(), value: value.to_string(), problem: problem.to_string() }
    }

    /// An optional setting whose file does not work.
    pub(crate) fn file(key: impl Into<String>, file: &Option<PathBuf>, problem: impl ToString) -> Self {
        Self::setting(key, file.as_deref().unwrap_or(Path::new("")).display(), problem)
    }

    /// Reads the id in an optional setting.
    pub(crate) fn id<I>(key: String, id: Option<&str>, new: fn(&str) -> Result<I, IdError>) -> Result<Option<I>, Self> {
        id.map(new).transpose().map_err(|problem| Self::setting(key, id.unwrap_or_default(), problem))
    }
}
