//! The envelopes of gRPC and Connect messages: a byte of flags and a length of four bytes, big-endian, in front of the
//! message.

use bytes::{Buf, Bytes, BytesMut};

use super::error::Error;

/// How many bytes stand in front of a message.
pub const PREFIX: usize = 5;

/// The flag of a compressed message.
pub const COMPRESSED: u8 = 1;

/// Cuts the chunks of a body into messages.
#[derive(Debug)]
pub(crate) struct Envelopes {
    buffer: BytesMut,
    limit: usize,
}

impl Envelopes {
    /// `limit`: the largest message, in bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Adds the next chunk of the body.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The flags of the next message and the message, if all of it has arrived. A message over the limit is an error
    /// before its bytes are buffered.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, Bytes)>, Error> {
        let Some((prefix, rest)) = self.buffer.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let [flags, length @ ..] = *prefix;
        let length = u32::from_be_bytes(length) as usize;
        if length > self.limit {
            return Err(Error::MessageTooLarge { limit: self.limit });
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some((flags, self.buffer.split_to(length).freeze())))
    }

    /// Whether no part of a message is buffered.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// A message in its envelope.
pub fn wrap(flags: u8, message: &[u8]) -> Bytes {
    [&prefix(flags, message.len())[..], message].concat().into()
}

/// What stands in front of a message of this length.
pub fn prefix(flags: u8, length: usize) -> [u8; PREFIX] {
    let length = u32::try_from(length).expect("messages are bounded far below 4 GiB");
    let [a, b, c, d] = length.to_be_bytes();
    [flags, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_cut_wherever_chunks_end() {
        let body = [wrap(0, b"one"), wrap(1, b""), wrap(2, b"three")].concat();
        for size in 1..=body.len() {
            let mut envelopes = Envelopes::new(5);
            let mut found = Vec::new();
            for chunk in body.chunks(size) {
                envelopes.push(chunk);
                while let Some(envelope) = envelopes.next().unwrap() {
                    found.push(envelope);
                }
            }
            assert!(envelopes.is_empty());
            assert_eq!(found, [(0, "one".into()), (1, "".into()), (2, "three".into())], "chunks of {size}");
        }
    }

    #[test]
    fn large_messages_are_refused_by_their_prefix() {
        let table: [(&[u8], _); 4] = [
            // prefix, result
            (&[0, 0, 0, 0, 4], Ok(None)),
            (&[0, 0, 0, 0, 5], Err(4)),
            (&[0, 255, 255, 255, 255], Err(4)),
            (&[0, 255, 255, 255], Ok(None)),
        ];
        for (prefix, result) in table {
            let mut envelopes = Envelopes::new(4);
            envelopes.push(prefix);
            let found = envelopes.next().map_err(|error| match error {
                Error::MessageTooLarge { limit } => limit,
                error => panic!("{error}"),
            });
            assert_eq!(found, result, "{prefix:?}");
        }
    }
}
