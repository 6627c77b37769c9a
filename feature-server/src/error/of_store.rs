//! Failures of the store, of its readers and of its committer.

use feature_store::{CommitError, ReadError, StoreError};

use super::{Failure, OwnFeatureFailure};

/// What a store says is for the log: it names files of the operator's.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Compacted { oldest, newest } => {
                return OwnFeatureFailure::Compacted { oldest, newest }.into();
            }
            StoreError::Erased { revision } => return OwnFeatureFailure::Erased { revision }.into(),
            StoreError::TooLongAgo { max } => return OwnFeatureFailure::TooLongAgo { max }.into(),
            _ => tracing::error!(%error, "the store failed"),
        }
        match error {
            StoreError::OutcomeUnknown { .. } => Failure::OutcomeUnknown,
            _ => Failure::StoreUnavailable,
        }
    }
}

/// A service looks at the rejections that it expects, and at batches that it lets callers make.
impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Rejected { .. } => OwnFeatureFailure::ChangedMeanwhile.into(),
            CommitError::QueueFull => Failure::Overloaded,
            CommitError::Store(error) => error.into(),
            // Closed or ended by a defect: the store cannot be written any more in both cases.
            CommitError::Closed => Failure::StoreUnavailable,
            CommitError::ScopeRepeated { .. } | CommitError::BatchTooLarge => Failure::Internal,
        }
    }
}

/// The panic itself is in the log already.
impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::QueueFull => Failure::Overloaded,
            ReadError::Panicked => Failure::StoreUnavailable,
        }
    }
}
