//! The stored form of the credential of an actor.

use feature_core::Credential;
use prost::Oneof;

use super::NotUnderstood;

#[derive(Clone, PartialEq, Eq, Oneof)]
pub(super) enum StoredCredential {
    /// A token of this issuer.
    #[prost(string, tag = "12")]
    Token(String),
    /// A client certificate: always `true`.
    #[prost(bool, tag = "13")]
    Certificate(bool),
}

impl From<&Credential> for StoredCredential {
    fn from(credential: &Credential) -> Self {
        match credential {
            Credential::Token { issuer } => Self::Token(issuer.clone()),
            Credential::Certificate => Self::Certificate(true),
        }
    }
}

impl TryFrom<StoredCredential> for Credential {
    type Error = NotUnderstood;

    fn try_from(stored: StoredCredential) -> Result<Self, NotUnderstood> {
        match stored {
            StoredCredential::Token(issuer) => Ok(Self::Token { issuer }),
            StoredCredential::Certificate(true) => Ok(Self::Certificate),
            StoredCredential::Certificate(false) => Err(NotUnderstood),
        }
    }
}
