//! What the pieces of a call cost, one by one: `cargo bench -p feature-server --bench pieces`.
//!
//! Only what the crates offer to everybody is measured. What a call costs as a whole, with its connection and its
//! layers, is measured by the crate `bench`.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod domain;
mod service;
mod store;
mod tokens;

use criterion::Criterion;

/// That of the server.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    // Tokens and services start tasks of their own.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _context = runtime.enter();
    tokens::measure(&mut criterion);
    service::measure(&mut criterion, &runtime);
    domain::measure(&mut criterion);
    store::measure(&mut criterion);
    criterion.final_summary();
}
