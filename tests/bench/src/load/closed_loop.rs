//! The closed loop: each client makes its next call as soon as the previous one is answered.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use super::cores::{Share, connect, on_each_core};
use super::{Call, Client, Concurrency, Measured};

/// The end of a closed loop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this time.
    Elapsed(Duration),
    /// Before this turn.
    Turn(usize),
}

/// Makes calls in a closed loop until the end.
pub async fn closed_loop(address: &str, call: &Call, concurrency: Concurrency, until: Until) -> Result<Measured> {
    closed_loop_on(connect(address, concurrency.connections).await?, call, concurrency.streams, until).await
}

/// Makes calls on these connections, which may lead to several servers.
pub async fn closed_loop_on(sockets: Vec<TcpStream>, call: &Call, streams: usize, until: Until) -> Result<Measured> {
    let (call, concurrency) = (call.clone(), Concurrency { connections: sockets.len(), streams });
    on_each_core(sockets, move |share| run(share, call.clone(), concurrency, until)).await
}

/// Makes the calls of a share, with a task for each client.
async fn run(share: Share, call: Call, concurrency: Concurrency, until: Until) -> Result<Vec<u64>> {
    let Concurrency { connections, streams } = concurrency;
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for (connection, client) in (share.first..).zip(share.clients) {
        for stream in 0..streams {
            let turns = (connection + stream * connections..).step_by(connections * streams);
            tasks.spawn(one_by_one(client.clone(), call.clone(), turns, start, until));
        }
    }
    let mut latencies = Vec::new();
    while let Some(client) = tasks.join_next().await {
        latencies.extend(client??);
    }
    Ok(latencies)
}

/// Makes the calls of these turns. Returns their latencies in microseconds.
async fn one_by_one(
    client: Client,
    call: Call,
    turns: impl Iterator<Item = usize>,
    start: Instant,
    until: Until,
) -> Result<Vec<u64>> {
    let mut latencies = Vec::new();
    for turn in turns {
        let begun = Instant::now();
        let over = match until {
            Until::Elapsed(duration) => begun.duration_since(start) >= duration,
            Until::Turn(end) => turn >= end,
        };
        if over {
            break;
        }
        client.call(&call, turn).await?;
        latencies.push(begun.elapsed().as_micros() as u64);
    }
    Ok(latencies)
}
