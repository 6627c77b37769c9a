//! Failures that only the services of own features have.

use tonic::Code;

/// Why a call about own features failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnFeatureFailure {
    /// No feature has this key, or the caller must not see it.
    #[error("no feature here has the key '{0}': ListFeatureDefinitions lists all keys")]
    Unknown(String),
    /// A read of an archived feature.
    #[error(
        "the feature '{0}' is archived or deleted, so it has no value: \
         UnarchiveFeatureDefinition takes an archived one into use again"
    )]
    NotRead(String),
    /// A change of an archived feature.
    #[error(
        "the feature '{0}' is archived or deleted, so it cannot be changed: \
         UnarchiveFeatureDefinition takes an archived one into use again"
    )]
    NotWritten(String),
    /// A deletion of a feature that is in use.
    #[error("the feature '{0}' is in use, so it cannot be deleted: ArchiveFeatureDefinition first")]
    NotArchived(String),
    /// A change of a deleted feature.
    #[error("the feature '{0}' is deleted, so it cannot be changed: UndeleteFeatureDefinition takes that back")]
    Deleted(String),
    /// A deletion can no longer be taken back.
    #[error("the feature '{0}' is deleted and its values are removed: define another feature")]
    Expired(String),
    /// Values break new constraints.
    #[error(
        "{count} scopes have values that break the new constraints, such as {named}: \
         let 'violations' say what happens to them, or change them first"
    )]
    ValuesViolate {
        /// How many.
        count: usize,
        /// The names of the settings of some of them.
        named: String,
    },
    /// The key of a new definition is taken.
    #[error("the key is taken by {0}: choose another one")]
    Exists(String),
    /// The etag of a request is not the current one.
    #[error("{field} is not the current one, which is {current}: read again, then repeat the change")]
    EtagMismatch {
        /// The field with the etag.
        field: String,
        /// The current etag.
        current: String,
    },
    /// What the request was checked against changed again and again meanwhile.
    #[error("others change the same at this moment: try again")]
    ChangedMeanwhile,
    /// The state that the pages of a list show is gone.
    #[error("too much has changed since the page before: begin again without a page_token")]
    ListingChanged,
    /// A limit is reached.
    #[error("{what} would be more than {max}, which is the limit")]
    LimitReached {
        /// What is counted.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// No change has this revision, or the caller must not see it.
    #[error("no change here has the revision {0}: ListChanges lists all that can be seen")]
    ChangeUnknown(u64),
    /// A revision that does not exist yet.
    #[error("revision {revision} is not there yet: the newest one is {newest}")]
    RevisionUnknown {
        /// The revision.
        revision: u64,
        /// The newest one.
        newest: u64,
    },
    /// Too much has changed since to be taken back.
    #[error("more than {max} changes have happened since: choose a later moment")]
    TooLongAgo {
        /// The most changes.
        max: usize,
    },
    /// A resume token of another store.
    #[error("the resume_token is one of another store: begin again without it, and forget what was read with it")]
    StoreChanged,
    /// The client of a stream takes its messages too slowly.
    #[error("messages were not taken for too long: continue with the last resume_token")]
    WatchTooSlow,
    /// What a change has brought about was changed once more.
    #[error("{field} was changed once more by {change}: revert that first, or revert to a revision")]
    ChangeOverwritten {
        /// The feature, or the field of the definition.
        field: String,
        /// The name of the newer change.
        change: String,
    },
    /// The history of that time is not kept any more.
    #[error("the history is kept from revision {oldest} to {newest}: begin again with these")]
    Compacted {
        /// The revision of the oldest change.
        oldest: u64,
        /// The revision of the newest change.
        newest: u64,
    },
    /// The values of that time were erased.
    #[error("what the user had set at revision {revision} was erased, and cannot be read or restored")]
    Erased {
        /// A revision without its values.
        revision: u64,
    },
    /// An answer would be too large.
    #[error("the values have more than {max} bytes: name the features, or fewer scopes")]
    AnswerTooLarge {
        /// The most bytes of an answer.
        max: usize,
    },
}

impl OwnFeatureFailure {
    /// The code of the status, and the reason in its details.
    pub(crate) fn code_and_reason(&self) -> (Code, &'static str) {
        match self {
            Self::Unknown(_) => (Code::NotFound, "FEATURE_UNKNOWN"),
            Self::NotRead(_) => (Code::NotFound, "FEATURE_ARCHIVED"),
            Self::NotWritten(_) => (Code::FailedPrecondition, "FEATURE_ARCHIVED"),
            Self::NotArchived(_) => (Code::FailedPrecondition, "FEATURE_NOT_ARCHIVED"),
            Self::Deleted(_) => (Code::FailedPrecondition, "FEATURE_DELETED"),
            Self::Expired(_) => (Code::FailedPrecondition, "FEATURE_EXPIRED"),
            Self::ValuesViolate { .. } => (Code::FailedPrecondition, "VALUES_VIOLATE"),
            Self::Exists(_) => (Code::AlreadyExists, "FEATURE_EXISTS"),
            Self::EtagMismatch { .. } => (Code::Aborted, "ETAG_MISMATCH"),
            Self::ChangedMeanwhile => (Code::Aborted, "CHANGED_MEANWHILE"),
            Self::ListingChanged => (Code::Aborted, "LISTING_CHANGED"),
            Self::ChangeUnknown(_) => (Code::NotFound, "CHANGE_UNKNOWN"),
            Self::RevisionUnknown { .. } => (Code::FailedPrecondition, "REVISION_UNKNOWN"),
            Self::StoreChanged => (Code::FailedPrecondition, "STORE_CHANGED"),
            Self::WatchTooSlow => (Code::ResourceExhausted, "WATCH_TOO_SLOW"),
            Self::TooLongAgo { .. } => (Code::OutOfRange, "TOO_LONG_AGO"),
            Self::ChangeOverwritten { .. } => (Code::Aborted, "CHANGE_OVERWRITTEN"),
            Self::Compacted { .. } => (Code::OutOfRange, "REVISION_COMPACTED"),
            Self::Erased { .. } => (Code::OutOfRange, "SETTINGS_ERASED"),
            Self::LimitReached { .. } => (Code::FailedPrecondition, "LIMIT_REACHED"),
            Self::AnswerTooLarge { .. } => (Code::FailedPrecondition, "ANSWER_TOO_LARGE"),
        }
    }
}
