//! Guards around the opening of sled, which may panic on damage or hang on a bad disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::doubt;
use crate::error::OpenError;
use crate::files;

/// The time that a projection of any size may take to open. An empty one takes milliseconds.
const LEAST_TIMEOUT: Duration = Duration::from_secs(30);

/// The slowest acceptable opening, in bytes of the projection. A slow, busy disk reads several times as many.
const BYTES_PER_SECOND: u64 = 1024 * 1024;

/// The longest time that the projection in `folder` may take to open and check.
pub(super) fn timeout_of(folder: &Path) -> Duration {
    // sled keeps nearly everything in this file. Without it, it opens at once.
    let bytes = files::length(&folder.join("db")).unwrap_or_default();
    LEAST_TIMEOUT + Duration::from_secs(bytes / BYTES_PER_SECOND)
}

/// Turns a panic of sled, which some damage causes, into an error.
pub(super) fn catching_panics<T>(run: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(doubt(format!("sled panicked: {}", text.unwrap_or("without a text"))))
    })
}

/// As [`catching_panics`], on a thread of its own, which is abandoned when it takes longer than `timeout`.
///
/// # Errors
/// Those of `run`, and [`OpenError::ProjectionHangs`] after the timeout.
pub(super) fn with_timeout<T: Send + 'static>(
    timeout: Duration,
    folder: &Path,
    run: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let (sender, outcome) = sync_channel(1);
    // After the timeout the receiver is gone.
    let work = move || drop(sender.send(catching_panics(run)));
    thread::Builder::new().name("projection".to_owned()).spawn(work).map_err(doubt)?;
    match outcome.recv_timeout(timeout) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => Err(OpenError::ProjectionHangs { folder: folder.to_owned(), timeout }),
        Err(RecvTimeoutError::Disconnected) => unreachable!("a panic of `run` is caught and sent too"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_panics_is_in_doubt_and_what_takes_too_long_hangs() {
        let folder = Path::new("data/projection");
        assert_eq!(with_timeout(LONG, folder, || Ok(7)).unwrap(), 7);
        let line = with_timeout::<()>(LONG, folder, || panic!("page {}", 7)).unwrap_err().to_string();
        assert!(line.contains("cannot be built: sled panicked: page 7; check"), "{line}");
        let line = with_timeout::<()>(Duration::ZERO, folder, || {
            loop {
                thread::park();
            }
        })
        .unwrap_err()
        .to_string();
        assert!(
            line.starts_with("data/projection did not open within 0 s, so it was set aside: start again"),
            "{line}"
        );
    }

    #[test]
    fn a_larger_projection_may_take_longer() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(timeout_of(folder.path()), LEAST_TIMEOUT);
        let file = std::fs::File::create(folder.path().join("db")).unwrap();
        file.set_len(100 * BYTES_PER_SECOND).unwrap();
        assert_eq!(timeout_of(folder.path()), LEAST_TIMEOUT + Duration::from_secs(100));
    }
}
