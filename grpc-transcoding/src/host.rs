//! The interface between the transcoder and the server that runs it.

use std::future::Future;

use http::Extensions;
use tonic::{Code, Status};

use super::error::Error;

/// Decoding up to this many bytes takes less than a millisecond, so a host can do it on the thread of the connection.
pub const INLINE_BYTES: usize = 64 * 1024;

/// One call, as the server that runs the transcoder sees it: its limits, its threads, its statuses and its log.
///
/// By default a host has no log.
pub trait CallHost: Clone + Send + Sync + Unpin + 'static {
    /// The host of the call with these request extensions. Plain gRPC calls need none, unless they are compressed.
    fn of(extensions: &Extensions) -> Self;

    /// The largest message that a request may have, compressed or not, in bytes.
    fn message_bytes(&self) -> usize;

    /// Counts bytes of the request that decompression adds.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the host has no room for them.
    fn reserve_bytes(&self, bytes: usize) -> Result<(), Error>;

    /// Runs a job that decodes this many bytes: at once up to [`INLINE_BYTES`], and else wherever the host likes.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the host has no capacity for it, and [`Error::Internal`] when the job panics.
    fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send;

    /// The status of an error, with the details that this host adds.
    fn status(&self, error: &Error) -> Status {
        error.status()
    }

    /// Notes the code that the call ends with, for the host's log.
    fn set_code(&self, _code: Code) {}

    /// Runs code that may write to the log, so that its lines name the call.
    fn in_span<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }

    /// The status of the error that ends the call.
    fn end_with(&self, error: &Error) -> Status {
        let status = self.status(error);
        self.set_code(status.code());
        status
    }
}

/// A host without a log, without accounting and without threads for large jobs.
///
/// A request can have one in its extensions; others get [`DefaultHost::default`].
#[derive(Debug, Clone, Copy)]
pub struct DefaultHost {
    /// The largest message that a request may have, compressed or not, in bytes.
    pub message_bytes: usize,
}

impl Default for DefaultHost {
    fn default() -> Self {
        // As most gRPC servers.
        Self { message_bytes: 4 * 1024 * 1024 }
    }
}

impl CallHost for DefaultHost {
    fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }

    fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    fn reserve_bytes(&self, _: usize) -> Result<(), Error> {
        Ok(())
    }

    async fn run<T: Send + 'static>(&self, _: usize, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        Ok(job())
    }
}
