//! The JSON of a failure that is made once: it is the same for every request, but for the request's id.
//!
//! Scanners ask for paths that do not exist. To make this JSON anew took half of the 26 µs of processor time of each.

use bytes::Bytes;
use prost_reflect::DescriptorPool;

use crate::error::Failure;
use crate::transcoding::json;

/// Stands for the id. No text of a failure has it.
const ID: &str = "\u{1}id\u{1}";

/// What is in front of the id, in its quotation marks, and what comes after.
#[derive(Debug)]
pub(crate) struct Prepared {
    before: String,
    after: String,
}

impl Prepared {
    /// `pool`: knows the details of the failure.
    pub(crate) fn new(pool: &DescriptorPool, failure: &Failure) -> Self {
        let json = String::from_utf8(json::encode_status(pool, &failure.status(ID))).expect("JSON is text");
        let (before, after) = json.split_once(&quoted(ID)).expect("a failure tells the request's id");
        Self { before: before.to_owned(), after: after.to_owned() }
    }

    /// The JSON for the request with this id.
    pub(crate) fn json(&self, id: &str) -> Bytes {
        [&self.before, &*quoted(id), &self.after].concat().into()
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
