//! Calls that begin a stream. Their messages are frames already, which several streams share.

use std::sync::Arc;

use bytes::Bytes;
use feature_auth::AuthError;
use feature_auth::access::NamedCaller;
use futures_util::StreamExt;
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap};
use http_body_util::StreamBody;
use tonic::body::Body;
use tonic::codec::{CompressionEncoding, EnabledCompressionEncodings};
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tower::service_fn;

use super::bytes_codec::BytesCodec;
use super::{GRPC, Received, Services, receive, refused};
use crate::call_context::CallContext;
use crate::error::Failure;
use crate::permit::Permit;
use crate::services::backend::Call;
use crate::services::watch::Messages;

/// Answers one call that begins a stream. A request message may have `limit` bytes.
pub(super) async fn call(services: Arc<Services>, limit: usize, request: http::Request<Body>) -> http::Response<Body> {
    let (head, message) = match receive(request, limit).await {
        Received::Message(head, message) => (head, message),
        Received::Unusual(request) => return Box::pin(call_by_tonic(services, limit, request)).await,
    };
    let begun = services.stream(head.uri.path(), (&head.headers, &head.extensions), &message).await;
    let messages = match begun {
        Ok(messages) => messages,
        Err(status) => return status.into_http(),
    };
    let context = CallContext::of(&head.extensions);
    let frames = messages.map(move |message| {
        Ok::<_, Status>(match message {
            Ok(frame) => {
                context.sent(1);
                http_body::Frame::data(frame.into_bytes())
            }
            Err(failure) => {
                let mut trailers = HeaderMap::with_capacity(3);
                let status = refused(&failure, &context);
                status.add_header(&mut trailers).expect("a status can be written as headers");
                http_body::Frame::trailers(trailers)
            }
        })
    });
    let mut response = http::Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// Lets tonic receive the request and send the stream.
async fn call_by_tonic(services: Arc<Services>, limit: usize, request: http::Request<Body>) -> http::Response<Body> {
    let mut gzip = EnabledCompressionEncodings::default();
    gzip.enable(CompressionEncoding::Gzip);
    let mut grpc =
        Grpc::new(BytesCodec).apply_compression_config(gzip, gzip).apply_max_message_size_config(Some(limit), None);
    let path = request.uri().path().to_owned();
    let streamed = service_fn(|request: Request<Bytes>| {
        let (services, path) = (&services, &path);
        let (metadata, extensions, message) = request.into_parts();
        async move {
            let messages = services.stream(path, (metadata.as_ref(), &extensions), &message).await?;
            let context = CallContext::of(&extensions);
            Ok(Response::new(messages.map(move |message| match message {
                Ok(frame) => {
                    context.sent(1);
                    Ok(frame.message())
                }
                Err(failure) => Err(refused(&failure, &context)),
            })))
        }
    });
    grpc.server_streaming(streamed, request).await
}

impl Services {
    /// Begins a stream.
    async fn stream(
        &self,
        path: &str,
        (metadata, extensions): (&HeaderMap, &Extensions),
        message: &Bytes,
    ) -> Result<Messages, Status> {
        let context = CallContext::of(extensions);
        context.received(1);
        let begin = async {
            let unknown = || Failure::MethodUnknown(path.to_owned());
            let method = self.backend.schema.method(path).ok_or_else(unknown)?;
            // Without the layer that authorises, every call is refused.
            let caller = extensions.get::<NamedCaller>().ok_or(AuthError::TokenMissing)?;
            self.backend.before_read(metadata, extensions).await?;
            let call = Call { method, caller, context: &context, message };
            let messages = self.watch.call(call, Permit::of(extensions)).await?;
            context.set_ends_with_connection();
            Ok(messages)
        };
        begin.await.map_err(|failure: Failure| refused(&failure, &context))
    }
}
