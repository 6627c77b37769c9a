//! The permit of a call: its slot among the calls, the memory for its request, its place in the queue for decoding.
//!
//! Authenticated calls and anonymous ones are counted apart, so anonymous calls never take a slot from authenticated
//! ones. One identity gets a part of the authenticated slots. An anonymous call that is answered at once needs no slot.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use grpc_transcoding::Error;
use http::Extensions;
use tokio::sync::Semaphore;

use crate::config::settings::Limits;
use crate::error::Failure;
pub use crate::middleware::identity_share::Usage;
use crate::middleware::identity_share::{Bound, LARGE_BYTES, give_back};
use crate::middleware::stream_buffer::ReadTask;
use crate::net::slots::{Slot, Slots};
use crate::permit::decode_pool::JOBS;

pub(crate) mod decode_pool;

/// The slots of an anonymous call with a stream of requests. Its buffered requests and answers take about as much
/// memory as this many other calls.
const SLOTS_OF_STREAM: usize = 16;

/// It takes this many addresses to take all slots of anonymous calls.
const ADDRESSES: usize = 8;

/// What an anonymous call may send. Together with the slots, it bounds the memory that callers without a token take.
const UNAUTHENTICATED_BYTES: usize = 64 * 1024;

/// The capacity of the server for calls.
#[derive(Debug)]
pub(crate) struct Permits {
    /// The use by authenticated calls.
    used: Usage,
    calls: Bound,
    watches: Bound,
    request_bytes: Bound,
    jobs: Bound,
    /// A permit for each thread that may decode at a time.
    workers: Arc<Semaphore>,
    unauthenticated: Arc<Slots>,
    /// For anonymous calls that found no slot in `unauthenticated` and end within a moment.
    brief: Arc<Slots>,
}

/// The permit of one call, in the extensions of every request.
#[derive(Debug, Clone)]
pub struct Permit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    permits: Arc<Permits>,
    address: IpAddr,
    /// The slots that the call takes as an anonymous one.
    slots: usize,
    /// The largest message of a request of its method, compressed or not.
    message_bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    standing: Standing,
    /// The received bytes. Those of an authenticated call count in `Permits::used`.
    bytes: usize,
    refused: Option<Box<Failure>>,
}

#[derive(Debug, Default)]
enum Standing {
    /// Anonymous so far, and without a slot: the call has not had to wait.
    #[default]
    New,
    /// Anonymous, in a slot for calls that end within a moment.
    Brief { _slot: Slot },
    /// Anonymous, in a slot for as long as the call lasts.
    Lasting { _slot: Slot },
    /// Authenticated. `identity` counts all calls of the identity.
    Authenticated { identity: Arc<Usage> },
    /// Authenticated, and for as long as the client wants.
    Watching { identity: Arc<Usage> },
}

/// Returns the slot and the memory of a call when it is dropped: at the end of the call.
#[derive(Debug)]
pub(crate) struct PermitGuard {
    permit: Permit,
    /// The task that reads the request, if it is a stream.
    pub(crate) read_task: Option<ReadTask>,
}

impl Permits {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let calls = limits.unauthenticated_calls;
        let per_address = (calls / ADDRESSES).max(1);
        let unauthenticated = || Slots::new(calls, per_address);
        Arc::new(Self {
            used: Usage::default(),
            calls: Bound::new(limits.calls, 1),
            watches: Bound::new(limits.watches, 1),
            // One identity's part has room for at least one message.
            request_bytes: Bound::new(limits.request_bytes, limits.message_bytes),
            jobs: Bound::new(JOBS, 1),
            workers: Arc::new(Semaphore::new(available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)))),
            unauthenticated: unauthenticated(),
            brief: unauthenticated(),
        })
    }

    /// The permit of a new call. A message of its request may have `message_bytes`.
    pub(crate) fn permit(
        self: &Arc<Self>,
        address: IpAddr,
        sends_stream: bool,
        message_bytes: usize,
    ) -> (Permit, PermitGuard) {
        let slots = if sends_stream { SLOTS_OF_STREAM } else { 1 };
        let permits = self.clone();
        let permit = Permit(Arc::new(Inner { permits, address, slots, message_bytes, held: Mutex::default() }));
        (permit.clone(), PermitGuard { permit, read_task: None })
    }
}

impl Permit {
    /// The permit of the call with these extensions; none if the call did not pass the layer `admission`.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Counts the call as an authenticated one from now on. Fails with [`Failure::Overloaded`] at the limit of
    /// authenticated calls, in total or of this identity.
    pub fn authenticate(&self, identity: Arc<Usage>) -> Result<(), Failure> {
        let permits = &self.0.permits;
        permits.calls.take(1, &permits.used.calls, &identity.calls)?;
        self.held().standing = Standing::Authenticated { identity };
        Ok(())
    }

