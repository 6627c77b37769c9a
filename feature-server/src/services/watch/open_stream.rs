//! Counts a stream as open until it is dropped, and its messages.

use crate::call_context::CallContext;
use crate::error::{Failure, OwnFeatureFailure};
use crate::monitoring::watch_counters::{Kind, MessageType, Reason};

/// A stream that counts as open.
pub(super) struct OpenStream {
    context: CallContext,
    kind: Kind,
    reason: Reason,
}

impl OpenStream {
    pub(super) fn new(context: &CallContext, kind: Kind) -> Self {
        context.counters().watches.opened(kind);
        Self { context: context.clone(), kind, reason: Reason::Client }
    }

    /// Counts a message.
    pub(super) fn sent(&self, message: MessageType) {
        self.context.counters().watches.sent(message);
    }

    /// Notes why the stream ends.
    pub(super) fn ends_with(&mut self, failure: &Failure) {
        self.reason = match failure {
            Failure::ShuttingDown => Reason::Leaving,
            Failure::Auth(_) => Reason::Credential,
            Failure::OwnFeature(OwnFeatureFailure::WatchTooSlow) => Reason::Slow,
            _ => Reason::Failed,
        };
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.context.counters().watches.closed(self.kind, self.reason);
    }
}
