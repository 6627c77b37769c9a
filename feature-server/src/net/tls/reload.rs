//! Reloads the files of TLS: a change applies to new connections.
//!
//! The files are read every second and compared as a whole. So any way of replacing them works: in place, by a rename,
//! or by a new target of a symbolic link further up.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use tokio::time::sleep;

use super::Tls;
use super::files::{Files, TlsError};
use crate::config::settings;

/// The time between two reads of the files.
const INTERVAL: Duration = Duration::from_secs(1);

/// The time between two warnings about a certificate that expires soon.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest notice before a certificate expires. For a short-lived certificate the notice is the last fifth of its
/// life: by then its renewal should have happened.
const LONGEST_NOTICE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What the last reads of the files have shown.
pub(crate) struct Reload {
    settings: settings::Tls,
    /// The files that were last tried, valid or not.
    tried: Result<Files, TlsError>,
    /// The result of the last read.
    seen: Result<Files, TlsError>,
    /// The validity of the certificate in use.
    validity: Option<Range<SystemTime>>,
    reminded: Instant,
}

impl Reload {
    /// Reads the files that the settings name for the first time; `None` if they name none.
    pub(crate) fn begin(settings: &settings::Tls) -> Result<Option<(Self, ServerConfig)>, TlsError> {
        let Some(files) = Files::read(settings).transpose()? else { return Ok(None) };
        let (config, validity) = files.make()?;
        let (settings, tried) = (settings.clone(), Ok(files));
        let reload = Self { settings, seen: tried.clone(), tried, validity, reminded: Instant::now() };
        reload.warn();
        Ok(Some((reload, config)))
    }

    /// Applies changes for as long as the runtime runs.
    pub(crate) async fn run(mut self, tls: Weak<Tls>) {
        loop {
            sleep(INTERVAL).await;
            // The files may be on a disk that hangs, and connections must not wait for that.
            let looked = tokio::task::spawn_blocking(move || {
                let changed = self.look();
                (self, changed)
            });
            // Fails when the runtime ends, and after a panic, which is in the log.
            let Ok((reload, changed)) = looked.await else { return };
            self = reload;
            let Some(tls) = tls.upgrade() else { return };
            match changed {
                Some(Ok(changed)) => {
                    tls.config.store(Arc::new(changed));
                    tls.expires_at.store(self.expires_at(), Ordering::Relaxed);
                    tracing::info!("the files of TLS have changed: new connections use the new ones");
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "the files of TLS have changed and cannot be used: what was in force stays");
                }
                None => {}
            }
        }
    }

    /// When the certificate in use expires, in seconds since 1970; 0 if that cannot be read.
    pub(crate) fn expires_at(&self) -> u64 {
        let end = self.validity.as_ref().and_then(|validity| validity.end.duration_since(SystemTime::UNIX_EPOCH).ok());
        end.map_or(0, |end| end.as_secs())
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
        let before = std::mem::replace(&mut self.seen, Files::read(&self.settings)?);
        if self.seen != before || self.seen == self.tried {
            return None;
        }
        self.tried = self.seen.clone();
        let made = self.seen.as_ref().map_err(TlsError::clone).and_then(Files::make);
        Some(made.map(|(config, validity)| {
            self.validity = validity;
            self.warn();
            config
        }))
    }

    /// Logs a warning about problems with the files, now or soon.
    fn warn(&self) {
        let expiry = self.validity.as_ref().and_then(|validity| expiry_warning(validity, SystemTime::now()));
        let key = self.settings.key_file.as_deref().and_then(key_warning);
        for warning in [expiry, key].into_iter().flatten() {
            tracing::warn!("TLS: {warning}");
        }
    }
}

/// A warning if every user of the machine may read the key.
pub(crate) fn key_warning(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| format!("tls.key_file = {path:?}: every user of the machine may read it (chmod o-r)"))
}

/// The warning about a certificate with this validity at this time, if there is one.
fn expiry_warning(validity: &Range<SystemTime>, now: SystemTime) -> Option<String> {
    let life = validity.end.duration_since(validity.start).unwrap_or_default();
    let ends = humantime::format_rfc3339_seconds(validity.end);
    match validity.end.duration_since(now) {
        Err(_) => Some(format!("the certificate expired at {ends}: clients refuse to connect")),
        Ok(_) if now < validity.start => {
            let begins = humantime::format_rfc3339_seconds(validity.start);
            Some(format!("the certificate is not valid before {begins}: clients refuse to connect"))
        }
        Ok(left) if left < LONGEST_NOTICE.min(life / 5) => Some(format!("the certificate expires at {ends}")),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_before_the_end_and_after_it() {
        const DAY: u64 = 24 * 60 * 60;
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let table = [
            // valid from, until, now, what is said
            (DAY, 366 * DAY, 100 * DAY, None),
            (DAY, 366 * DAY, 352 * DAY, None),
            (DAY, 366 * DAY, 352 * DAY + 1, Some("the certificate expires at 1971-01-02T00:00:00Z")),
            (0, 100, 79, None),
            (0, 100, 81, Some("the certificate expires at 1970-01-01T00:01:40Z")),
            (0, 100, 101, Some("the certificate expired at 1970-01-01T00:01:40Z: clients refuse to connect")),
            (50, 100, 49, Some("the certificate is not valid before 1970-01-01T00:00:50Z: clients refuse to connect")),
        ];
        for (begins, ends, now, said) in table {
            let warning = expiry_warning(&(at(begins)..at(ends)), at(now));
            assert_eq!(warning.as_deref(), said, "{begins} to {ends} at {now}");
        }
    }
}
