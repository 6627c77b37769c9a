//! The messages of a streaming or compressed request, each decompressed and decoded into a plain gRPC message.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use prost_reflect::MethodDescriptor;
use tonic::Status;
use tonic::body::Body;

use crate::compression::{Content, Encoding};
use crate::error::Error;
use crate::framing::{COMPRESSED, Envelope, Envelopes, wrap};
use crate::host::CallHost;

/// A message on its way to the service.
type Decoding = Pin<Box<dyn Future<Output = Result<Bytes, Error>> + Send>>;

/// The body of the request to the service.
pub(crate) struct RequestMessages<H, D> {
    body: Body,
    envelopes: Envelopes,
    encoding: Encoding,
    host: H,
    decode: Option<D>,
    /// Whether the one message of the method is missing; None if a method takes any number of messages.
    is_missing: Option<bool>,
    decoding: Option<Decoding>,
    error: Arc<OnceLock<Error>>,
}

impl<H, D> RequestMessages<H, D>
where
    H: CallHost,
    D: Fn(Bytes) -> Result<Bytes, Error> + Clone + Send + Sync + Unpin + 'static,
{
    /// * `body`: the body that the client sends.
    /// * `encoding`: how the messages with the flag [`COMPRESSED`] are compressed.
    /// * `decode`: turns a message of the client into a gRPC message; None if it is one.
    pub(crate) fn new(body: Body, encoding: Encoding, host: H, decode: Option<D>) -> Self {
        let envelopes = Envelopes::new(host.message_bytes());
        Self { body, envelopes, encoding, host, decode, is_missing: None, decoding: None, error: Arc::default() }
    }

    /// Refuses requests without a message or with several, if the method takes one message.
    pub(crate) fn for_method(self, method: &MethodDescriptor) -> Self {
        Self { is_missing: (!method.is_client_streaming()).then_some(true), ..self }
    }

    /// Gets the error of a message that the service did not receive. A service may take such an error for the end of
    /// the messages, and then answers as if the call had succeeded.
    pub(crate) fn error(&self) -> Arc<OnceLock<Error>> {
        Arc::clone(&self.error)
    }

    /// Starts to decode the next message, if all of it has arrived.
    fn begin(&mut self) -> Result<Option<Decoding>, Error> {
        let limit = self.host.message_bytes();
        let envelope = self.envelopes.next().map_err(|_| Error::MessageTooLarge { limit })?;
        let Some(Envelope { flags, message }) = envelope else { return Ok(None) };
        if self.is_missing.as_mut().is_some_and(|is_missing| !mem::replace(is_missing, false)) {
            return Err(Error::NotOneMessage);
        }
        let encoding = match (flags, self.encoding) {
            (0, _) => Encoding::Identity,
            (COMPRESSED, Encoding::Gzip) => Encoding::Gzip,
            (COMPRESSED, Encoding::Identity) => {
                return Err(Error::ContentMalformed("a message is compressed, and no header says how"));
            }
            _ => return Err(Error::ContentMalformed("a message has flags that are not known")),
        };
        let (decode, host) = (self.decode.clone(), self.host.clone());
        let content = Content { encoding, bytes: message };
        Ok(Some(Box::pin(async move {
            match decode {
                Some(decode) => content.decode(&host, decode).await,
                None => content.decompress(&host).await,
            }
        })))
    }

    /// The next message in its envelope, or the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
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
                // The trailers of a request have no meaning.
                Some(Ok(part)) => self.envelopes.push(&part.into_data().unwrap_or_default()),
                Some(Err(_)) => return Poll::Ready(Err(Error::RequestIncomplete)),
                None if self.envelopes.is_empty() => {
                    return Poll::Ready(if self.is_missing == Some(true) {
                        Err(Error::NotOneMessage)
                    } else {
                        Ok(None)
                    });
                }
                None => return Poll::Ready(Err(Error::ContentMalformed("it ends within a message"))),
            }
        }
    }
}

impl<H, D> http_body::Body for RequestMessages<H, D>
where
    H: CallHost,
    D: Fn(Bytes) -> Result<Bytes, Error> + Clone + Send + Sync + Unpin + 'static,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.error.get().is_some() {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(this.poll_next(cx)) {
            Ok(message) => message.map(|message| Ok(Frame::data(message))),
            Err(error) => {
                let status = this.host.status(&error);
                // The cell is empty: no message is read after the first error.
                let _ = this.error.set(error);
                Some(Err(status))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.decoding.is_none()
            && self.is_missing != Some(true)
            && self.envelopes.is_empty()
            && self.body.is_end_stream()
    }
}
