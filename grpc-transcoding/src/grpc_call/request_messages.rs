//! The messages of a streaming or compressed request, each decompressed and decoded into a plain gRPC message.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use tonic::body::Body;

use super::body_of;
use crate::compression::{Content, Decoder, Encoding};
use crate::error::Error;
use crate::framing::{COMPRESSED, Envelopes, wrap};
use crate::host::CallHost;

/// The body of the request to the service, and the error of a message that the service did not receive. A service may
/// take such an error for the end of the messages, and then answers as if the call had succeeded.
///
/// * `body`: the body that the client sends.
/// * `encoding`: how the messages with the flag [`COMPRESSED`] are compressed.
/// * `decode`: turns a message of the client into a gRPC message; None if it is one.
/// * `single`: whether the method takes exactly one message.
pub(crate) fn decoded(
    body: Body,
    encoding: Encoding,
    host: impl CallHost,
    decode: Option<Decoder>,
    single: bool,
) -> (Body, Arc<OnceLock<Error>>) {
    let error = Arc::new(OnceLock::new());
    let envelopes = Envelopes::new(host.message_bytes());
    let messages = Messages { body, envelopes, encoding, host, decode, single, count: 0, error: Arc::clone(&error) };
    let messages = stream::try_unfold(messages, |mut messages| async {
        match messages.next().await {
            Ok(message) => Ok(message.map(|message| (message, messages))),
            Err(error) => {
                let status = messages.host.status(&error);
                // The cell is empty: no message is read after the first error.
                let _ = messages.error.set(error);
                Err(status)
            }
        }
    });
    (body_of(messages), error)
}

struct Messages<H> {
    body: Body,
    envelopes: Envelopes,
    encoding: Encoding,
    host: H,
    decode: Option<Decoder>,
    single: bool,
    /// The number of messages so far.
    count: usize,
    error: Arc<OnceLock<Error>>,
}

impl<H: CallHost> Messages<H> {
    /// The next message in its envelope, or the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some((flags, message)) = self.envelopes.next()? {
                self.count += 1;
                if self.single && self.count > 1 {
                    return Err(Error::NotOneMessage);
                }
                let encoding = match flags {
                    0 => Encoding::Identity,
                    COMPRESSED if self.encoding == Encoding::Identity => {
                        return Err(Error::ContentMalformed("a message is compressed, and no header says how"));
                    }
                    COMPRESSED => self.encoding,
                    _ => return Err(Error::ContentMalformed("a message has flags that are not known")),
                };
                let content = Content { encoding, bytes: message };
                let message = content.decode(&self.host, self.decode.clone()).await?;
                return Ok(Some(wrap(0, &message)));
            }
            match self.body.frame().await {
                // The trailers of a request have no meaning.
                Some(Ok(frame)) => self.envelopes.push(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) => return Err(Error::RequestIncomplete),
                None if !self.envelopes.is_empty() => return Err(Error::ContentMalformed("it ends within a message")),
                None if self.single && self.count == 0 => return Err(Error::NotOneMessage),
                None => return Ok(None),
            }
        }
    }
}
