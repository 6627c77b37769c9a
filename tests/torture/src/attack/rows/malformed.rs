//! Bytes that are not HTTP, and frames with wrong fields. They are random, and the run prints the seed.

use std::io;

use super::floods::CHECK;
use crate::attack::attacker::Attack;
use crate::attack::frames::{Block, Frames, PREFACE};
use crate::attack::wire::{Pace, Wire};

pub const ATTACKS: [Attack; 3] = [
    Attack::new("random bytes", (500, "connections"), 10, |wire, pace| Box::pin(noise(wire, pace))),
    Attack::new("random bytes after the preface", (500, "connections"), 10, |wire, pace| {
        Box::pin(noise_in_http2(wire, pace))
    }),
    Attack::new("malformed frames", (2_000, "frames"), 10, |wire, pace| Box::pin(frames(wire, pace))),
];

async fn noise(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.drain();
    let noise = random(fastrand::usize(1..4_000));
    pace.keep(1).await;
    wire.send(&noise).await
}

async fn noise_in_http2(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.drain();
    wire.send(PREFACE).await?;
    wire.send_frames(Frames::new().settings(&[])).await?;
    noise(wire, pace).await
}

/// Frames with random type, flags, length and stream, between valid calls.
async fn frames(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.http2().await?;
    let block = Block::grpc(CHECK);
    loop {
        let stream = wire.stream();
        let payload = random(fastrand::usize(0..40));
        let (kind, flags, of) = (
            fastrand::u8(0..12),
            fastrand::u8(..),
            *fastrand::choice(&[0, stream, stream + 1, 7, u32::MAX]).unwrap_or(&0),
        );
        let right = payload.len() as u32;
        let length = *fastrand::choice(&[right, right, right, right + 1, 0, 1 << 14, (1 << 24) - 1]).unwrap_or(&right);
        wire.send_frames(Frames::new().headers(stream, 0, &block).lying(length, kind, flags, of, &payload)).await?;
        pace.keep(1).await;
    }
}

fn random(length: usize) -> Vec<u8> {
    (0..length).map(|_| fastrand::u8(..)).collect()
}
