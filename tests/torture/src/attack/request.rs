//! One request in any protocol as HTTP/2 frames, made once and sent many times.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::frames::{Block, END_STREAM, Frames, message};
use super::wire::{Pace, Wire};

/// The protocol of a request. All of them run over HTTP/2.
#[derive(Debug, Clone, Copy)]
pub enum Protocol {
    Grpc,
    GrpcWeb,
    Connect,
    ConnectJson,
    ConnectStream,
    ConnectJsonStream,
    /// Name, method and path.
    Http(&'static str, &'static str, &'static str),
}

/// Makes the content of a request, before compression.
pub type Body = fn() -> Vec<u8>;

/// A description of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub protocol: Protocol,
    /// The path of the gRPC method.
    pub method: &'static str,
    pub body: Body,
    /// Whether the request carries the attacker's token.
    pub with_token: bool,
}

/// A request as bytes, ready for any stream.
#[derive(Debug)]
pub struct Prepared {
    block: Block,
    content: Vec<u8>,
}

impl Protocol {
    /// The protocol's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "gRPC",
            Self::GrpcWeb => "gRPC-Web",
            Self::Connect => "Connect",
            Self::ConnectJson => "Connect JSON",
            Self::ConnectStream => "Connect streams",
            Self::ConnectJsonStream => "Connect JSON streams",
            Self::Http(name, ..) => name,
        }
    }

    /// The content type, and the header that names the compression.
    fn headers(self) -> (&'static str, &'static str) {
        match self {
            Self::Grpc => ("application/grpc", "grpc-encoding"),
            Self::GrpcWeb => ("application/grpc-web+proto", "grpc-encoding"),
            Self::Connect => ("application/proto", "content-encoding"),
            Self::ConnectStream => ("application/connect+proto", "connect-content-encoding"),
            Self::ConnectJsonStream => ("application/connect+json", "connect-content-encoding"),
            Self::ConnectJson | Self::Http(..) => ("application/json", "content-encoding"),
        }
    }

    /// Whether a message has a length prefix.
    fn is_framed(self) -> bool {
        !matches!(self, Self::Connect | Self::ConnectJson | Self::Http(..))
    }
}

impl Request {
    /// Makes the request. Compresses a large body.
    pub fn prepare(&self, token: &str) -> Prepared {
        let (content_type, encoding) = self.protocol.headers();
        let (verb, path) = match self.protocol {
            Protocol::Http(_, verb, path) => (verb, path),
            _ => ("POST", self.method),
        };
        let mut block = Block::new(verb, path).with("content-type", content_type);
        if matches!(self.protocol, Protocol::Grpc) {
            block = block.with("te", "trailers");
        }
        if self.with_token {
            block = block.with("authorization", &format!("Bearer {token}"));
        }
        let (compressed, mut content) = smaller((self.body)());
        if compressed {
            block = block.with(encoding, "gzip");
        }
        if self.protocol.is_framed() {
            content = message(compressed, content.len() as u32, &content);
        }
        Prepared { block, content }
    }
}

impl Prepared {
    /// Sends the request again and again. Waits for an answer only when the connection has no free stream.
    pub async fn repeat(&self, mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
        const AT_ONCE: usize = 100;
        let permits = wire.http2_with_permits(AT_ONCE).await?;
        while let Ok(permit) = permits.acquire().await {
            permit.forget();
            let stream = wire.stream();
            wire.send_frames(self.frames(stream)).await?;
            if stream == 1 {
                pace.begin(1).await;
            } else {
                pace.keep(1).await;
            }
        }
        Err(io::ErrorKind::ConnectionReset.into())
    }

    /// The whole request on a stream.
    fn frames(&self, stream: u32) -> Frames {
        const MOST: usize = 16_384;
        if self.content.is_empty() {
            return Frames::new().headers(stream, END_STREAM, &self.block);
        }
        let parts = self.content.chunks(MOST);
        let last = parts.len() - 1;
        parts.enumerate().fold(Frames::new().headers(stream, 0, &self.block), |frames, (number, part)| {
            frames.data(stream, if number == last { END_STREAM } else { 0 }, part)
        })
    }
}

/// Compresses with gzip if that saves bytes. Returns whether it did, and the bytes.
fn smaller(bytes: Vec<u8>) -> (bool, Vec<u8>) {
    const WORTH_IT: usize = 1_024;
    if bytes.len() < WORTH_IT {
        return (false, bytes);
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let written = gzip.write_all(&bytes).and_then(|()| gzip.finish());
    (true, written.expect("memory takes all that is written to it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::rows::bodies;

    #[test]
    fn a_large_request_is_sent_in_two_kib() {
        let bodies = [
            bodies::unknown_fields,
            bodies::list_of_own,
            bodies::mask,
            bodies::json_list_of_own,
            bodies::json_mask,
            bodies::json_unknown_list,
            bodies::json_unknown_keys,
            bodies::json_escapes,
            bodies::json_nested,
        ];
        for (number, body) in bodies.into_iter().enumerate() {
            let raw = body().len();
            assert!((1_000_000..=1 << 20).contains(&raw), "{raw} bytes of body {number}");
            let sent = Request { protocol: Protocol::Connect, method: "/a.B/C", body, with_token: false }.prepare("");
            assert!(sent.frames(1).0.len() < 2_048, "{} bytes of body {number}", sent.frames(1).0.len());
        }
    }

    #[test]
    fn a_request_ends_its_stream_with_its_last_frame() {
        let request = |body| Request { protocol: Protocol::Grpc, method: "/a.B/C", body, with_token: false };
        let table: [(Body, &[u8]); 3] = [
            // body, the last frame
            (|| b"a".to_vec(), &[0, 0, 6, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0, 1, b'a']),
            (|| vec![], &[0, 0, 5, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0]),
            (|| vec![1; 1_023], &[1; 1_023]),
        ];
        for (body, last) in table {
            let Frames(bytes) = request(body).prepare("").frames(7);
            assert!(bytes.ends_with(last), "{bytes:?}");
        }
    }
}
