//! The open loop: makes calls at a fixed rate, without waiting for earlier answers.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::{JoinSet, spawn_blocking};

use super::cores::{Share, on_each_core};
use super::{Call, Measured};

/// The maximum number of times per second that a thread makes calls. All calls that are due within a tick start
/// together: a call alone would wake the client's thread, a thread of the server and the client's thread again, which
/// costs as much as the call, so that half of the peak rate would use the whole machine.
const TICKS: f64 = 1_000.0;

/// Makes calls at a fixed rate. The latency of a call counts from the moment when it was due, so that the calls which a
/// stalled server delays count in full.
///
/// `rate`: calls a second, over all connections.
pub async fn open_loop(sockets: Vec<TcpStream>, call: &Call, rate: f64, duration: Duration) -> Result<Measured> {
    let call = call.clone();
    let run = move |share| run(share, call.clone(), rate, duration);
    on_each_core(sockets, run).await.context("at a fixed rate")
}

/// Makes the calls of a share. The threads have their ticks in turn, and a thread uses its connections in turn.
async fn run(share: Share, call: Call, rate: f64, duration: Duration) -> Result<Vec<u64>> {
    let Share { thread, threads, clients, .. } = share;
    let calls_per_tick = (rate / threads as f64 / TICKS).ceil();
    let interval = Duration::from_secs_f64(calls_per_tick * threads as f64 / rate);
    let start = Instant::now();
    let first = start + interval * thread as u32 / threads as u32;
    let (tick, mut ticks) = unbounded_channel();
    // A blocking thread, since its sleep is exact to about 50 µs; tokio's timer is exact to a millisecond.
    spawn_blocking(move || {
        for due in (0..).map(|tick| first + interval * tick).take_while(|due| *due < start + duration) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // The receiver is gone only if a call failed; the loop below returns that error.
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
