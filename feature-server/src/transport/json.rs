//! A stand-in until the real one is merged.
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use tonic_types::FieldViolation;

pub fn decode(descriptor: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, Vec<FieldViolation>> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize(descriptor.clone(), &mut deserializer);
    let ended = message.and_then(|message| deserializer.end().map(|()| message));
    ended.map_err(|error| vec![FieldViolation::new("", error.to_string())])
}

pub fn encode(message: &DynamicMessage) -> Vec<u8> {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut out);
    message.serialize_with_options(&mut serializer, &SerializeOptions::new()).expect("memory can be written to");
    out
}

pub fn encode_status(_pool: &DescriptorPool, status: &tonic::Status) -> Vec<u8> {
    status.message().as_bytes().to_vec()
}

pub fn http_status(code: tonic::Code) -> http::StatusCode {
    use tonic::Code::*;
    let status = match code {
        Ok => 200,
        Cancelled => 499,
        InvalidArgument | FailedPrecondition | OutOfRange => 400,
        DeadlineExceeded => 504,
        NotFound => 404,
        AlreadyExists | Aborted => 409,
        PermissionDenied => 403,
        ResourceExhausted => 429,
        Unimplemented => 501,
        Unavailable => 503,
        Unauthenticated => 401,
        Unknown | Internal | DataLoss => 500,
    };
    http::StatusCode::from_u16(status).expect("these are HTTP statuses")
}
