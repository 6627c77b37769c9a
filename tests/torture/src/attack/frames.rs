//! HTTP/2 frames and header blocks as bytes. Nothing here enforces the protocol, so a caller can break it.

/// The first bytes of a client.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags: of `DATA` and `HEADERS`; of `HEADERS` and `CONTINUATION`; of `SETTINGS` and `PING`.
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const ACK: u8 = 0x1;

/// Settings by their numbers.
pub const HEADER_TABLE_SIZE: u16 = 1;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// The error code of a client that no longer wants the answer.
const CANCEL: u32 = 8;

/// Frames in the order of sending.
#[derive(Debug, Clone, Default)]
pub struct Frames(pub Vec<u8>);

impl Frames {
    /// No frames yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Any frame.
    pub fn frame(self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        self.lying(payload.len() as u32, kind, flags, stream, payload)
    }

    /// A frame whose header states a length that differs from the payload's.
    pub fn lying(mut self, length: u32, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        self.0.extend_from_slice(&length.to_be_bytes()[1..]);
        self.0.extend_from_slice(&[kind, flags]);
        self.0.extend_from_slice(&stream.to_be_bytes());
        self.0.extend_from_slice(payload);
        self
    }

    /// The headers of a request in one frame. With `END_STREAM` in `flags`, the request has no body.
    pub fn headers(self, stream: u32, flags: u8, block: &Block) -> Self {
        self.frame(HEADERS, flags | END_HEADERS, stream, &block.0)
    }

    /// A part of a body.
    pub fn data(self, stream: u32, flags: u8, payload: &[u8]) -> Self {
        self.frame(DATA, flags, stream, payload)
    }

    /// A reset of a stream that the client no longer wants.
    pub fn reset(self, stream: u32) -> Self {
        self.frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
    }

    /// A larger window for a stream, or for the connection if `stream` is 0.
    pub fn window_update(self, stream: u32, increment: u32) -> Self {
        self.frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
    }

    /// Settings by number and value.
    pub fn settings(self, settings: &[(u16, u32)]) -> Self {
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
            .collect();
        self.frame(SETTINGS, 0, 0, &payload)
    }
}

/// The header block of a request, uncompressed, so that it does not depend on earlier blocks.
#[derive(Debug, Clone)]
pub struct Block(pub Vec<u8>);

impl Block {
    /// A request with this method and path.
    pub fn new(method: &str, path: &str) -> Self {
        Self(Vec::new())
            .with(":method", method)
            .with(":scheme", "http")
            .with(":path", path)
            .with(":authority", "localhost")
    }

    /// A gRPC call.
    pub fn grpc(path: &str) -> Self {
        Self::new("POST", path).with("content-type", "application/grpc").with("te", "trailers")
    }

    /// A gRPC call with a token.
    pub fn authorized(path: &str, token: &str) -> Self {
        Self::grpc(path).with("authorization", &format!("Bearer {token}"))
    }

    /// Adds a header as a literal that the receiver does not store in its table.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push(0);
        self.text(name);
        self.text(value);
        self
    }

    /// Adds a header as a literal that the receiver must store: it becomes entry 62 of the receiver's table.
    pub fn remembered(mut self, name: &str, value: &str) -> Self {
        self.0.push(0x40);
        self.text(name);
        self.text(value);
        self
    }

    /// Adds a header by its number in the receiver's table, up to 126.
    pub fn indexed(mut self, number: u8) -> Self {
        self.0.push(0x80 | number);
        self
    }

    /// Requests a change of the receiver's table size.
    pub fn table_size(mut self, size: usize) -> Self {
        self.number(0x20, 5, size);
        self
    }

    fn text(&mut self, text: &str) {
        self.number(0, 7, text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// An integer in HPACK's encoding, with `bits` bits of the first byte for it.
    fn number(&mut self, first: u8, bits: u32, number: usize) {
        let most = (1 << bits) - 1;
        if number < most {
            self.0.push(first | number as u8);
            return;
        }
        self.0.push(first | most as u8);
        let mut rest = number - most;
        while rest >= 128 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }
}

/// A gRPC message with its prefix: the compressed flag and the stated length.
pub fn message(compressed: bool, length: u32, bytes: &[u8]) -> Vec<u8> {
    [&[u8::from(compressed)][..], &length.to_be_bytes(), bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_match_rfc_9113() {
        let frames = Frames::new().reset(3).settings(&[(INITIAL_WINDOW_SIZE, 1)]);
        let expected = [&[0, 0, 4, 3, 0, 0, 0, 0, 3, 0, 0, 0, 8][..], &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1]];
        assert_eq!(frames.0, expected.concat());
    }

    #[test]
    fn numbers_match_rfc_7541() {
        // The examples of HPACK's appendix C.1, and the smallest number that needs a second byte.
        for (bits, number, bytes) in [(5, 10, &[10][..]), (5, 1337, &[31, 154, 10]), (8, 42, &[42]), (5, 31, &[31, 0])]
        {
            let mut block = Block(Vec::new());
            block.number(0, bits, number);
            assert_eq!(block.0, bytes, "{number} in {bits} bits");
        }
    }
}
