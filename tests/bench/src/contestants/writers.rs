//! Writers, each with a key of its own. A write always differs from the one before, and its answer has to show that it
//! was one: a server that skips what changes nothing gains nothing by it.

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

/// The writes of so many writers, who take turns.
///
/// * `request`: that of a writer, with one of two values.
/// * `number`: tells of an answer the number that grows with each write.
pub fn writes(
    writers: usize,
    request: impl Fn(usize, bool) -> Request<Bytes>,
    number: impl Fn(&[u8]) -> Result<u64> + Send + Sync + 'static,
) -> Call {
    // Made beforehand: the clients share the machine with what is measured.
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
