//! Readers: of any scope, with any demand on how new the answer is.

use super::caller::Caller;
use crate::fleet::record::{Asks, Record};
use crate::workload::feature::Scope;

/// Reads until it must stop.
pub async fn read(mut caller: Caller, scopes: Vec<Scope>) -> Record {
    while caller.goes_on().await {
        let scope = &scopes[caller.rng.usize(..scopes.len())];
        let asks = match caller.rng.u8(..10) {
            0 => Asks::Latest,
            1..4 => caller.shared.last().map_or(Asks::Any, Asks::AtLeast),
            _ => caller.expects(),
        };
        caller.read(scope, asks).await;
    }
    caller.record
}
