//! JSON from messages and statuses, and gRPC codes in HTTP.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, SerializeOptions};
use prost_types::Any;
use serde_json::json;
use tonic::{Code, Status};

/// Writes a message: lowerCamelCase, 64-bit integers as strings, enums by name, times by RFC 3339, unset fields left
/// out.
///
/// A message without canonical JSON, for example with a time after the year 9999, is written like a detail of unknown
/// type in [`encode_status`]: as its bytes, so that nothing is lost.
pub fn encode(message: &DynamicMessage) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_else(|error| {
        let name = message.descriptor().full_name().to_owned();
        tracing::error!(message = name, %error, "an answer has no canonical JSON");
        opaque(&Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() })
    })
}

/// Writes a message with the defaults of unset fields; nothing if it has no canonical JSON.
pub(crate) fn encode_with_defaults(message: &DynamicMessage) -> Vec<u8> {
    let mut json = serde_json::Serializer::new(Vec::new());
    let options = SerializeOptions::new().skip_default_fields(false);
    let written = message.serialize_with_options(&mut json, &options);
    written.map(|()| json.into_inner()).unwrap_or_default()
}

/// Writes a status with its details as a `google.rpc.Status`. The key `details` is always there.
///
/// A detail whose type is not in the pool is written as its bytes: `{"@type": …, "value": base64}`.
pub fn encode_status(pool: &DescriptorPool, status: &Status) -> Vec<u8> {
    let details = tonic_types::pb::Status::decode(status.details()).unwrap_or_default().details;
    let details: Vec<Vec<u8>> = details.iter().map(|detail| encode_detail(pool, detail)).collect();
    let (code, message) = (i32::from(status.code()), json!(status.message()));
    let head = format!(r#"{{"code":{code},"message":{message},"details":["#);
    [head.as_bytes(), &details.join(&b','), b"]}"].concat()
}

fn encode_detail(pool: &DescriptorPool, detail: &Any) -> Vec<u8> {
    let known = pool.get_message_by_name("google.protobuf.Any").and_then(|descriptor| {
        let mut any = DynamicMessage::new(descriptor);
        any.transcode_from(detail).ok()?;
        serde_json::to_vec(&any).ok()
    });
    known.unwrap_or_else(|| opaque(detail))
}

/// A message as its bytes.
fn opaque(message: &Any) -> Vec<u8> {
    json!({ "@type": message.type_url, "value": BASE64_STANDARD.encode(&message.value) }).to_string().into_bytes()
}

/// The HTTP status of a code, as `google.rpc.Code` documents it.
pub fn http_status(code: Code) -> StatusCode {
    StatusCode::from_u16(code_in_http(code).0).expect("all of them are statuses")
}

/// The HTTP status of a code, and its name in the Connect protocol.
pub(crate) fn code_in_http(code: Code) -> (u16, &'static str) {
    match code {
        // In Connect a failure is never OK.
        Code::Ok => (200, "unknown"),
        // Not registered, but common: the client has cancelled the call.
        Code::Cancelled => (499, "canceled"),
        Code::Unknown => (500, "unknown"),
        Code::InvalidArgument => (400, "invalid_argument"),
        Code::DeadlineExceeded => (504, "deadline_exceeded"),
        Code::NotFound => (404, "not_found"),
        Code::AlreadyExists => (409, "already_exists"),
        Code::PermissionDenied => (403, "permission_denied"),
        Code::ResourceExhausted => (429, "resource_exhausted"),
        Code::FailedPrecondition => (400, "failed_precondition"),
        Code::Aborted => (409, "aborted"),
        Code::OutOfRange => (400, "out_of_range"),
        Code::Unimplemented => (501, "unimplemented"),
        Code::Internal => (500, "internal"),
        Code::Unavailable => (503, "unavailable"),
        Code::DataLoss => (500, "data_loss"),
        Code::Unauthenticated => (401, "unauthenticated"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_status() {
        let table = [
            // code, status
            (Code::Ok, 200),
            (Code::Cancelled, 499),
            (Code::Unknown, 500),
            (Code::InvalidArgument, 400),
            (Code::DeadlineExceeded, 504),
            (Code::NotFound, 404),
            (Code::AlreadyExists, 409),
            (Code::PermissionDenied, 403),
            (Code::ResourceExhausted, 429),
            (Code::FailedPrecondition, 400),
            (Code::Aborted, 409),
            (Code::OutOfRange, 400),
            (Code::Unimplemented, 501),
            (Code::Internal, 500),
            (Code::Unavailable, 503),
            (Code::DataLoss, 500),
            (Code::Unauthenticated, 401),
        ];
        for (code, status) in table {
            assert_eq!(http_status(code).as_u16(), status, "{code:?}");
        }
    }
}
