//! Differential test of the server's JSON against Python's `google.protobuf.json_format`.
//!
//! The server must accept what the oracle accepts, decode it to the same message, and encode that message as the same
//! JSON. The intended exceptions and their reasons are in `differences`.

#![allow(clippy::unwrap_used)]

mod differences;
mod inputs;

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use grpc_transcoding::json;
use prost::Message;
use prost_reflect::DescriptorPool;
use serde_json::{Value, json};

use self::inputs::Input;
use crate::support::client_programs::run;
use crate::support::programs::python;

#[test]
fn json_matches_the_oracle() {
    let pool = pool();
    let inputs = inputs::all();
    let verdicts = verdicts(&pool, &inputs);
    let mut differences = differences::all();
    let mut counts = BTreeMap::new();
    let mut unlisted = Vec::new();
    for (input, verdict) in inputs.iter().zip(&verdicts) {
        let listed = differences.remove(&(input.message, input.text.clone()));
        let kind = match (verdict, listed.is_some()) {
            (Verdict::BothAccept, false) => "both accept",
            (Verdict::BothReject, false) => "both reject",
            (Verdict::Differs(_), true) => "differ deliberately",
            (Verdict::Differs(how), false) => {
                unlisted.push(format!("{}: {how}", input.name()));
                "differ, and should not"
            }
            (_, true) => {
                unlisted.push(format!("{}: listed as a difference, and is none", input.name()));
                "do not differ, and should"
            }
        };
        *counts.entry(kind).or_insert(0) += 1;
    }
    println!("{} inputs: {counts:?}", inputs.len());
    unlisted.extend(differences.into_keys().map(|(message, text)| {
        format!("{}: listed as a difference, and is no input", Input::new(message, text).name())
    }));
    assert!(unlisted.is_empty(), "{} wrong:\n{}", unlisted.len(), unlisted.join("\n"));
    assert!(inputs.len() >= 200);
}

/// The comparison of the server and the oracle for one input.
enum Verdict {
    BothAccept,
    BothReject,
    /// They differ as described.
    Differs(String),
}

fn verdicts(pool: &DescriptorPool, inputs: &[Input]) -> Vec<Verdict> {
    let mut file = tempfile::tempfile().unwrap();
    writeln!(file, "{}", BASE64_STANDARD.encode(pool.encode_to_vec())).unwrap();
    let mut refusals = Vec::new();
    for input in inputs {
        let descriptor = pool.get_message_by_name(input.message).unwrap_or_else(|| panic!("{}", input.message));
        let read = json::decode(&descriptor, &input.text);
        let base64 = |bytes: Vec<u8>| BASE64_STANDARD.encode(bytes);
        let line = json!({
            "type": input.message,
            "text": BASE64_STANDARD.encode(&input.text),
            "message": read.as_ref().ok().map(|message| base64(message.encode_to_vec())),
            "encoded": read.as_ref().ok().map(|message| base64(json::encode(message))),
        });
        writeln!(file, "{line}").unwrap();
        refusals.push(read.err().map(|violations| {
            assert!(!violations.is_empty(), "{}: refused without a reason", input.name());
            violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect::<Vec<_>>().join("; ")
        }));
    }
    file.rewind().unwrap();
    let answers = run(python("json_oracle.py").stdin(file));
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), inputs.len());
    refusals.iter().zip(&answers).map(|(refusal, answer)| verdict(refusal.as_deref(), answer)).collect()
}

fn verdict(refusal: Option<&str>, answer: &Value) -> Verdict {
    match (refusal, answer.get("rejected")) {
        (Some(_), Some(_)) => Verdict::BothReject,
        (Some(refusal), None) => Verdict::Differs(format!("only the oracle accepts it; here {refusal}")),
        (None, Some(why)) => Verdict::Differs(format!("only the server accepts it; the oracle says {why}")),
        (None, None) if answer["message"] != true => Verdict::Differs("another message".to_owned()),
        (None, None) if answer["json"] != true => Verdict::Differs(format!("other JSON: {}", answer["json"])),
        (None, None) => Verdict::BothAccept,
    }
}

/// All messages of the server, and a message with all kinds of fields.
fn pool() -> DescriptorPool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/e2e/clients/json_oracle");
    let kinds = protox::compile(["kinds.proto"], [folder]).unwrap();
    let mut pool = feature_server::services::descriptors::pool();
    pool.add_file_descriptor_set(kinds).unwrap();
    pool
}
