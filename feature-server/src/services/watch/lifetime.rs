//! What ends a stream: its connection, or its credential.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use feature_auth::{AuthError, Authenticator, Principal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

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

/// What ends a stream.
pub(super) struct Lifetime {
    leaving: watch::Receiver<bool>,
    credential: Option<Credential>,
    /// When the certificate of a caller without a token expires.
    certificate_expires_at_s: Option<u64>,
}

struct Credential {
    authenticator: Authenticator,
    revocations: watch::Receiver<()>,
    principal: Arc<Principal>,
}

impl Lifetime {
    /// The lifetime of a stream that a call begins.
    pub(super) fn of(call: Call<'_>, backend: &Backend) -> Self {
        let credential = backend.authenticator.as_ref().map(|authenticator| Credential {
            revocations: authenticator.revocations(),
            authenticator: authenticator.clone(),
            principal: call.caller.shared_principal(),
        });
        let Client { leaving, certificate, .. } = call.context.client();
        let has_token = call.caller.principal().token.is_some();
        let certificate = certificate.as_ref().filter(|_| !has_token);
        let certificate_expires_at_s = certificate.map(|certificate| certificate.expires_at);
        Self { leaving: leaving.clone(), credential, certificate_expires_at_s }
    }

    /// Waits for the end. It is cancel-safe.
    pub(super) async fn over(&mut self) -> End {
        let leaving = &mut self.leaving;
        let left = async move {
            // Without its connection, a stream is not polled.
            if leaving.wait_for(|leaving| *leaving).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = left => End::Leaving,
            error = expired(self.credential.as_mut()) => End::Credential(error),
            () = certificate_expired(self.certificate_expires_at_s) => End::Credential(AuthError::CertificateExpired),
        }
    }
}

/// Waits until a credential does not count any more.
async fn expired(credential: Option<&mut Credential>) -> AuthError {
    let Some(Credential { authenticator, revocations, principal }) = credential else {
        return std::future::pending().await;
    };
    loop {
        revocations.mark_unchanged();
        let now = feature_auth::Timestamp::now();
        if let Err(error) = authenticator.check_again(principal, now) {
            return error;
        }
        let left = Duration::from_secs(authenticator.expires_at_s(principal).saturating_sub(unix_s()));
        // The end of the authenticator is that of the server.
        if let Ok(Err(_)) = timeout(left.min(LOOK), revocations.changed()).await {
            sleep(LOOK).await;
        }
    }
}

async fn certificate_expired(expires_at_s: Option<u64>) {
    let Some(expires_at_s) = expires_at_s else { return std::future::pending().await };
    while unix_s() < expires_at_s {
        sleep(Duration::from_secs(expires_at_s - unix_s()).min(LOOK)).await;
    }
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
