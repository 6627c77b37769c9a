//! Two Set requests of one level, as bytes, applied to an empty layer one after the other. The first byte chooses the
//! level, the second byte the length of the first request.
//!
//! Applying a request twice is the same as applying it once, and a refusal names its fields.
#![no_main]

use std::sync::LazyLock;

use feature_api::request::{Request, RequestError};
use feature_api::schema::{Method, Operation, Schema};
use feature_core::{Layer, Level};
use libfuzzer_sys::{Corpus, fuzz_target};

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::new(feature_api::descriptor_pool()).expect("our protos fit together"));

static SETS: LazyLock<Vec<(&Method, Level)>> = LazyLock::new(|| {
    let set = |method: &'static Method| match method.operation {
        Some((Operation::Set, level)) => Some((method, level)),
        _ => None,
    };
    let mut sets: Vec<_> = SCHEMA.methods().filter_map(set).collect();
    sets.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    sets
});

/// Applies a request to a layer. A refused request changes nothing. Returns whether the request could be decoded.
fn apply(bytes: &[u8], (method, level): (&Method, Level), layer: &mut Layer) -> bool {
    let features = SCHEMA.level(level);
    let request = match Request::decode(&method.request, bytes) {
        Ok(request) => request,
        Err(error) => {
            assert!(!matches!(error, RequestError::NoChanges(_)), "only a patch can be without changes: {error:?}");
            return false;
        }
    };
    match request.patch(features) {
        Ok(patch) => {
            let changes = patch.changes_to(layer);
            for change in &changes {
                assert!(features.set.kind(change.key.as_str()).is_some(), "{} is a feature", change.key);
                assert_eq!(change.old.as_ref(), layer.get(change.key.as_str()), "{}", change.key);
            }
            layer.apply(&changes);
            assert_eq!(patch.changes_to(layer), [], "twice is the same as once");
        }
        Err(RequestError::Invalid(violations)) => {
            assert!((1..=10).contains(&violations.len()), "{violations:?}");
            for violation in violations {
                assert!(!violation.field.is_empty() && !violation.description.is_empty(), "{violation:?}");
                assert!(violation.field.len() + violation.description.len() < 1024, "{violation:?}");
            }
        }
        Err(error) => assert!(matches!(error, RequestError::NoChanges(_)), "{error:?}"),
    }
    true
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((&[choice, length], rest)) = input.split_first_chunk() else { return Corpus::Reject };
    let set = SETS[usize::from(choice) % SETS.len()];
    let (first, second) = rest.split_at(usize::from(length).min(rest.len()));
    let mut layer = Layer::default();
    let read = apply(first, set, &mut layer) | apply(second, set, &mut layer);
    if read { Corpus::Keep } else { Corpus::Reject }
});
