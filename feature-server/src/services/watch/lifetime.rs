//! What ends a stream: its connection, or its credential.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use feature_auth::{AuthError, Authenticator, Principal, Timestamp};
use pin_project_lite::pin_project;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::call_context::Client;
use crate::services::backend::{Backend, Call};

/// Clocks are set: a wait for the expiry of a token looks again after so long.
const LOOK: Duration = Duration::from_secs(60);

/// Why a stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Its connection leaves.
    Leaving,
    /// Its credential does not count any more.
    Credential(AuthError),
}

pin_project! {
    /// What ends a stream. Ready at its end, once.
    ///
    /// It has no timer of its own: the stream polls it again at [`Lifetime::look_at`].
    pub(super) struct Lifetime {
        // Its connection leaves.
        #[pin]
        leaving: WaitForCancellationFutureOwned,
        // The list of revoked tokens has changed.
        #[pin]
        revoked: Option<OwnedNotified>,
        token: Option<(Authenticator, Arc<Principal>)>,
        // When the certificate of a caller without a token expires.
        certificate_expires_at_s: Option<u64>,
        look_at: Instant,
    }
}

impl Future for Lifetime {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let mut this = self.as_mut().project();
            if this.leaving.poll(cx).is_ready() {
                return Poll::Ready(End::Leaving);
            }
            let is_revoked = this.revoked.as_mut().as_pin_mut().is_some_and(|revoked| revoked.poll(cx).is_ready());
            let now = Instant::now();
            if !is_revoked && now < *this.look_at {
                return Poll::Pending;
            }
            if is_revoked {
                // Before the look, so that no revocation is missed.
                this.revoked.set(this.token.as_ref().map(|(authenticator, _)| authenticator.next_revocation()));
            }
            match self.left() {
                Ok(left) => *self.as_mut().project().look_at = now + left.min(LOOK),
                Err(error) => return Poll::Ready(End::Credential(error)),
            }
        }
    }
}

impl Lifetime {
    /// The lifetime of a stream that a call begins.
    pub(super) fn of(call: Call<'_>, backend: &Backend) -> Self {
        let Client { leaving, certificate, .. } = call.context.client();
        let authenticator = backend.authenticator.as_ref();
        let has_token = call.caller.principal().token.is_some();
        let certificate = certificate.as_ref().filter(|_| !has_token);
        Self {
            leaving: leaving.clone().cancelled_owned(),
            revoked: authenticator.map(Authenticator::next_revocation),
            token: authenticator.map(|it| (it.clone(), call.caller.shared_principal())),
            certificate_expires_at_s: certificate.map(|certificate| certificate.expires_at),
            look_at: Instant::now(),
        }
    }

    /// When the credential may have expired.
    pub(super) fn look_at(&self) -> Instant {
        self.look_at
    }

    /// How long the credential counts, unless it is revoked.
    fn left(&self) -> Result<Duration, AuthError> {
        let now = Timestamp::now();
        let mut expires_at_s = self.certificate_expires_at_s.unwrap_or(u64::MAX);
        if expires_at_s <= now.unix_s {
            return Err(AuthError::CertificateExpired);
        }
        if let Some((authenticator, principal)) = &self.token {
            authenticator.check_again(principal, now)?;
            expires_at_s = expires_at_s.min(authenticator.expires_at_s(principal));
        }
        Ok(Duration::from_secs(expires_at_s.saturating_sub(now.unix_s)))
    }
}
