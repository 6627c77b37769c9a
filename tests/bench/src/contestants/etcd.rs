//! etcd from Debian's packages, with default settings, and the two calls that the goals need. The few small messages
//! are written by hand.

use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use prost::Message;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::frame::{decode, request};
use super::free_address;
use super::writers::writes;
use crate::load::{Call, Client};
use crate::process::Process;

/// A running etcd with a data folder of its own.
pub struct Etcd {
    /// The process; of several nodes, the leader: the others pass writes on to it.
    pub process: Process,
    _others: Vec<Process>,
    _data: TempDir,
}

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {
    #[prost(message, tag = "1")]
    header: Option<Header>,
}

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(uint64, tag = "2")]
    member_id: u64,
    /// Signed in etcd's proto, but never below 0.
    #[prost(uint64, tag = "3")]
    revision: u64,
}

#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bool, tag = "7")]
    serializable: bool,
}

#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, tag = "1")]
    header: Option<Header>,
    /// The id of the leader, or 0 without one.
    #[prost(uint64, tag = "4")]
    leader: u64,
}

#[derive(Clone, PartialEq, Message)]
struct WatchRequest {
    #[prost(message, tag = "1")]
    create: Option<WatchCreateRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct WatchCreateRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

impl Etcd {
    /// Starts one node with a data folder in `parent`, on the same disk as the other contestants.
    pub async fn start(parent: &Path) -> Result<Self> {
        Self::start_nodes(parent, 1).await
    }

    /// Starts several nodes, which keep every write on most of them, each with a data folder in `parent`.
    pub async fn start_nodes(parent: &Path, nodes: usize) -> Result<Self> {
        let data = tempfile::tempdir_in(parent)?;
        let mut addresses = Vec::new();
        for _ in 0..nodes {
            addresses.push((free_address().await?, free_address().await?));
        }
        let members = addresses.iter().enumerate().map(|(node, (_, peer))| format!("node-{node}=http://{peer}"));
        let members = members.collect::<Vec<_>>().join(",");
        // All at once, since a node listens only after most of them have elected a leader.
        let mut starting = JoinSet::new();
        for (node, (client, peer)) in addresses.into_iter().enumerate() {
            let mut command = Command::new("etcd");
            let name = format!("node-{node}");
            command.arg("--data-dir").arg(data.path().join(&name)).args(["--log-level", "error", "--name", &name]);
            for (flag, address) in [("client", &client), ("peer", &peer)] {
                command.arg(format!("--listen-{flag}-urls")).arg(format!("http://{address}"));
            }
            command.arg("--advertise-client-urls").arg(format!("http://{client}"));
            command.arg("--initial-advertise-peer-urls").arg(format!("http://{peer}"));
            command.arg("--initial-cluster").arg(&members);
            starting.spawn(Process::start_at(command, client));
        }
        let (mut leader, mut others) = (None, Vec::new());
        while let Some(started) = starting.join_next().await {
            let node = started??;
            if leads(&node).await? { leader = Some(node) } else { others.push(node) }
        }
        Ok(Self { process: leader.context("no node of etcd leads the others")?, _others: others, _data: data })
    }

    /// Puts a value of `bytes` bytes, then makes a read of that value. No other client writes, so the revision in the
    /// answer stays the same.
    pub async fn range(&self, bytes: usize) -> Result<Call> {
        let client = Client::connect(&self.process.address).await?;
        client.answer(put("read", 0, bytes)).await?;
        let message = RangeRequest { key: b"read".to_vec(), serializable: true };
        let range = request("/etcdserverpb.KV/Range", &message.encode_to_vec());
        let answer = client.answer(range.clone()).await?;
        Ok(Call::constant(range, answer))
    }

    /// A watch of one key.
    pub fn watch() -> Request<Bytes> {
        let create = WatchCreateRequest { key: b"watched".to_vec() };
        request("/etcdserverpb.Watch/Watch", &WatchRequest { create: Some(create) }.encode_to_vec())
    }

    /// A write that such a watch shows.
    pub fn put_watched(value: u8) -> Request<Bytes> {
        put("watched", value, 8)
    }

    /// Durable writes of `bytes` bytes. Each writer has its own key.
    pub fn puts(writers: usize, bytes: usize) -> Call {
        writes(
            writers,
            |writer, value| put(&format!("write-{writer}"), value.into(), bytes),
            |answer| {
                let answer: PutResponse = decode(answer)?;
                Ok(answer.header.context("an answer without a header")?.revision)
            },
        )
    }
}

fn put(key: &str, value: u8, bytes: usize) -> Request<Bytes> {
    request("/etcdserverpb.KV/Put", &PutRequest { key: key.into(), value: vec![value; bytes] }.encode_to_vec())
}

/// Whether a node leads the others.
async fn leads(node: &Process) -> Result<bool> {
    let client = Client::connect(&node.address).await?;
    let answer = client.answer(request("/etcdserverpb.Maintenance/Status", &[])).await?;
    let status: StatusResponse = decode(&answer)?;
    Ok(status.leader == status.header.context("an answer without a header")?.member_id)
}
