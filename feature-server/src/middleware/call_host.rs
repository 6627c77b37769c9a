//! The transcoder's view of a call on this server: the limits come from its permit, statuses and log from its context.

use grpc_transcoding::{CallHost, Error};
use http::Extensions;
use tonic::{Code, Status};

use crate::call_context::CallContext;
use crate::error::Failure;
use crate::permit::{Permit, decode_pool};

/// The host of the calls of this server.
#[derive(Debug, Clone)]
pub(crate) struct ServerHost {
    context: CallContext,
    permit: Permit,
}

impl CallHost for ServerHost {
    fn of(extensions: &Extensions) -> Self {
        let permit = Permit::of(extensions).cloned().expect("the layer admission gives each call its permit");
        Self { context: CallContext::of(extensions), permit }
    }

    fn message_bytes(&self) -> usize {
        self.permit.message_bytes()
    }

    fn reserve_bytes(&self, bytes: usize) -> Result<(), Error> {
        // The permit of an authenticated call refuses bytes for one reason only; others need no reservation.
        self.permit.reserve_decompressed_bytes(bytes).map_err(|_| Error::Overloaded)
    }

    async fn run<T: Send + 'static>(&self, bytes: usize, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        decode_pool::run(&self.permit, bytes, job).await
    }

    fn status(&self, error: &Error) -> Status {
        Failure::from(error.clone()).status(self.context.request_id())
    }

    fn set_code(&self, code: Code) {
        self.context.set_code(code);
    }

    fn in_span<T>(&self, work: impl FnOnce() -> T) -> T {
        self.context.in_span(work)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::settings::Limits;
    use crate::permit::{Permits, Usage};

    #[test]
    fn decompressed_bytes_count_as_bytes_of_the_request() {
        let limits = Limits { request_bytes: 400_000, message_bytes: 100_000, ..Limits::default() };
        let (permit, _guard) = Permits::new(&limits).permit([127, 0, 0, 1].into(), false, 100_000);
        let identity = Arc::<Usage>::default();
        permit.authenticate(Arc::clone(&identity)).unwrap();
        let host = ServerHost { context: CallContext::for_tests(), permit };
        // 60,000 bytes, as the transcoder decompresses them.
        let decompress = || [8192; 7].into_iter().chain([2656]).try_for_each(|bytes| host.reserve_bytes(bytes));
        decompress().expect("a quarter of all is for one identity");
        assert_eq!(identity.take_cost(), 1 + 7, "the last piece is small, and costs nothing");
        assert!(matches!(decompress(), Err(Error::Overloaded)));
    }
}
