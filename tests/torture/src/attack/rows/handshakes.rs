//! Attacks on the TLS handshake.

use std::io;
use std::time::Duration;

use crate::attack::attacker::Attack;
use crate::attack::tls::hello;
use crate::attack::wire::{Pace, Wire};

/// Shorter than the default, so that a run sees the timeout without waiting for minutes.
const SHORT: &[(&str, &str)] = &[("FEATURE_SERVER__LIMITS__RECEIVE_TIMEOUT_MS", "1000")];

const fn tls(attack: Attack) -> Attack {
    Attack { tls: true, ..attack }
}

const fn held(attack: Attack) -> Attack {
    Attack { settings: SHORT, let_go_within: Some(Duration::from_secs(10)), ..tls(attack) }
}

pub const ATTACKS: [Attack; 4] = [
    tls(Attack::new("TLS handshakes that are given up", (200, "handshakes"), 20, |wire, pace| {
        Box::pin(given_up(wire, pace))
    })),
    held(Attack::new("half TLS handshakes", (1_000, "connections"), 500, |wire, pace| {
        Box::pin(begun(wire, pace, |hello| hello))
    })),
    held(Attack::new("half TLS hellos", (1_000, "connections"), 500, |wire, pace| {
        Box::pin(begun(wire, pace, |hello| &hello[..hello.len() / 2]))
    })),
    tls(Attack::new("no TLS", (500, "connections"), 10, |wire, pace| Box::pin(random(wire, pace)))),
];

/// The client leaves after the server has signed its part of the handshake, which is the server's most expensive step.
async fn given_up(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    wire.send(&hello(wire.target.tls.as_ref())?).await?;
    let mut answer = [0; 1];
    wire.read(&mut answer).await?;
    pace.keep(1).await;
    Ok(())
}

async fn begun(mut wire: Wire, pace: &mut Pace, part: fn(&[u8]) -> &[u8]) -> io::Result<()> {
    wire.send(part(&hello(wire.target.tls.as_ref())?)).await?;
    pace.keep(1).await;
    wire.closed().await;
    Err(io::ErrorKind::ConnectionReset.into())
}

/// Random bytes in place of a ClientHello; some begin like one.
async fn random(mut wire: Wire, pace: &mut Pace) -> io::Result<()> {
    const HANDSHAKE: &[u8] = &[22, 3, 1];
    let mut noise: Vec<u8> = (0..fastrand::usize(3..4_000)).map(|_| fastrand::u8(..)).collect();
    if fastrand::bool() {
        noise[..HANDSHAKE.len()].copy_from_slice(HANDSHAKE);
    }
    wire.drain();
    wire.send(&noise).await?;
    pace.keep(1).await;
    Ok(())
}
