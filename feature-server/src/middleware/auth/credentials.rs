//! The credentials in a request: the token in its headers, and the certificate of its connection.

use feature_auth::{AuthError, CertificateNames};
use http::header::{AUTHORIZATION, ORIGIN};
use http::{HeaderMap, Request};

use crate::call_context::CallContext;

/// The token in the one `authorization` header (RFC 6750, section 2.1).
///
/// # Errors
/// [`AuthError::TokenMissing`] or [`AuthError::TokenInvalid`].
pub fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthError::TokenMissing)?;
    if values.next().is_some() {
        return Err(AuthError::TokenInvalid("there is more than one authorization header"));
    }
    let value = value.to_str().map_err(|_| AuthError::TokenInvalid("it is not plain ASCII"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_matches(' ')),
        _ => Err(AuthError::TokenInvalid("the authorization header is not 'Bearer TOKEN'")),
    }
}

/// The certificate of the connection, if it counts.
///
/// It does not count beside a token, which is more specific, nor in a request of a web page: a browser adds the
/// certificate of its user to the requests of any page, so a page needs a token.
pub fn certificate<B>(request: &Request<B>) -> Option<&CertificateNames> {
    let certificate = request.extensions().get::<CallContext>()?.client().certificate.as_deref()?;
    let headers = request.headers();
    let counts = !headers.contains_key(AUTHORIZATION) && !headers.contains_key(ORIGIN);
    counts.then_some(certificate)
}

#[cfg(test)]
mod tests;
