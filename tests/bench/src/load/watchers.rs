//! Many open streams, and when each of them receives a message.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::{Buf, Bytes, BytesMut};
use http::Request;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::Client;
use super::client::Open;

/// The maximum time until every stream has a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// The length of the prefix of a message.
const PREFIX: usize = 5;

/// Streams that are open until this is dropped.
pub struct Watchers {
    count: usize,
    received: UnboundedReceiver<Instant>,
    _clients: Vec<Client>,
}

impl Watchers {
    /// Opens streams, and waits until each has its first message.
    ///
    /// * `streams`: on each of the connections.
    /// * `request`: the request of a stream.
    /// * `ends`: whether a request has one message; else it stays open.
    pub async fn open(
        address: &str,
        connections: usize,
        streams: usize,
        request: impl Fn() -> Request<Bytes>,
        ends: bool,
    ) -> Result<Self> {
        let (sender, received) = unbounded_channel();
        let mut clients = Vec::new();
        for _ in 0..connections {
            let client = Client::connect(address).await?;
            for _ in 0..streams {
                let body = client.open(request(), ends).await?;
                tokio::spawn(read(body, sender.clone()));
            }
            clients.push(client);
        }
        let mut watchers = Self { count: connections * streams, received, _clients: clients };
        watchers.receive().await?;
        Ok(watchers)
    }

    /// The number of streams.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Makes a write, and returns how long after its begin each stream has received the next message, in order.
    pub async fn one_event(&mut self, write: impl Future<Output = Result<Bytes>>) -> Result<Vec<Duration>> {
        let begun = Instant::now();
        write.await?;
        let mut after: Vec<_> = self.receive().await?.into_iter().map(|at| at.duration_since(begun)).collect();
        after.sort_unstable();
        Ok(after)
    }

    /// Waits until as many messages have come as there are streams.
    async fn receive(&mut self) -> Result<Vec<Instant>> {
        let mut all = Vec::with_capacity(self.count);
        while all.len() < self.count {
            let next = timeout(PATIENCE, self.received.recv()).await;
            let next = next.with_context(|| format!("{} of {} streams have a message", all.len(), self.count))?;
            all.push(next.context("all streams have ended")?);
        }
        ensure!(self.received.is_empty(), "more messages than expected");
        Ok(all)
    }
}

/// Reads the messages of a stream.
async fn read(mut open: Open, received: UnboundedSender<Instant>) -> Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(data) = open.next().await? {
        buffer.extend_from_slice(&data);
        while let Some([_, length @ ..]) = buffer.first_chunk::<PREFIX>() {
            let end = PREFIX + u32::from_be_bytes(*length) as usize;
            if buffer.len() < end {
                break;
            }
            buffer.advance(end);
            received.send(Instant::now())?;
        }
    }
    Ok(())
}
