//! JSON to every message of the server, and back. The first byte chooses the message.
//!
//! A message must be the same after it was written and read again. A refusal must have a reason, and a short one.
#![no_main]

use std::sync::LazyLock;

use feature_server::services::descriptors;
use grpc_transcoding::json::{decode, encode};
use libfuzzer_sys::{Corpus, fuzz_target};
use prost_reflect::MessageDescriptor;

static MESSAGES: LazyLock<Vec<MessageDescriptor>> = LazyLock::new(|| {
    let pool = descriptors::pool();
    let mut messages: Vec<_> = pool.all_messages().filter(|message| !message.is_map_entry()).collect();
    messages.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    messages
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((choice, json)) = input.split_first() else { return Corpus::Reject };
    let descriptor = &MESSAGES[usize::from(*choice) % MESSAGES.len()];
    match decode(descriptor, json) {
        Ok(message) => {
            let written = encode(&message);
            // The decoder accepts an `Any` without a type, but there is no JSON for it.
            if serde_json::to_vec(&message).is_err() {
                return Corpus::Keep;
            }
            let read = decode(descriptor, &written).unwrap_or_else(|violations| {
                panic!("{} does not read {}: {violations:?}", descriptor.full_name(), String::from_utf8_lossy(&written))
            });
            assert!(read == message, "{message:?}\nwas written as {}", String::from_utf8_lossy(&written));
        }
        Err(violations) => {
            assert!(!violations.is_empty(), "a refusal says why");
            let told: usize =
                violations.iter().map(|violation| violation.field.len() + violation.description.len()).sum();
            assert!(told < 64 * 1024, "{told} bytes of violations");
        }
    }
    Corpus::Keep
});
