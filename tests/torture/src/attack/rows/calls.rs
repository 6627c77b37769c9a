//! Well-formed calls: streams without a token, tokens with a wrong signature, and more calls than an identity may make.

use std::io;

use super::resets::GET;
use super::unfinished::http2_body;
use crate::attack::attacker::Attack;
use crate::attack::frames::{Block, END_STREAM, Frames, message};
use crate::attack::wire::{Pace, Wire};

pub const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// One identity may use a quarter of these slots.
const FEW: &[(&str, &str)] = &[("FEATURE_SERVER__LIMITS__CALLS", "1024")];

pub const ATTACKS: [Attack; 3] = [
    Attack::new("health Watch streams", (6_000, "streams"), 60, |wire, pace| Box::pin(watch(wire, pace))),
    Attack::new("forged tokens", (2_000, "calls"), 4, |wire, pace| Box::pin(forged(wire, pace))),
    Attack {
        settings: FEW,
        overload: true,
        ..Attack::new("overload", (2_000, "calls"), 8, |wire, pace| Box::pin(overload(wire, pace)))
    },
];

async fn watch(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.http2().await?;
    let block = Block::grpc(WATCH);
    for _ in 0..100 {
        let stream = wire.stream();
        wire.send_frames(Frames::new().headers(stream, 0, &block).data(stream, END_STREAM, &message(false, 0, b"")))
            .await?;
        pace.keep(1).await;
    }
    wire.closed().await;
    Err(io::ErrorKind::ConnectionReset.into())
}

/// A valid token with a wrong signature. The server must check each of them in full.
async fn forged(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.http2().await?;
    let token = wire.target.token.clone();
    let (signed, signature) = token.rsplit_once('.').ok_or_else(|| io::Error::other("a token has a signature"))?;
    loop {
        let start = fastrand::usize(..signature.len() - 12);
        let forged: String = (0..8).map(|_| fastrand::alphanumeric()).collect();
        let signature = [&signature[..start], &forged, &signature[start + 8..]].concat();
        let stream = wire.stream();
        let block = Block::authorized(GET, &format!("{signed}.{signature}"));
        wire.send_frames(Frames::new().headers(stream, END_STREAM, &block)).await?;
        pace.keep(1).await;
    }
}

/// Calls whose bodies never arrive. They take all slots of the attacker, and the server refuses the others.
async fn overload(wire: Wire, pace: &mut Pace) -> io::Result<()> {
    let token = wire.target.token.clone();
    http2_body(wire, pace, Some(&token)).await
}
