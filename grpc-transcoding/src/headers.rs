//! Header names and values that several protocols use.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The code of a gRPC answer, in its headers or trailers.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The message of a failed gRPC answer.
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The details of a failed gRPC answer.
pub const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// How the messages of a gRPC request or answer are compressed.
pub const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// The compressions that a gRPC client or server accepts.
pub const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// How long a gRPC or gRPC-Web client waits.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

pub(crate) const CONNECT_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
pub(crate) const CONNECT_TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
pub(crate) const CONNECT_CONTENT_ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
pub(crate) const CONNECT_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("connect-accept-encoding");

/// The content type of a stream over REST: one JSON text a line.
pub(crate) const JSON_LINES: &str = "application/x-ndjson";
/// The content type of server-sent events, another form of a stream over REST.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";
/// What a client of server-sent events has received last.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// Whether a header such as `accept` has more than the weight 0 for the first of these names that it lists. None if it
/// lists none of them.
pub(crate) fn accepted(headers: &HeaderMap, header: &HeaderName, names: &[&str]) -> Option<bool> {
    let weight = |name: &&str| weighted(headers, header).find(|(listed, _)| listed.eq_ignore_ascii_case(name));
    names.iter().find_map(weight).map(|(_, accepted)| accepted)
}

/// The elements of a header such as `accept`, each with whether its weight is more than 0.
pub(crate) fn weighted<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'h str, bool)> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|element| {
        let (element, parameters) = element.split_once(';').unwrap_or((element, ""));
        let mut parameters = parameters.split(';').map(str::trim);
        let weight = parameters.find_map(|it| it.strip_prefix("q=").or_else(|| it.strip_prefix("Q=")));
        (element.trim(), !weight.is_some_and(|weight| weight.trim().parse() == Ok(0.0_f32)))
    })
}
