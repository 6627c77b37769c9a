//! The messages of a request in their envelopes, one by one decompressed and decoded: plain gRPC for the service.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use tonic::Status;
use tonic::body::Body;

use crate::call_context::CallContext;
use crate::error::Failure;
use crate::permit::Share;
use crate::transcoding::compression::{Content, Encoding};
use crate::transcoding::framing::{Envelope, Envelopes, wrap};

/// The flag of a compressed message.
const COMPRESSED: u8 = 1;

/// A message on its way to the service.
type Decoding = Pin<Box<dyn Future<Output = Result<Bytes, Failure>> + Send>>;

/// The body of the request that the service gets.
pub(crate) struct RequestMessages<D> {
    body: Body,
    envelopes: Envelopes,
    encoding: Encoding,
    share: Share,
    context: CallContext,
    decode: Option<D>,
    decoding: Option<Decoding>,
    failure: Arc<OnceLock<Failure>>,
}

impl<D> RequestMessages<D>
where
    D: Fn(Bytes) -> Result<Bytes, Failure> + Clone + Send + Sync + Unpin + 'static,
{
    /// * `body`: the client's.
    /// * `encoding`: how messages are compressed that say so.
    /// * `decode`: makes of a message what it is in gRPC; none where it is that already.
    pub(crate) fn new(body: Body, encoding: Encoding, share: Share, context: CallContext, decode: Option<D>) -> Self {
        let envelopes = Envelopes::new(share.message_bytes());
        Self { body, envelopes, encoding, share, context, decode, decoding: None, failure: Arc::default() }
    }

    /// Where it is noted why a message could not be passed on. The service may take that for the end of the messages,
    /// and answer as if all were well.
    pub(crate) fn failure(&self) -> Arc<OnceLock<Failure>> {
        Arc::clone(&self.failure)
    }

    /// Begins with the next message, if it is here.
    fn begin(&mut self) -> Result<Option<Decoding>, Failure> {
        let limit = self.share.message_bytes();
        let envelope = self.envelopes.next().map_err(|_| Failure::MessageTooLarge { limit })?;
        let Some(Envelope { flags, message }) = envelope else { return Ok(None) };
        let encoding = match (flags, self.encoding) {
            (0, _) => Encoding::Identity,
            (COMPRESSED, Encoding::Gzip) => Encoding::Gzip,
            (COMPRESSED, Encoding::Identity) => {
                return Err(Failure::ContentMalformed("a message is compressed, and no header says how"));
            }
            _ => return Err(Failure::ContentMalformed("a message has flags that are not known")),
        };
        let (decode, share) = (self.decode.clone(), self.share.clone());
        let content = Content { encoding, bytes: message };
        Ok(Some(Box::pin(async move {
            match decode {
                Some(decode) => content.decode(&share, decode).await,
                None => content.decompress(&share).await,
            }
        })))
    }

    /// The next message in its envelope, or the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        loop {
            if let Some(decoding) = &mut self.decoding {
                let decoded = ready!(decoding.as_mut().poll(cx));
                self.decoding = None;
                return Poll::Ready(decoded.map(|message| Some(wrap(0, &message))));
            }
            self.decoding = self.begin()?;
            if self.decoding.is_some() {
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                // Trailers of a request mean nothing.
                Some(Ok(frame)) => self.envelopes.push(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) => return Poll::Ready(Err(Failure::RequestIncomplete)),
                None if self.envelopes.is_empty() => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Err(Failure::ContentMalformed("it ends within a message"))),
            }
        }
    }
}

impl<D> http_body::Body for RequestMessages<D>
where
    D: Fn(Bytes) -> Result<Bytes, Failure> + Clone + Send + Sync + Unpin + 'static,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.failure.get().is_some() {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(this.poll_next(cx)) {
            Ok(message) => message.map(|message| Ok(Frame::data(message))),
            Err(failure) => {
                let status = failure.status(this.context.request_id());
                // Nothing was set before: after the first failure no message is read.
                let _ = this.failure.set(failure);
                Some(Err(status))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.decoding.is_none() && self.envelopes.is_empty() && self.body.is_end_stream()
    }
}
