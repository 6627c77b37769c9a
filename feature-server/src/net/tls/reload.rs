//! Reloads the files of TLS: a change applies to new connections.
//!
//! The files are read every second and compared as a whole. So any way of replacing them works: in place, by a rename,
//! or by a new target of a symbolic link further up.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::time::sleep;

use super::expiry::Validity;
use super::files::{Contents, Files, Made, TlsError};

/// The time between two reads of the files.
const INTERVAL: Duration = Duration::from_secs(1);

/// The time between two warnings about a certificate that expires soon.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// The files, and what the last reads have shown.
pub(crate) struct Reload {
    files: Files,
    /// The contents that were last tried, valid or not.
    tried: Result<Contents, TlsError>,
    /// The result of the last read.
    seen: Result<Contents, TlsError>,
    /// The validity of the certificate in use.
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

    /// Applies changes for as long as the future runs.
    pub(crate) async fn run(mut self, config: &ArcSwap<ServerConfig>) -> Infallible {
        loop {
            sleep(INTERVAL).await;
            // The files may be on a disk that hangs, and connections must not wait for that.
            let looked = tokio::task::spawn_blocking(move || {
                let changed = self.look();
                (self, changed)
            });
            // Fails only when the runtime ends.
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

    /// Reads the files once; `None` if there is no new content to try.
    ///
    /// A change is tried when two reads in a row have shown it: a certificate and its key, or a large file, are rarely
    /// replaced at one instant.
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

    /// Logs a warning about problems with the files, now or soon.
    fn warn(&self) {
        let expiry = self.validity.and_then(|validity| validity.warning(SystemTime::now()));
        for warning in [expiry, self.files.warning()].into_iter().flatten() {
            tracing::warn!("TLS: {warning}");
        }
    }
}
