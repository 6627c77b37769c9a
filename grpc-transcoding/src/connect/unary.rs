//! Connect calls with one message in each direction. The request has it in the body or in the query.

use http::header::{ACCEPT_ENCODING, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use tonic::body::Body;
use tonic::{Code, Status};

use super::{Connect, Form, error_json, query};
use crate::error::Error;
use crate::grpc_call::{self, Answer, GrpcService};
use crate::headers::{BEARER, JSON};
use crate::host::CallHost;
use crate::{compression, json};

/// Calls the service, and translates its answer.
pub(crate) async fn answer(
    call: &Connect,
    service: impl GrpcService,
    request: Request<Body>,
    host: &impl CallHost,
) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let gzip = compression::accepts_gzip(&head.headers, ACCEPT_ENCODING);
    let (uri, sent_headers) = (head.uri.clone(), head.headers.clone());
    let (called, decoding) = (call.clone(), host.clone());
    let message = grpc_call::lazy_message(host.clone(), async move {
        let content = match called.form {
            Form::Get => query::message(&uri, decoding.message_bytes())?,
            Form::Post | Form::Stream => compression::read(body, &sent_headers, &decoding).await?,
        };
        match called.decoder() {
            Some(decode) => content.decode(&decoding, decode).await,
            None => content.decompress(&decoding).await,
        }
    });
    let Answer { mut headers, result, trailers } = grpc_call::unary(service, head, call.path(), message, host).await;
    for (name, value) in &trailers {
        // A name that is too long with its prefix is left out.
        if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
            headers.append(name, value.clone());
        }
    }
    match result {
        Ok(message) => {
            let content = call.encode(message, host)?;
            Ok(compression::answer(StatusCode::OK, headers, call.content_type(), content, gzip))
        }
        Err(status) => Ok(failed(call, headers, &status, gzip)),
    }
}

/// The answer to a failed call.
pub(crate) fn failed(call: &Connect, mut headers: HeaderMap, status: &Status, gzip: bool) -> Response<Body> {
    if status.code() == Code::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, BEARER);
    }
    let body = error_json::body(call.method.parent_pool(), status);
    compression::answer(json::http_status(status.code()), headers, JSON, body, gzip)
}
