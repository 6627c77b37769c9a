//! Statuses that libraries make: which failures they stand for, and the details that they lack.

use std::collections::HashMap;

use grpc_transcoding::Error;
use grpc_transcoding::error::client_text::cut;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{ERROR_DOMAIN, Failure};

/// The most characters of what a library says that are passed on: it may repeat what the client has sent.
const MESSAGE_MAX_CHARS: usize = 200;

/// How libraries begin what they say of a request that is malformed, or that broke off. They call that an internal or
/// an unknown error, so only their words tell.
const MALFORMED: [&str; 5] = [
    "protocol error: received message with ",
    "Error decompressing: ",
    "Unexpected EOF decoding stream.",
    "Missing request message.",
    "tonic-web: ",
];
const BROKEN_OFF: [&str; 2] = ["h2 protocol error: ", "error reading a body from connection"];
const UNDECODABLE: [&str; 1] = ["failed to decode Protobuf message: "];

/// The client's fault that a status of a library stands for, if it does.
fn fault_of_client(status: &Status) -> Option<Failure> {
    let begins = |all: &[&str]| all.iter().any(|words| status.message().starts_with(words));
    let error = match status.code() {
        Code::Internal if begins(&MALFORMED) => {
            Error::ContentMalformed("it is no sequence of messages, or not compressed as its headers say")
        }
        Code::Internal if begins(&UNDECODABLE) => {
            Error::ContentMalformed("a message is not valid protobuf of the method's type")
        }
        Code::Internal | Code::Unknown if begins(&BROKEN_OFF) => Error::RequestIncomplete,
        _ => return None,
    };
    Some(Failure::Request(error))
}

/// Adds the details that every failed answer has to a status that a library made.
///
/// tonic itself answers to messages that are too large or compressed in an unknown way, for example.
pub fn complete(status: Status, request_id: &str) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    if let Some(failure) = fault_of_client(&status) {
        return failure.status(request_id);
    }
    let reason = match status.code() {
        // The latter when it is too large only once it is decompressed.
        Code::OutOfRange | Code::ResourceExhausted => "MESSAGE_TOO_LARGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::InvalidArgument => "FIELD_INVALID",
        Code::Cancelled => "CANCELLED",
        Code::NotFound => "NOT_FOUND",
        _ => "INTERNAL",
    };
    let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::new());
    details.set_request_info(request_id, "");
    let message = cut(status.message(), MESSAGE_MAX_CHARS);
    Status::with_error_details_and_metadata(status.code(), message, details, status.metadata().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_s_status_gets_the_reason_of_what_it_says() {
        let table = [
            // (code, reason)
            (Code::OutOfRange, "MESSAGE_TOO_LARGE"),
            (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
            (Code::Unimplemented, "UNIMPLEMENTED"),
            (Code::Internal, "INTERNAL"),
        ];
        for (code, reason) in table {
            let details = complete(Status::new(code, "said so"), "request").get_error_details();
            assert_eq!(details.error_info().unwrap().reason, reason);
            assert_eq!(details.request_info().unwrap().request_id, "request");
        }
        let long = complete(Status::not_found("x".repeat(10_000)), "request");
        assert_eq!(long.message().chars().count(), MESSAGE_MAX_CHARS + 1);
        let own = Failure::Overloaded.status("request");
        assert_eq!(complete(own, "request").get_error_details().error_info().unwrap().reason, "OVERLOADED");
    }

    #[test]
    fn what_a_client_has_done_is_no_failure_of_the_server() {
        let table = [
            // (code, words, reason)
            (Code::Internal, "Missing request message.", "FIELD_INVALID"),
            (Code::Internal, "Unexpected EOF decoding stream.", "FIELD_INVALID"),
            (Code::Internal, "h2 protocol error: error reading a body from connection", "REQUEST_INCOMPLETE"),
            (Code::Unknown, "error reading a body from connection", "REQUEST_INCOMPLETE"),
            (Code::Internal, "failed to decode Protobuf message: invalid varint", "FIELD_INVALID"),
            (Code::Internal, "Error encoding: no room", "INTERNAL"),
            (Code::Unknown, "something else", "INTERNAL"),
        ];
        for (code, words, reason) in table {
            let status = complete(Status::new(code, words), "request");
            assert_eq!(status.get_error_details().error_info().unwrap().reason, reason, "{words}");
            assert_eq!(status.code() == code, reason == "INTERNAL", "{words}");
        }
    }
}
