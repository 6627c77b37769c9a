//! The configuration with its defaults: accepted issuers and client certificates, time limits, and roles. It is the
//! part `auth` and `roles` of the server's settings: keys in the file are the fields' names.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use self::values::{CertificateUri, HttpsUrl, Id, NotEmpty, Role, Subject, list, number, path, permissions, text};

pub mod values;

/// Which credentials are accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Auth {
    /// How far the clock of an issuer may be off, in seconds; at most 30.
    #[serde(deserialize_with = "number::<0, 30, _, _>")]
    pub leeway_s: u64,
    /// The longest lifetime of a token that is accepted or minted, in seconds; at most ten years.
    #[serde(deserialize_with = "number::<1, 315_360_000, _, _>")]
    pub max_token_lifetime_s: u64,
    /// The claim with a list of roles.
    #[serde(deserialize_with = "text::<NotEmpty, _, _>")]
    pub roles_claim: String,
    /// The file that lists revoked tokens.
    #[serde(deserialize_with = "path")]
    pub revocation_file: Option<PathBuf>,
    /// How long an issuer's last good keys are accepted while newer ones cannot be loaded, in seconds. It is longer
    /// than the pause between two loads of keys from a URL.
    #[serde(deserialize_with = "number::<900, 31_536_000, _, _>")]
    pub jwks_max_stale_s: u64,
    /// Verified tokens that are cached, each of up to 1 KiB; with 0 every call's token is verified anew.
    #[serde(deserialize_with = "number::<0, 10_000_000, _, _>")]
    pub token_cache_entries: usize,
    /// Issuers whose tokens are accepted beside the server's own.
    pub issuers: Vec<Issuer>,
    /// Clients that are recognised by their certificates.
    pub certificates: Vec<Certificate>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            leeway_s: 10,
            max_token_lifetime_s: 24 * 60 * 60,
            roles_claim: "roles".to_owned(),
            revocation_file: None,
            jwks_max_stale_s: 24 * 60 * 60,
            token_cache_entries: 16_384,
            issuers: Vec::new(),
            certificates: Vec::new(),
        }
    }
}

/// An OIDC issuer. It has exactly one of `jwks_file` and `jwks_url`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Issuer {
    /// The `iss` of its tokens.
    #[serde(deserialize_with = "text::<NotEmpty, _, _>")]
    pub issuer: String,
    /// The `aud` that its tokens must hold.
    #[serde(deserialize_with = "text::<NotEmpty, _, _>")]
    pub audience: String,
    /// The instance that its tokens are bound to. Without it they are bound to none, and their roles may reach
    /// everything.
    #[serde(default, deserialize_with = "text::<Id, _, _>")]
    pub instance: Option<String>,
    /// A file with its keys, as a JSON Web Key Set.
    #[serde(default, deserialize_with = "path")]
    pub jwks_file: Option<PathBuf>,
    /// An https URL with its keys, as a JSON Web Key Set.
    #[serde(default, deserialize_with = "text::<HttpsUrl, _, _>")]
    pub jwks_url: Option<String>,
    /// A file with PEM certificates that the URL's certificate is checked against, instead of the machine's own.
    #[serde(default, deserialize_with = "path")]
    pub jwks_ca_file: Option<PathBuf>,
}

/// A client that is recognised by its certificate. It has exactly one of `uri` and `subject`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Certificate {
    /// A URI among the certificate's alternative names.
    #[serde(default, deserialize_with = "text::<CertificateUri, _, _>")]
    pub uri: Option<String>,
    /// The certificate's whole subject, as RFC 4514 spells it.
    #[serde(default, deserialize_with = "text::<Subject, _, _>")]
    pub subject: Option<String>,
    /// The client's roles.
    #[serde(deserialize_with = "list::<Role, _>")]
    pub roles: Vec<String>,
    /// The instance that the client belongs to.
    #[serde(default, deserialize_with = "text::<Id, _, _>")]
    pub instance: Option<String>,
    /// The organization of its user, in which its roles are granted.
    #[serde(default, deserialize_with = "text::<Id, _, _>")]
    pub organization: Option<String>,
    /// The user that the client is.
    #[serde(default, deserialize_with = "text::<Id, _, _>")]
    pub user: Option<String>,
}

/// A role: what its holders may do, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct RoleSettings {
    /// How far the role reaches.
    pub bound_to: Bound,
    /// The permissions, such as `org.feature.write`.
    #[serde(deserialize_with = "permissions")]
    pub permissions: Vec<String>,
}

/// How far a role reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Everywhere.
    Everything,
    /// The credential's instance.
    Instance,
    /// The organization that the role was granted in.
    Organization,
}
