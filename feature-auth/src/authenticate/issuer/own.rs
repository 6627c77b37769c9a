//! The server as an issuer: its name, and the claims that only its own tokens have.

use feature_core::{IdError, InstanceId, UserId};
use serde_json::Value;

use crate::error::AuthError;

/// The `iss` and the `aud` of the server's own tokens.
pub const OWN_ISSUER: &str = "feature-server";

/// The `sub` of an own token without a user.
pub const OPERATOR: &str = "operator";

/// The claim with the instance of an own token.
pub(crate) const INSTANCE_CLAIM: &str = "instance";

/// The claim with the user of an own token.
pub(crate) const USER_CLAIM: &str = "user";

/// The user of an own token, from its claim.
pub(crate) fn user(claim: Option<&Value>) -> Result<Option<UserId>, AuthError> {
    id(claim, UserId::new, "the claim user is no valid id")
}

/// The instance of an own token, from its claim.
pub(crate) fn instance(claim: Option<&Value>) -> Result<Option<InstanceId>, AuthError> {
    id(claim, InstanceId::new, "the claim instance is no valid id")
}

/// A malformed claim is an error: without its restriction the token would have more rights.
fn id<I>(
    claim: Option<&Value>,
    id: impl Fn(&str) -> Result<I, IdError>,
    problem: &'static str,
) -> Result<Option<I>, AuthError> {
    let Some(claim) = claim else { return Ok(None) };
    let id = claim.as_str().and_then(|text| id(text).ok());
    id.map(Some).ok_or(AuthError::TokenInvalid(problem))
}
