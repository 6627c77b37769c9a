//! Requests that begin and never end: headers and bodies that do not arrive, or arrive byte by byte.

use std::io;
use std::time::Duration;

use tokio::time::sleep;

use super::floods::CHECK;
use super::resets::GET;
use crate::attack::attacker::Attack;
use crate::attack::frames::{Block, Frames, HEADERS, message};
use crate::attack::wire::{Pace, Wire};

/// Shorter than the defaults, so that a run sees the timeouts without waiting for minutes.
const SHORT: &[(&str, &str)] = &[
    ("FEATURE_SERVER__LIMITS__RECEIVE_TIMEOUT_MS", "1000"),
    ("FEATURE_SERVER__LIMITS__DEFAULT_DEADLINE_MS", "1000"),
    ("FEATURE_SERVER__LIMITS__IDLE_TIMEOUT_MS", "1000"),
];

const fn held(attack: Attack) -> Attack {
    Attack { settings: SHORT, let_go_within: Some(Duration::from_secs(10)), ..attack }
}

pub const ATTACKS: [Attack; 9] = [
    held(Attack::new("HTTP/1.1 headers that never end", (1_000, "lines"), 500, |wire, pace| {
        Box::pin(http1_header(wire, pace))
    })),
    held(Attack::new("HTTP/1.1 bodies that never come", (500, "requests"), 500, |wire, pace| {
        Box::pin(http1_body(wire, pace))
    })),
    held(Attack::new("HTTP/2 headers that never end", (500, "requests"), 500, |wire, pace| {
        Box::pin(http2_header(wire, pace))
    })),
    Attack::new("HTTP/2 bodies that never come", (5_000, "calls"), 60, |wire, pace| {
        Box::pin(http2_body(wire, pace, None))
    }),
    Attack::new("bodies of a byte at a time", (5_000, "bytes"), 60, |wire, pace| Box::pin(slow_body(wire, pace, None))),
    Attack::new("bodies of a byte at a time, with a token", (5_000, "bytes"), 60, |wire, pace| {
        let token = wire.target.token.clone();
        Box::pin(async move { slow_body(wire, pace, Some(&token)).await })
    }),
    Attack::new("half messages", (60, "MB"), 60, |wire, pace| Box::pin(half_messages(wire, pace, None))),
    Attack::new("half messages with a token", (60, "MB"), 60, |wire, pace| {
        let token = wire.target.token.clone();
        Box::pin(async move { half_messages(wire, pace, Some(&token)).await })
    }),
    Attack::new("lengths of 4 GiB", (5_000, "calls"), 20, |wire, pace| Box::pin(huge_lengths(wire, pace))),
];

async fn http1_header(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.send(b"GET / HTTP/1.1\r\nhost: localhost\r\n").await?;
    wire.drain();
    loop {
        pace.keep(1).await;
        wire.send(b"x-more: a\r\n").await?;
    }
}

async fn http1_body(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    let token = wire.target.token.clone();
    let head = format!(
        "POST {GET} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    );
    wire.send(head.as_bytes()).await?;
    pace.keep(1).await;
    wire.closed().await;
    Err(io::ErrorKind::ConnectionReset.into())
}

async fn http2_header(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.http2().await?;
    let stream = wire.stream();
    wire.send_frames(Frames::new().frame(HEADERS, 0, stream, &Block::grpc(CHECK).0)).await?;
    pace.keep(1).await;
    wire.closed().await;
    Err(io::ErrorKind::ConnectionReset.into())
}

fn call(token: Option<&str>) -> Block {
    token.map_or_else(|| Block::grpc(CHECK), |token| Block::authorized(GET, token))
}

/// Unfinished calls, as many as the server accepts.
pub async fn http2_body(mut wire: Wire, pace: &mut Pace, token: Option<&str>) -> io::Result<()> {
    wire.http2().await?;
    let block = call(token);
    loop {
        let stream = wire.stream();
        wire.send_frames(Frames::new().headers(stream, 0, &block)).await?;
        pace.keep(1).await;
    }
}

/// A hundred calls, each of which gets one byte in turn.
async fn slow_body(mut wire: Wire, pace: &mut Pace, token: Option<&str>) -> io::Result<()> {
    wire.http2().await?;
    let block = call(token);
    let streams: Vec<u32> = (0..100).map(|_| wire.stream()).collect();
    for &stream in &streams {
        wire.send_frames(Frames::new().headers(stream, 0, &block).data(stream, 0, &message(false, 1000, b""))).await?;
    }
    loop {
        for &stream in &streams {
            wire.send_frames(Frames::new().data(stream, 0, b"\n")).await?;
            pace.keep(1).await;
        }
    }
}

/// Parts of large messages, as many as the server accepts. The memory for incomplete messages must be bounded, too.
async fn half_messages(mut wire: Wire, pace: &mut Pace, token: Option<&str>) -> io::Result<()> {
    const PART: usize = 16_000;
    wire.http2().await?;
    let block = call(token);
    // The connection's window is 1 MiB; more bytes would be an error.
    for _ in 0..16 {
        let stream = wire.stream();
        let mut frames = Frames::new().headers(stream, 0, &block).data(stream, 0, &message(false, 1_000_000, b""));
        for _ in 0..4 {
            frames = frames.data(stream, 0, &[b'a'; PART]);
        }
        wire.send_frames(frames).await?;
    }
    pace.keep(1).await;
    wire.closed().await;
    Err(io::ErrorKind::ConnectionReset.into())
}

/// Messages whose prefix states the largest possible or the largest allowed length, and which then end.
async fn huge_lengths(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.http2().await?;
    for length in [u32::MAX, 1 << 20].into_iter().cycle() {
        let stream = wire.stream();
        let block = Block::grpc(CHECK);
        wire.send_frames(Frames::new().headers(stream, 0, &block).data(stream, 0, &message(false, length, b"a")))
            .await?;
        pace.keep(1).await;
        if stream % 200 == 199 {
            // All streams that the server allows are open: reset them and start again.
            let resets = (0..100).fold(Frames::new(), |frames, back| frames.reset(stream - 2 * back));
            wire.send_frames(resets).await?;
            sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}
