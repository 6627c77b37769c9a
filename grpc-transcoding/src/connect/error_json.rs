//! Statuses in the JSON of the Connect protocol, and the message at the end of a stream.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use prost::Message as _;
use prost_reflect::prost_types::Any;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde::Serialize;
use serde_json::value::RawValue;
use tonic::Status;

use crate::grpc_call::End;
use crate::json;

#[derive(Serialize)]
struct Error<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

#[derive(Serialize)]
struct Detail {
    #[serde(rename = "type")]
    name: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct EndOfStream<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, Vec<&'a str>>,
}

/// A status as the body of an answer. The pool has the descriptors of its details.
pub(crate) fn body(pool: &DescriptorPool, status: &Status) -> Bytes {
    to_json(&error(pool, status))
}

/// The last message of a stream.
pub(crate) fn end_of_stream(pool: &DescriptorPool, end: &End) -> Bytes {
    let mut metadata: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &end.trailers {
        // Metadata is text. JSON could not hold anything else.
        metadata.entry(name.as_str()).or_default().extend(value.to_str().ok());
    }
    to_json(&EndOfStream { error: end.result.as_ref().err().map(|status| error(pool, status)), metadata })
}

fn error<'a>(pool: &DescriptorPool, status: &'a Status) -> Error<'a> {
    let details = tonic_types::pb::Status::decode(status.details()).unwrap_or_default().details;
    let details = details.into_iter().map(|any| detail(pool, &any)).collect();
    Error { code: json::code_in_http(status.code()).1, message: status.message(), details }
}

fn detail(pool: &DescriptorPool, any: &Any) -> Detail {
    let name = any.type_url.rsplit('/').next().unwrap_or_default().to_owned();
    let message = pool.get_message_by_name(&name);
    let message = message.and_then(|descriptor| DynamicMessage::decode(descriptor, any.value.as_slice()).ok());
    let debug = message.and_then(|message| serde_json::from_slice(&json::encode(&message)).ok());
    Detail { name, value: STANDARD_NO_PAD.encode(&any.value), debug }
}

fn to_json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("these structures have text keys only").into()
}