    /// Lets an anonymous call go on to its service. A stream needs its slot before, because the work that a service
    /// starts for it may take a while to end. Fails with [`Failure::Overloaded`] when there is no slot.
    pub fn begin_without_token(&self) -> Result<(), Failure> {
        if self.0.slots == 1 { Ok(()) } else { self.acquire_long_running() }
    }

    /// Acquires a slot for a call that does not end at once; an authenticated call has one already. Fails with
    /// [`Failure::Overloaded`] when there is none.
    pub(crate) fn acquire_long_running(&self) -> Result<(), Failure> {
        let mut held = self.held();
        if matches!(held.standing, Standing::New | Standing::Brief { .. }) {
            let Inner { permits, address, slots, .. } = &*self.0;
            let slot = permits.unauthenticated.take(*address, *slots).map_err(|_| Failure::Overloaded)?;
            held.standing = Standing::Lasting { _slot: slot };
        }
        Ok(())
    }

    /// Acquires a slot for an anonymous call that ends within a moment, when there is no other one for it. Fails with
    /// [`Failure::Overloaded`] when there is none of these either.
    pub(crate) fn acquire_brief(&self) -> Result<(), Failure> {
        let mut held = self.held();
        if matches!(held.standing, Standing::New) {
            let slot = self.0.permits.brief.take(self.0.address, 1).map_err(|_| Failure::Overloaded)?;
            held.standing = Standing::Brief { _slot: slot };
        }
        Ok(())
    }

    /// Makes an authenticated call one that lasts until its client ends it. It leaves its slot to others. Fails with
    /// [`Failure::TooManyWatches`] at the limit of such calls, in total or of this identity.
    pub fn watch(&self) -> Result<(), Failure> {
        let mut held = self.held();
        let permits = &self.0.permits;
        let Standing::Authenticated { identity } = &held.standing else { return Ok(()) };
        let taken = permits.watches.take(1, &permits.used.watches, &identity.watches);
        taken.map_err(|_| Failure::TooManyWatches)?;
        give_back(&permits.used.calls, 1);
        give_back(&identity.calls, 1);
        held.standing = Standing::Watching { identity: Arc::clone(identity) };
        Ok(())
    }

    /// The largest message of a request of the call's method, compressed or not, in bytes.
    pub(crate) fn message_bytes(&self) -> usize {
        self.0.message_bytes
    }

    /// Reserves memory for bytes of the request. Fails with [`Failure::Overloaded`] at the limit of all requests or of
    /// the identity, and with [`Error::MessageTooLarge`] at that of an anonymous call.
    pub(crate) fn reserve_bytes(&self, bytes: usize) -> Result<(), Failure> {
        let mut held = self.held();
        let permits = &self.0.permits;
        let received = match &held.standing {
            Standing::Authenticated { identity } | Standing::Watching { identity } => {
                if bytes >= LARGE_BYTES {
                    identity.add_large_bytes(bytes);
                }
                permits.request_bytes.take(bytes, &permits.used.request_bytes, &identity.request_bytes)
            }
            _ if held.bytes + bytes <= UNAUTHENTICATED_BYTES => Ok(()),
            _ => Err(Failure::Request(Error::MessageTooLarge { limit: UNAUTHENTICATED_BYTES })),
        };
        if received.is_ok() {
            held.bytes += bytes;
        }
        received
    }

    /// Reserves memory for bytes that decompression adds to the request. For an anonymous call,
    /// [`Permit::message_bytes`] is the limit.
    pub(crate) fn reserve_decompressed_bytes(&self, bytes: usize) -> Result<(), Failure> {
        let is_authenticated =
            matches!(self.held().standing, Standing::Authenticated { .. } | Standing::Watching { .. });
        if is_authenticated { self.reserve_bytes(bytes) } else { Ok(()) }
    }

    /// Ends the call: nothing more of its request is read.
    pub(crate) fn refuse(&self, failure: Failure) {
        self.held().refused = Some(Box::new(failure));
    }

    /// The failure that [`Permit::refuse`] ended the call with, if it did.
    pub(crate) fn refused(&self) -> Option<Failure> {
        self.held().refused.as_deref().cloned()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // No code panics between two changes that belong together.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PermitGuard {
    fn drop(&mut self) {
        let Held { standing, bytes, .. } = std::mem::take(&mut *self.permit.held());
        let watches = matches!(standing, Standing::Watching { .. });
        if let Standing::Authenticated { identity } | Standing::Watching { identity } = standing {
            for used in [&self.permit.0.permits.used, &*identity] {
                give_back(&used.request_bytes, bytes);
                give_back(if watches { &used.watches } else { &used.calls }, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
