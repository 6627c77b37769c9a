//! Keeps TLS current: what changes in the files is put in force for the connections to come.
//!
//! The files are read again and again and compared as a whole. So it does not matter how they are replaced: in place,
//! by a rename, or by another target of a symbolic link further up.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::time::sleep;

use super::expiry::Validity;
use super::files::{Contents, Files, Made, TlsError};

/// How long lies between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often a certificate that expires soon is warned about.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// The files, and what was seen of them.
pub(crate) struct Reload {
    files: Files,
    /// What was tried last, whether it could be used or not.
    tried: Result<Contents, TlsError>,
    /// What the last look has shown.
    seen: Result<Contents, TlsError>,
    /// Of the certificate that is in force.
    validity: Option<Validity>,
    reminded: Instant,
}

impl Reload {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// [`TlsError`] when they cannot be used.
    pub(crate) fn begin(files: Files) -> Result<(Self, ServerConfig), TlsError> {
        let contents = files.read()?;
        let Made { config, validity } = files.make(&contents)?;
        let tried = Ok(contents);
        let reload = Self { files, seen: tried.clone(), tried, validity, reminded: Instant::now() };
        reload.warn();
        Ok((reload, config))
    }

    /// Puts changes in force for as long as it runs.
    pub(crate) async fn run(mut self, config: &ArcSwap<ServerConfig>) -> Infallible {
        loop {
            sleep(INTERVAL).await;
            // Files may be on a disk that hangs, and no connection shall wait for that.
            let looked = tokio::task::spawn_blocking(move || {
                let changed = self.look();
                (self, changed)
            });
            // It fails only when the runtime ends.
            let Ok((reload, changed)) = looked.await else { return pending().await };
            self = reload;
            match changed {
                Some(Ok(changed)) => {
                    config.store(Arc::new(changed));
                    tracing::info!("the files of TLS have changed: new connections use the new ones");
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "the files of TLS have changed and cannot be used: what was in force stays");
                }
                None => {}
            }
        }
    }

    /// Looks at the files once. `None` when there is nothing new to try.
    ///
    /// A change is tried when it is seen for the second time: a certificate and its key, or a large file, are seldom
    /// replaced in one go.
    pub(crate) fn look(&mut self) -> Option<Result<ServerConfig, TlsError>> {
        if self.reminded.elapsed() >= REMINDER {
            self.reminded = Instant::now();
            self.warn();
        }
        let before = std::mem::replace(&mut self.seen, self.files.read());
        if self.seen != before || self.seen == self.tried {
            return None;
        }
        self.tried = self.seen.clone();
        let made = self.seen.as_ref().map_err(TlsError::clone).and_then(|contents| self.files.make(contents));
        Some(made.map(|Made { config, validity }| {
            self.validity = validity;
            self.warn();
            config
        }))
    }

    /// Tells the operator what will go wrong, or could.
    fn warn(&self) {
        let expiry = self.validity.and_then(|validity| validity.warning(SystemTime::now()));
        for warning in [expiry, self.files.warning()].into_iter().flatten() {
            tracing::warn!("TLS: {warning}");
        }
    }
}
