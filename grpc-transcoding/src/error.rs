//! The errors of translated calls, each with the gRPC code and the reason that clients get.

use std::collections::HashMap;

use http::{Method, StatusCode};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use self::client_text::quoted;

pub mod client_text;

/// The `domain` of the `google.rpc.ErrorInfo` in [`Error::status`].
pub const ERROR_DOMAIN: &str = "grpc-transcoding";

/// Why a request is no call, or why a call cannot be translated.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Fields of the request are malformed.
    #[error("{}", list(.0))]
    FieldsInvalid(Vec<FieldViolation>),
    /// The content of the request does not have the form that its protocol asks for.
    #[error("the content of the request is malformed: {0}")]
    ContentMalformed(&'static str),
    /// The content of the request has an unsupported compression.
    #[error("the encoding {} is not supported: send gzip or identity", quoted(.0))]
    EncodingUnknown(String),
    /// A request has no message or several, and the method takes one.
    #[error("the method takes exactly one message")]
    NotOneMessage,
    /// A message of the request is larger than allowed.
    #[error("the message is too large: the limit is {limit} bytes")]
    MessageTooLarge {
        /// The largest allowed message, in bytes.
        limit: usize,
    },
    /// The client closed or reset the request before its end.
    #[error("the request ended before it was complete")]
    RequestIncomplete,
    /// The host has no capacity left for the call.
    #[error("too many calls at once: try again in a moment")]
    Overloaded,
    /// No method has the path of the request.
    #[error("no method has this path")]
    PathUnknown,
    /// The path exists, but not with the verb of the request. It takes these verbs.
    #[error("this path takes other verbs: see the header 'allow'")]
    VerbNotAllowed(Vec<Method>),
    /// The path does not take the content type of the request.
    #[error(
        "this content type is not served here: send application/json to paths of the API, and application/json, \
         application/proto, application/grpc (HTTP/2 only), application/grpc-web+proto or application/grpc-web-text to \
         methods"
    )]
    ContentTypeUnsupported,
    /// The path takes the content type of the request, but not its charset.
    #[error("the charset {} is not supported: send the content in UTF-8, with charset=utf-8 or none", quoted(.0))]
    CharsetUnsupported(String),
    /// The header `accept` of the request excludes the content type of the answer.
    #[error("the answer would be application/json, which the header 'accept' rules out")]
    NotAcceptable,
    /// A defect of the service or of its host. The log has the cause; the client does not get it.
    #[error("internal error")]
    Internal,
}

impl Error {
    /// An error of one field.
    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Error::FieldsInvalid(vec![FieldViolation::new(field, description)])
    }

    /// The gRPC code, the reason, and the HTTP status where the request is no call. HTTP has statuses of its own for
    /// most of these errors.
    fn answer(&self) -> (Code, &'static str, StatusCode) {
        match self {
            Error::FieldsInvalid(_) | Error::ContentMalformed(_) => {
                (Code::InvalidArgument, "FIELD_INVALID", StatusCode::BAD_REQUEST)
            }
            // Not CANCELLED: in the body of a request, tonic reads that code as a regular end.
            Error::RequestIncomplete => (Code::InvalidArgument, "REQUEST_INCOMPLETE", StatusCode::BAD_REQUEST),
            Error::EncodingUnknown(_) => (Code::Unimplemented, "UNIMPLEMENTED", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Error::NotOneMessage => (Code::Unimplemented, "UNIMPLEMENTED", StatusCode::NOT_IMPLEMENTED),
            // As tonic answers it.
            Error::MessageTooLarge { .. } => (Code::OutOfRange, "MESSAGE_TOO_LARGE", StatusCode::BAD_REQUEST),
            Error::Overloaded => (Code::ResourceExhausted, "OVERLOADED", StatusCode::TOO_MANY_REQUESTS),
            Error::PathUnknown => (Code::NotFound, "PATH_UNKNOWN", StatusCode::NOT_FOUND),
            Error::VerbNotAllowed(_) => (Code::Unimplemented, "VERB_NOT_ALLOWED", StatusCode::METHOD_NOT_ALLOWED),
            Error::ContentTypeUnsupported | Error::CharsetUnsupported(_) => {
                (Code::InvalidArgument, "CONTENT_TYPE_UNSUPPORTED", StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Error::NotAcceptable => (Code::InvalidArgument, "NOT_ACCEPTABLE", StatusCode::NOT_ACCEPTABLE),
            Error::Internal => (Code::Internal, "INTERNAL", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.answer().0
    }

    /// The reason, for a `google.rpc.ErrorInfo`.
    pub fn reason(&self) -> &'static str {
        self.answer().1
    }

    /// The HTTP status of the answer to a request that is no call.
    pub fn http_status(&self) -> StatusCode {
        self.answer().2
    }

    /// The error as a gRPC status with a `google.rpc.ErrorInfo`, and a `google.rpc.BadRequest` for malformed fields.
    pub fn status(&self) -> Status {
        let mut details = ErrorDetails::with_error_info(self.reason(), ERROR_DOMAIN, HashMap::new());
        if let Error::FieldsInvalid(violations) = self {
            details.set_bad_request(violations.clone());
        }
        Status::with_error_details(self.code(), self.to_string(), details)
    }
}

fn list(violations: &[FieldViolation]) -> String {
    violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect::<Vec<_>>().join("; ")
}
