//! Random writes for the simulation, alone and in batches, each with a line for the trace.

use fastrand::Rng;
use feature_core::{IdempotencyKey, Operation, OrganizationId, Placement, Scope, Value, Write};

use crate::VALUE_MAX_BYTES;
use crate::tests::fixtures::{scopes, values, write};

/// A write to one of a few scopes, so that writes of a group often meet.
fn any(rng: &mut Rng) -> (String, Write) {
    let scopes = scopes();
    let scope = &scopes[rng.usize(..scopes.len())];
    let key = ["a", "b"][rng.usize(..2)];
    let value = match rng.u8(..40) {
        0 => Some(Value::Text("x".repeat(VALUE_MAX_BYTES))),
        1..10 => None,
        _ => Some(values()[rng.usize(..values().len())].clone()),
    };
    let kind = match &value {
        None => "unset".to_owned(),
        Some(Value::Text(text)) if text.len() >= VALUE_MAX_BYTES => "set too much of".to_owned(),
        Some(value) => format!("set {value:?} as"),
    };
    let mut write = write(scope, key, value);
    let mut line = format!("{kind} {key} of {scope:?}");
    if rng.u8(..10) == 0 {
        write.operation = Operation::Reset;
        line = format!("reset {scope:?}");
    }
    if rng.u8(..4) == 0 {
        write.placement = Placement::Move(OrganizationId::new(["x", "y"][rng.usize(..2)]).expect("it is an id"));
        line += &format!(", {:?}", write.placement);
    }
    if rng.u8(..5) == 0 {
        write.expected_sequence = Some(rng.u64(..6));
        line += &format!(", expecting {:?}", write.expected_sequence);
    }
    if rng.u8(..10) == 0 {
        write.validate_only = true;
        line += ", only to validate";
    }
    if rng.u8(..10) == 0 {
        write.comment = "because".to_owned();
        line += ", with a comment";
    }
    if rng.u8(..6) == 0 {
        let key = rng.u8(..8);
        write.idempotency_key = Some(IdempotencyKey([key; 16]));
        line += &format!(", as request {key}");
    }
    (line, write)
}

/// A batch of writes to different scopes, in most cases of one write.
pub(in crate::tests) fn batch(rng: &mut Rng) -> (String, Vec<Write>) {
    let (mut lines, mut writes) = (Vec::new(), Vec::<Write>::new());
    let most = [1, 1, 1, 4][rng.usize(..4)];
    for _ in 0..most {
        let (mut line, mut write) = any(rng);
        if most == 1 && matches!(write.scope, Scope::User(..)) && rng.u8(..6) == 0 {
            write.operation = Operation::Erase;
            line = format!("erase {:?} in place of: {line}", write.scope);
        }
        if writes.iter().all(|earlier| earlier.scope != write.scope) {
            lines.push(line);
            writes.push(write);
        }
    }
    (lines.join(" and "), writes)
}
