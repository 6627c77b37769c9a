//! Calls with one message in each direction: the message is the body, or in the query.

use http::header::{ACCEPT_ENCODING, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tonic::body::Body;
use tonic::{Code, Status};

use super::{Connect, Form, error_json, query};
use crate::call_context::CallContext;
use crate::error::Failure;
use crate::middleware::response_body::CallBody;
use crate::permit::Share;
use crate::transcoding::grpc_call::{self, Answer, InnerService};
use crate::transcoding::{compression, json};

/// Answers such a call.
pub(crate) async fn answer(
    call: &Connect,
    service: impl InnerService,
    request: Request<Body>,
) -> Result<Response<CallBody>, Failure> {
    let (head, body) = request.into_parts();
    let gzip = compression::accepts_gzip(&head.headers, ACCEPT_ENCODING);
    let (uri, sent_headers) = (head.uri.clone(), head.headers.clone());
    let context = CallContext::of(&head.extensions);
    let (asked, share) = (call.clone(), Share::of_call(&head.extensions));
    let message = grpc_call::message_when_asked_for(context.clone(), async move {
        let content = match asked.form {
            Form::Get => query::message(&uri, &share)?,
            Form::Post | Form::Stream => compression::read(body, &sent_headers, &share).await?,
        };
        match asked.decoder() {
            Some(decode) => content.decode(&share, decode).await,
            None => content.decompress(&share).await,
        }
    });
    let Answer { mut headers, result, trailers } = grpc_call::unary(service, head, call.path(), message).await;
    for (name, value) in &trailers {
        // A name that gets too long to be one is left out.
        if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
            headers.append(name, value.clone());
        }
    }
    match result {
        Ok(message) => {
            let content = call.encode(message, &context)?;
            Ok(compression::answer(StatusCode::OK, headers, call.content_type(), content, gzip))
        }
        Err(status) => Ok(failed(call, headers, &status, gzip)),
    }
}

/// The answer to a call that failed.
pub(crate) fn failed(call: &Connect, mut headers: HeaderMap, status: &Status, gzip: bool) -> Response<CallBody> {
    if status.code() == Code::Unauthenticated {
        // RFC 9110, section 11.6.1: a 401 tells how to authenticate.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let body = error_json::body(call.method.parent_pool(), status);
    let content_type = HeaderValue::from_static("application/json");
    compression::answer(json::http_status(status.code()), headers, content_type, body, gzip)
}
