//! Writers, each with its own key. Each write differs from the previous one, and its answer must show that it changed
//! the value, so that a server gains nothing by skipping writes without effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Request;

use crate::load::Call;

#[derive(Default)]
struct Writer {
    begun: AtomicUsize,
    /// The number in the last answer.
    last: AtomicU64,
}

/// Writes of several writers in turn.
///
/// * `request`: the request of a writer, with one of two values.
/// * `number`: reads from an answer the number that grows with each write.
pub fn writes(
    writers: usize,
    request: impl Fn(usize, bool) -> Request<Bytes>,
    number: impl Fn(&[u8]) -> Result<u64> + Send + Sync + 'static,
) -> Call {
    // Made in advance, since the clients share the machine with the server.
    let requests: Vec<_> = (0..writers).map(|writer| [request(writer, true), request(writer, false)]).collect();
    let state: Arc<Vec<Writer>> = Arc::new((0..writers).map(|_| Writer::default()).collect());
    let answered = Arc::clone(&state);
    let request = move |turn: usize| {
        let writer = turn % writers;
        requests[writer][state[writer].begun.fetch_add(1, Ordering::Relaxed) % 2].clone()
    };
    Call::new(request, move |turn, answer| {
        let number = number(answer)?;
        let last = answered[turn % writers].last.swap(number, Ordering::Relaxed);
        ensure!(number > last, "a write that changed nothing: {number} after {last}");
        Ok(())
    })
}
