//! Connections without requests.

use std::io;
use std::time::Duration;

use super::floods::CHECK;
use crate::attack::attacker::Attack;
use crate::attack::frames::{Block, END_STREAM, Frames, PREFACE, message};
use crate::attack::wire::{Pace, Wire};

/// Shorter than the defaults, so that a run sees the timeouts without waiting for minutes.
const SHORT: &[(&str, &str)] =
    &[("FEATURE_SERVER__LIMITS__RECEIVE_TIMEOUT_MS", "1000"), ("FEATURE_SERVER__LIMITS__IDLE_TIMEOUT_MS", "1000")];

const fn held(attack: Attack) -> Attack {
    Attack { settings: SHORT, let_go_within: Some(Duration::from_secs(10)), ..attack }
}

/// Gives an attack enough time to open ten thousand connections.
const fn many(attack: Attack) -> Attack {
    Attack { least: Duration::from_secs(6), ..attack }
}

/// The default maximum of connections, less a few for the good client.
const ALL: u32 = 9_990;

pub const ATTACKS: [Attack; 6] = [
    Attack::new("flood of connections", (2_000, "connections"), 20, |wire, pace| Box::pin(open(wire, pace))),
    held(Attack::new("silent connections", (1_000, "connections"), 1_000, |wire, pace| Box::pin(nothing(wire, pace)))),
    held(Attack::new("half prefaces", (1_000, "connections"), 1_000, |wire, pace| Box::pin(half_preface(wire, pace)))),
    held(Attack::new("HTTP/2 and no call", (1_000, "connections"), 1_000, |wire, pace| Box::pin(preface(wire, pace)))),
    many(Attack::new("10,000 silent connections", (4_000, "connections"), ALL, |wire, pace| {
        Box::pin(nothing(wire, pace))
    })),
    many(Attack::new("10,000 idle connections", (4_000, "connections"), ALL, |wire, pace| Box::pin(idle(wire, pace)))),
];

async fn open(wire: Wire, pace: &mut Pace) -> io::Result<()> {
    drop(wire);
    pace.keep(1).await;
    Ok(())
}

async fn nothing(wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wait(wire, pace).await
}

async fn half_preface(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.send(&PREFACE[..10]).await?;
    wait(wire, pace).await
}

async fn preface(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.http2().await?;
    wait(wire, pace).await
}

/// A client that has made one call and keeps its connection.
async fn idle(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.http2().await?;
    let stream = wire.stream();
    let call = Frames::new().headers(stream, 0, &Block::grpc(CHECK)).data(stream, END_STREAM, &message(false, 0, b""));
    wire.send_frames(call).await?;
    wait(wire, pace).await
}

async fn wait(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    pace.keep(1).await;
    wire.closed().await;
    Err(io::ErrorKind::ConnectionReset.into())
}
