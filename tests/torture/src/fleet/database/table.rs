//! The log as the database has it: the end, and the entries, decoded by messages of the campaign's own.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use prost::Message;
use tokio_postgres::Client;

/// The entries that are read at once.
const PAGE: i64 = 10_000;

/// The bytes of a chain.
pub type Chain = [u8; 16];

/// The log from an entry on.
#[derive(Debug, Clone)]
pub struct Log {
    /// The store's id.
    pub store: [u8; 16],
    /// The end, as the head row has it.
    pub end: u64,
    /// The chain at the end, as the head row has it.
    pub chain: Chain,
    /// The entries, in the order of their revisions.
    pub entries: Vec<Entry>,
}

/// A row of the table `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub revision: u64,
    pub chain: Chain,
    pub body: Vec<u8>,
}

/// An entry's event. The tags are those of the journal's payload.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    #[prost(bytes = "vec", tag = "1")]
    pub scope: Vec<u8>,
    /// 3: a Set, 4: a Reset. 1 and 2 are those of a caller whose credential is not known.
    #[prost(uint32, tag = "2")]
    pub kind: u32,
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
    #[prost(sfixed64, tag = "4")]
    pub unix_nanos: i64,
    #[prost(string, tag = "6")]
    pub request_id: String,
    #[prost(string, optional, tag = "7")]
    pub organization: Option<String>,
    #[prost(message, repeated, tag = "8")]
    pub changes: Vec<Change>,
}

/// The change of a feature.
#[derive(Clone, PartialEq, Message)]
pub struct Change {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub old: Option<StoredValue>,
    #[prost(message, optional, tag = "3")]
    pub new: Option<StoredValue>,
}

/// A value, as the server stores it.
#[derive(Clone, PartialEq, Message)]
pub struct StoredValue {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
    pub kind: Option<Kind>,
}

/// A kind of value.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    #[prost(bool, tag = "1")]
    Flag(bool),
    #[prost(string, tag = "2")]
    Text(String),
    #[prost(message, tag = "3")]
    Numbers(Numbers),
    #[prost(message, tag = "4")]
    Message(Parts),
}

/// A list of numbers.
#[derive(Clone, PartialEq, Message)]
pub struct Numbers {
    #[prost(sint32, repeated, tag = "1")]
    pub numbers: Vec<i32>,
}

/// A message with named parts.
#[derive(Clone, PartialEq, Message)]
pub struct Parts {
    #[prost(btree_map = "string, message", tag = "1")]
    pub parts: BTreeMap<String, StoredValue>,
}

/// Reads the log after this revision.
///
/// # Errors
/// Also when the tables are not those that the campaign knows.
pub async fn read(client: &Client, after: u64) -> Result<Log> {
    let head = "SELECT uuid_send(store), revision, chain FROM feature_service.head WHERE one";
    let head = client.query_one(head, &[]).await.context("the database has no log")?;
    let mut log = Log {
        store: bytes(head.try_get(0)?)?,
        end: u64::try_from(head.try_get::<_, i64>(1)?)?,
        chain: bytes(head.try_get(2)?)?,
        entries: Vec::new(),
    };
    let events =
        "SELECT revision, chain, body FROM feature_service.events WHERE revision > $1 ORDER BY revision LIMIT $2";
    let mut last = i64::try_from(after)?;
    loop {
        let page = client.query(events, &[&last, &PAGE]).await?;
        for row in &page {
            last = row.try_get(0)?;
            let entry = Entry { revision: last.try_into()?, chain: bytes(row.try_get(1)?)?, body: row.try_get(2)? };
            log.entries.push(entry);
        }
        if page.is_empty() {
            return Ok(log);
        }
    }
}

fn bytes(column: &[u8]) -> Result<[u8; 16]> {
    column.try_into().context("16 bytes are needed")
}
