//! Attacks that only HTTP/1.1 allows: pipelining in masses, chunked bodies, and request smuggling.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::attack::attacker::Attack;
use crate::attack::wire::{Pace, Wire};

pub const ATTACKS: [Attack; 4] = [
    Attack::new("HTTP/1.1 pipelining", (10_000, "requests"), 4, |wire, pace| Box::pin(pipelining(wire, pace))),
    Attack::new("chunks", (4_000, "chunks"), 10, |wire, pace| Box::pin(chunks(wire, pace))),
    Attack::new("hidden requests", (500, "requests"), 10, |wire, pace| Box::pin(smuggling(wire, pace))),
    Attack::new("upgrades", (1_000, "requests"), 10, |wire, pace| Box::pin(upgrades(wire, pace))),
];

const POST: &str =
    "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

/// The next element of a row, in turn.
fn next<T>(row: &[T]) -> &T {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    &row[TURN.fetch_add(1, Ordering::Relaxed) % row.len()]
}

async fn pipelining(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    const BATCH: u64 = 50;
    wire.drain();
    let batch = b"GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(BATCH as usize);
    loop {
        wire.send(&batch).await?;
        pace.keep(BATCH).await;
    }
}

/// Small chunks, chunks with long extensions, chunks with an invalid size, and endless trailers.
async fn chunks(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.drain();
    let extension = format!("1;{}\r\n \r\n", "a".repeat(1_000));
    let (first, part) = *next(&[
        ("", "1\r\n \r\n"),
        ("", extension.as_str()),
        ("ffffffffffffffff\r\n", "a"),
        ("0000000000000000000000001\r\n \r\n", "-1\r\n \r\n"),
        ("0\r\n", "x-trailer: a\r\n"),
    ]);
    wire.send(format!("{POST}transfer-encoding: chunked\r\n\r\n{first}").as_bytes()).await?;
    loop {
        wire.send(part.as_bytes()).await?;
        pace.keep(1).await;
    }
}

/// Requests whose length has two readings. The server must not answer the bytes after the request as a request of their
/// own: a proxy in front of the server may have used the other reading.
async fn smuggling(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    const HIDDEN: &str = "GET /nothing HTTP/1.1\r\nhost: localhost\r\nx-request-id: hidden\r\n\r\n";
    const PATIENCE: Duration = Duration::from_millis(50);
    let length = HIDDEN.len();
    let with_zero = length + "0\r\n\r\n".len();
    let shape = next(&[
        format!("{POST}content-length: {with_zero}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("{POST}transfer-encoding: chunked\r\ncontent-length: {with_zero}\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("{POST}content-length: 0\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
        format!("{POST}content-length: 0, {length}\r\n\r\n{HIDDEN}"),
        format!("{POST}content-length: +0\r\n\r\n{HIDDEN}"),
        format!("{POST}content-length: {length}\r\ncontent-length : 0\r\n\r\n{HIDDEN}"),
        format!("{POST}transfer-encoding: identity\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
        format!("{POST}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("{POST}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("{POST}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("{POST}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("{POST}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("{POST}transfer-encoding : chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("{POST}transfer-encoding:\r\n chunked\r\ncontent-length: {with_zero}\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("{POST}x: a\ntransfer-encoding: chunked\r\ncontent-length: {with_zero}\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("{POST}transfer-encoding: chunked\r\n\r\n0\n\n{HIDDEN}"),
        format!("{POST}transfer-encoding: chunked\r\n\r\n0;\n{HIDDEN}"),
    ])
    .clone();
    wire.send(shape.as_bytes()).await?;
    let mut said = Vec::new();
    // The server may leave the connection open.
    let _ = timeout(PATIENCE, wire.hear(&mut said)).await;
    if String::from_utf8_lossy(&said).contains("x-request-id: hidden") {
        return Err(io::Error::other(format!("a hidden request was answered: {shape:?}")));
    }
    pace.keep(1).await;
    Ok(())
}

async fn upgrades(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.drain();
    let request = next(&[
        "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
         http2-settings: AAMAAABk\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "CONNECT localhost:22 HTTP/1.1\r\nhost: localhost:22\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n",
        "TRACE / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET /\r\n\r\n",
    ]);
    wire.send(request.as_bytes()).await?;
    sleep(Duration::from_millis(5)).await;
    pace.keep(1).await;
    Ok(())
}
