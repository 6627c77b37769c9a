//! gRPC message frames (a flag byte for compression, four bytes of length, and the message), and the codec that passes
//! encoded messages through tonic.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use grpc_transcoding::compression::{WORTH_COMPRESSING, gzip_after};
use grpc_transcoding::framing::{COMPRESSED, PREFIX, prefix};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// One message, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// Encodes a message.
    pub fn of(message: &impl Message) -> Self {
        let length = message.encoded_len();
        let mut frame = BytesMut::with_capacity(PREFIX + length);
        frame.put_slice(&prefix(0, length));
        message.encode(&mut frame).expect("the buffer has room for the message");
        Self(frame.freeze())
    }

    /// The message of a body that is exactly one uncompressed frame of at most `limit` bytes; `None` if tonic has to
    /// handle the body.
    pub fn only_message(body: &Bytes, limit: usize) -> Option<Bytes> {
        let ([0, length @ ..], message) = body.split_first_chunk::<PREFIX>()? else { return None };
        let whole = u32::from_be_bytes(*length) as usize == message.len() && message.len() <= limit;
        whole.then(|| body.slice(PREFIX..))
    }

    /// Whether the frame is large enough for [`Frame::gzip`].
    pub fn is_worth_compressing(&self) -> bool {
        self.0.len() >= PREFIX + WORTH_COMPRESSING
    }

    /// The same message, compressed.
    pub fn gzip(&self) -> Self {
        let mut frame = gzip_after(vec![0; PREFIX], &self.0[PREFIX..]);
        let prefix = prefix(COMPRESSED, frame.len() - PREFIX);
        frame[..PREFIX].copy_from_slice(&prefix);
        Self(frame.into())
    }

    /// The message without its prefix, as it is sent.
    pub fn message(&self) -> Bytes {
        self.0.slice(PREFIX..)
    }

    /// The whole frame.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The bytes of the whole frame.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// Passes messages through as their encoded bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        // The buffer for a message whose length is unknown, and the size at which encoded bytes are sent. Each call
        // whose message does not arrive would hold tonic's default of 8 KiB.
        BufferSettings::new(512, 32 * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_uncompressed_message_takes_the_fast_path() {
        let table: [(&[u8], Option<&[u8]>); 8] = [
            // body, message
            (&[0, 0, 0, 0, 0], Some(b"")),
            (&[0, 0, 0, 0, 2, 7, 8], Some(&[7, 8])),
            (b"", None),
            (&[0, 0, 0, 0], None),
            (&[1, 0, 0, 0, 1, 7], None),
            (&[0, 0, 0, 0, 2, 7], None),
            (&[0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0], None),
            (&[0, 0, 0, 0, 3, 7, 8, 9], None),
        ];
        for (body, message) in table {
            assert_eq!(Frame::only_message(&Bytes::from_static(body), 2).as_deref(), message, "{body:?}");
        }
    }

    #[test]
    fn a_frame_is_the_message_behind_its_length() {
        let frame = Frame::of(&"ab".to_owned());
        assert_eq!(frame.message(), "ab".to_owned().encode_to_vec());
        assert_eq!(Frame::only_message(&frame.clone().into_bytes(), 4), Some(frame.message()));
        assert_eq!(frame.size(), PREFIX + 4);
    }
}
