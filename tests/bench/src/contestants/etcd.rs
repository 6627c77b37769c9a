//! etcd from Debian's packages, with default settings, and the two calls that the goals need. The few small messages
//! are written by hand.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use prost::Message;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::frame::{decode, request};
use super::writers::writes;
use crate::load::{Call, Client};
use crate::process::Process;

/// A running etcd with a data folder of its own.
pub struct Etcd {
    /// The process.
    pub process: Process,
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

impl Etcd {
    /// Starts etcd with a data folder in `parent`, on the same disk as the other contestants.
    pub async fn start(parent: &std::path::Path) -> Result<Self> {
        let data = tempfile::tempdir_in(parent)?;
        let (client, peer) = (free_address().await?, free_address().await?);
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(data.path()).args(["--log-level", "error"]);
        for (flag, address) in [("client", &client), ("peer", &peer)] {
            command.arg(format!("--listen-{flag}-urls")).arg(format!("http://{address}"));
        }
        command.arg("--advertise-client-urls").arg(format!("http://{client}"));
        command.arg("--initial-advertise-peer-urls").arg(format!("http://{peer}"));
        command.arg("--initial-cluster").arg(format!("default=http://{peer}"));
        Ok(Self { process: Process::start_at(command, client).await?, _data: data })
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

/// An address whose port was free a moment ago.
async fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}
