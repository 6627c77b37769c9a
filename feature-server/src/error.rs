//! Every way in which a call can fail, and the one place that turns a failure into a `tonic::Status`.
//!
//! The codes, reasons and details are those of the wire contract. Nothing else in this crate makes a status.

use std::collections::HashMap;
use std::time::Duration;

use feature_api::request::RequestError;
use feature_auth::AuthError;
use feature_core::{PatchError, Rejection};
use grpc_transcoding::Error;
use grpc_transcoding::error::client_text::cut;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::host::HostError;

pub use self::library::complete;
pub use self::own_features::OwnFeatureFailure;

mod library;
mod of_store;
mod own_features;

/// The `domain` of every `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "zitadel.feature.v2";

const FIELD_INVALID: (Code, &str) = (Code::InvalidArgument, "FIELD_INVALID");
const METHOD_UNKNOWN: (Code, &str) = (Code::Unimplemented, "METHOD_UNKNOWN");

/// How long a client should wait before it repeats a call that came at a bad moment.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The most characters of an unknown path that an answer repeats.
const PATH_MAX_CHARS: usize = 200;

/// The most characters of a violation's field and description, which may repeat what the client has sent.
const FIELD_MAX_CHARS: usize = 256;
const DESCRIPTION_MAX_CHARS: usize = 512;

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The caller is not authenticated, or not authorised.
    #[error(transparent)]
    Auth(AuthError),
    /// The request is for a host that is not known to be this server.
    #[error(
        "this server is not known as '{0}': call it by its address, or name the host in its setting server.allowed_hosts"
    )]
    HostUnknown(String),
    /// A level has set nothing, and the call does not ask for what it inherits.
    #[error("the resource has no feature flag settings and inheritance from the parent is disabled")]
    NoFeaturesSet {
        /// The level's name.
        level: &'static str,
        /// The resource's id.
        resource: String,
    },
    /// A Set names nothing to change.
    #[error("{0}")]
    NoChanges(PatchError),
    /// Something about own features.
    #[error(transparent)]
    OwnFeature(#[from] OwnFeatureFailure),
    /// The request is malformed, incomplete, too large or not supported. The transcoder has the words for it.
    #[error(transparent)]
    Request(Error),
    /// The request is no message of the method's type.
    #[error("the request is no valid protobuf message of the type {0}")]
    MessageMalformed(String),
    /// The client takes too long to send its request.
    #[error("the rest of the request did not come in time: the limit is {} ms", .timeout.as_millis())]
    RequestTooSlow {
        /// How long a client may take to send a request.
        timeout: Duration,
    },
    /// Another caller has written since this one read.
    #[error("{0}")]
    SequenceMismatch(Rejection),
    /// More calls came than can be served.
    #[error("too many calls at once: try again in a moment")]
    Overloaded,
    /// More streams were begun than can be served, in all or by one identity.
    #[error("too many watches at once: end some, or watch several scopes with one")]
    TooManyWatches,
    /// One identity makes more calls than its share.
    #[error("too many calls a second by this identity: try again in {} ms", retry_after.as_millis().max(1))]
    RateExceeded {
        /// How long it should wait.
        retry_after: Duration,
    },
    /// The call took longer than the client, or the server, allows.
    #[error("the deadline has passed; a write may have happened all the same")]
    DeadlineExceeded,
    /// The store cannot do this now. What went wrong is for the log, not for the caller.
    #[error("the store is not available: try again later")]
    StoreUnavailable,
    /// The database of a fleet did not confirm a write.
    #[error(
        "the store did not confirm the write in time, and it may have happened all the same: read before you repeat it"
    )]
    OutcomeUnknown,
    /// The view of a replica is older than the operator allows.
    #[error(
        "this server has not been able to prove for too long that its data is the newest: try another one, or later"
    )]
    Stale,
    /// The view of a replica does not have what a Get asks for, and did not get it in time.
    #[error("this server has seen revision {revision}, and did not reach the requested one in time: try again")]
    RevisionNotReached {
        /// The last revision that the view has.
        revision: u64,
    },
    /// A Get asks for a position of another history.
    #[error(
        "revision {revision} of that answer is not one of this history, which was taken back: forget the revision, and \
         what was read with it"
    )]
    HistoryChanged {
        /// The revision of the position.
        revision: u64,
    },
    /// The server is about to stop.
    #[error("the server is shutting down: try again elsewhere or later")]
    ShuttingDown,
    /// Nothing is at the path of a request.
    #[error("nothing is here: /openapi.json lists the paths, and gRPC reflection the methods")]
    PathUnknown,
    /// There is no such method.
    #[error("there is no method {}", cut(.0, PATH_MAX_CHARS))]
    MethodUnknown(String),
    /// Something that should never happen did. What it was is for the log, not for the caller.
    #[error("internal error")]
    Internal,
}

