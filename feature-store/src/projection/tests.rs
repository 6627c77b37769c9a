//! Tests of building a projection: however little memory there is, it is the same.

use uuid::Uuid;

use super::*;
use crate::tests::fixtures::{history, users};

#[test]
fn a_projection_built_with_any_memory_is_the_one_that_was_written_event_by_event() {
    let guard = tempfile::tempdir().unwrap();
    let store = Uuid::from_u128(7);
    // Users of one event each, and one scope that comes again and again.
    let mut events: Vec<_> = users(300).collect();
    events.extend(history(301..=400));
    let empty = |name: &str| {
        let projection = Projection::open_tree(&guard.path().join(name)).unwrap();
        let progress = projection.check(store).unwrap();
        (projection, progress)
    };
    let (expected, mut progress) = empty("expected");
    for event in &events {
        expected.apply(&mut progress, std::slice::from_ref(event)).unwrap();
    }
    for fold_bytes in [1, 5_000, FOLD_BYTES] {
        let (projection, start) = empty(&format!("built with {fold_bytes}"));
        let mut builder = Builder::new(&projection, start, fold_bytes);
        events.iter().for_each(|event| builder.add(event, |_| Ok::<_, StoreError>(())).unwrap());
        assert_eq!(builder.finish().unwrap(), progress, "{fold_bytes}");
        assert_eq!(projection.check(store).unwrap(), progress, "{fold_bytes}");
        assert!(projection.tree.iter().eq(expected.tree.iter()), "{fold_bytes}");
    }
}
