//! How much a scope may set.

use feature_core::{Layer, Patch};

use crate::error::OwnFeatureFailure;
use crate::services::catalogue::memory_bytes;

/// The most bytes of all values that a scope sets: each write to the scope makes them anew.
const VALUES_MAX_BYTES: usize = 1024 * 1024;

/// Checks how much a scope sets after a patch. A scope that is above a limit, which was higher once, can come down.
pub(super) fn check_size(patch: &Patch, before: &Layer, values_max: usize) -> Result<(), OwnFeatureFailure> {
    let mut after = before.clone();
    after.apply(&patch.changes_to(before));
    let count = |layer: &Layer| layer.iter().count();
    let bytes = |layer: &Layer| layer.iter().map(|(_, value)| memory_bytes(value)).sum::<usize>();
    let limits = [
        ("the number of the scope's values", values_max, count(before), count(&after)),
        ("the bytes of the scope's values", VALUES_MAX_BYTES, bytes(before), bytes(&after)),
    ];
    match limits.into_iter().find(|(_, max, before, after)| after > max && after > before) {
        Some((what, max, ..)) => Err(OwnFeatureFailure::LimitReached { what, max }),
        None => Ok(()),
    }
}
