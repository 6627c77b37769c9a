//! The open loop: calls are made at a fixed rate, whether earlier ones are answered or not.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::{JoinSet, spawn_blocking};

use super::cores::{Share, on_each_core};
use super::{Call, Measured};

/// How often a second each thread makes calls, at most. Those that are due within one of these ticks come together: each
/// by itself would wake the thread of its client, one of the server and its client's again, which costs as much as the
/// call, so that half of a peak would take all of the machine.
const TICKS: f64 = 1_000.0;

/// Makes calls at a fixed rate. A latency counts from the moment when the call was due, so that a server which stalls
/// is not spared the calls that it held up.
///
/// `rate`: calls a second, over all connections.
pub async fn open_loop(sockets: Vec<TcpStream>, call: &Call, rate: f64, duration: Duration) -> Result<Measured> {
    let call = call.clone();
    let run = move |share| run(share, call.clone(), rate, duration);
    on_each_core(sockets, run).await.context("at a fixed rate")
}

/// Makes the calls of a share: those of each tick in turn with the other threads, over its connections in turn.
async fn run(share: Share, call: Call, rate: f64, duration: Duration) -> Result<Vec<u64>> {
    let Share { thread, threads, clients, .. } = share;
    let calls_per_tick = (rate / threads as f64 / TICKS).ceil();
    let interval = Duration::from_secs_f64(calls_per_tick * threads as f64 / rate);
    let start = Instant::now();
    let first = start + interval * thread as u32 / threads as u32;
    let (tick, mut ticks) = unbounded_channel();
    // A thread of its own: it sleeps to within some 50 µs, a timer of tokio to within a millisecond.
    spawn_blocking(move || {
        for due in (0..).map(|tick| first + interval * tick).take_while(|due| *due < start + duration) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // It fails when a call did, which is told below.
            if tick.send(due).is_err() {
                break;
            }
        }
    });
    let mut turns = (thread..).step_by(threads).zip(clients.iter().cycle());
    let mut calls = JoinSet::new();
    let mut latencies = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(due) = ticks.recv() => {
                for (turn, client) in turns.by_ref().take(calls_per_tick as usize) {
                    let (client, call) = (client.clone(), call.clone());
                    calls.spawn(async move {
                        client.call(&call, turn).await?;
                        anyhow::Ok(due.elapsed().as_micros() as u64)
                    });
                }
            }
            Some(answered) = calls.join_next() => latencies.push(answered??),
            else => return Ok(latencies),
        }
    }
}