impl Failure {
    /// A failure of one field.
    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Failure::Request(Error::field(field, description))
    }

    fn code_and_reason(&self) -> (Code, &'static str) {
        match self {
            Failure::Auth(error) => match error {
                AuthError::TokenMissing => (Code::Unauthenticated, "TOKEN_MISSING"),
                AuthError::TokenInvalid(_) => (Code::Unauthenticated, "TOKEN_INVALID"),
                AuthError::TokenExpired => (Code::Unauthenticated, "TOKEN_EXPIRED"),
                AuthError::CertificateExpired => (Code::Unauthenticated, "CERTIFICATE_EXPIRED"),
                AuthError::PermissionMissing { .. } => (Code::PermissionDenied, "PERMISSION_MISSING"),
                AuthError::InstanceUnknown => (Code::FailedPrecondition, "INSTANCE_UNKNOWN"),
                AuthError::FieldInvalid { .. } => FIELD_INVALID,
                AuthError::MethodUnknown(_) => METHOD_UNKNOWN,
                AuthError::MethodWithoutAccess(_) => (Code::PermissionDenied, "METHOD_WITHOUT_ACCESS"),
            },
            Failure::HostUnknown(_) => (Code::PermissionDenied, "HOST_UNKNOWN"),
            Failure::NoFeaturesSet { .. } => (Code::NotFound, "NO_FEATURES_SET"),
            Failure::NoChanges(_) => (Code::InvalidArgument, "NO_CHANGES"),
            Failure::OwnFeature(failure) => failure.code_and_reason(),
            Failure::Request(error) => (error.code(), error.reason()),
            Failure::MessageMalformed(_) => FIELD_INVALID,
            Failure::RequestTooSlow { .. } => (Code::DeadlineExceeded, "REQUEST_TOO_SLOW"),
            Failure::SequenceMismatch(_) => (Code::Aborted, "SEQUENCE_MISMATCH"),
            Failure::Overloaded | Failure::RateExceeded { .. } => (Code::ResourceExhausted, "OVERLOADED"),
            Failure::TooManyWatches => (Code::ResourceExhausted, "TOO_MANY_WATCHES"),
            Failure::DeadlineExceeded => (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            Failure::StoreUnavailable | Failure::ShuttingDown => (Code::Unavailable, "STORE_UNAVAILABLE"),
            Failure::OutcomeUnknown => (Code::DeadlineExceeded, "OUTCOME_UNKNOWN"),
            Failure::Stale => (Code::Unavailable, "STALE"),
            Failure::RevisionNotReached { .. } => (Code::Unavailable, "REVISION_NOT_REACHED"),
            Failure::HistoryChanged { .. } => (Code::FailedPrecondition, "HISTORY_CHANGED"),
            Failure::PathUnknown => (Code::NotFound, "PATH_UNKNOWN"),
            Failure::MethodUnknown(_) => METHOD_UNKNOWN,
            Failure::Internal => (Code::Internal, "INTERNAL"),
        }
    }

    /// The reason that the failure's details name.
    pub(crate) fn reason(&self) -> &'static str {
        self.code_and_reason().1
    }

    /// The failure of the request with this id as clients see it, with its `google.rpc` details.
    pub fn status(&self, request_id: &str) -> Status {
        let (code, reason) = self.code_and_reason();
        let mut details = ErrorDetails::new();
        let mut metadata = HashMap::new();
        match self {
            Failure::Auth(AuthError::PermissionMissing { permission, .. }) => {
                metadata.insert("permission".to_owned(), permission.clone());
            }
            Failure::OwnFeature(OwnFeatureFailure::Compacted { oldest, newest }) => {
                let revisions = [("oldest", oldest), ("newest", newest)];
                metadata.extend(revisions.map(|(name, revision)| (name.to_owned(), revision.to_string())));
            }
            Failure::NoFeaturesSet { level, resource } => {
                details.set_resource_info(format!("{ERROR_DOMAIN}/{level}"), resource, "", self.to_string());
            }
            Failure::Request(Error::FieldsInvalid(violations)) => {
                let cut = |violation: &FieldViolation| {
                    let field = cut(&violation.field, FIELD_MAX_CHARS);
                    FieldViolation::new(field, cut(&violation.description, DESCRIPTION_MAX_CHARS))
                };
                details.set_bad_request(violations.iter().map(cut).collect::<Vec<_>>());
            }
            Failure::RateExceeded { retry_after } => {
                details.set_retry_info(Some(*retry_after));
            }
            Failure::Overloaded
            | Failure::StoreUnavailable
            | Failure::Stale
            | Failure::RevisionNotReached { .. }
            | Failure::ShuttingDown => {
                details.set_retry_info(Some(RETRY_DELAY));
            }
            _ => {}
        }
        details.set_error_info(reason, ERROR_DOMAIN, metadata);
        details.set_request_info(request_id, "");
        Status::with_error_details(code, self.to_string(), details)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Overloaded => Failure::Overloaded,
            Error::PathUnknown => Failure::PathUnknown,
            Error::Internal => Failure::Internal,
            error => Failure::Request(error),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Malformed(message) => Failure::MessageMalformed(message),
            error @ RequestError::TooManyFields(_) => Failure::field("body", error.to_string()),
            RequestError::NoChanges(error) => Failure::NoChanges(error),
            RequestError::Invalid(violations) => {
                let violations = violations.into_iter().map(|v| FieldViolation::new(v.field, v.description));
                Failure::Request(Error::FieldsInvalid(violations.collect()))
            }
        }
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::FieldInvalid { field, problem } => Failure::field(field, problem),
            AuthError::MethodUnknown(path) => Failure::MethodUnknown(path),
            error => Failure::Auth(error),
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Failure::field("host", error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_method_is_not_repeated_at_length() {
        let failure = Failure::from(AuthError::MethodUnknown(format!("/{}", "ü".repeat(10_000))));
        assert!(failure.to_string().chars().count() < 250, "{failure}");
    }
}
