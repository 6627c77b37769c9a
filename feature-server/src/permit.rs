//! What one call holds of the server: a place among the calls, room for the bytes of its request, a place among the jobs
//! of large work.
//!
//! Calls with a valid token and all others count apart, so that those without a token never take a place from those
//! with one. Of those with one, no identity takes more than its part. A call without a token that is answered at once
//! needs no place at all.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use http::Extensions;

pub use self::usage::Usage;
use self::usage::{Bound, Job, LARGE_BYTES, give_back};
use crate::config::settings::Limits;
use crate::error::Failure;
use crate::middleware::stream_buffer::ReadTask;
use crate::net::slots::{Slot, Slots};
use crate::permit::decode_pool::{JOBS, Workers};

pub(crate) mod decode_pool;
mod usage;

/// Where a request comes from. It is in the extensions of every request that came over a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address in these extensions; the unspecified one when there is none.
    pub(crate) fn of(extensions: &Extensions) -> IpAddr {
        extensions.get::<Self>().map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.0)
    }
}

/// The places that a call without a token takes in which the client streams. It holds questions and answers that wait,
/// which is so many times as much as others hold.
const PLACES_OF_STREAM: usize = 16;

/// What there is for all calls together.
#[derive(Debug)]
pub(crate) struct Capacity {
    /// By the calls with a valid token.
    used: Usage,
    calls: Bound,
    request_bytes: Bound,
    jobs: Bound,
    workers: Workers,
    unauthenticated: Arc<Slots>,
    /// For calls that found no place and are over soon: how often that is, one address can't decide for others.
    brief: Arc<Slots>,
    unauthenticated_bytes: usize,
}

/// What one call holds. It is in the extensions of every request.
#[derive(Debug, Clone)]
pub struct Share(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: Arc<Capacity>,
    address: IpAddr,
    /// Those that it takes without a token.
    places: usize,
    /// The largest message of a request of its method, compressed or not.
    message_bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    standing: Standing,
    /// The bytes received. Those of an authenticated call are taken from what there is for all.
    bytes: usize,
    refused: Option<Failure>,
}

#[derive(Debug, Default)]
enum Standing {
    /// Nobody has shown a token, and the call has not had to wait yet.
    #[default]
    New,
    /// Nobody has shown a token, there is no place for the call to last, and it may be over soon.
    Brief { _slot: Slot },
    /// Nobody has shown a token, and the call lasts.
    Lasting { _slot: Slot },
    /// The caller's token is valid. The identity's other calls count here, too.
    Authenticated { identity: Arc<Usage>, cost: u64 },
}

/// Gives back what a call holds when it is dropped, that is, when the call is over.
#[derive(Debug)]
pub(crate) struct Release {
    share: Share,
    /// Of a call in which the client streams.
    read_task: Option<ReadTask>,
}

impl Capacity {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let unauthenticated = || Slots::new(limits.unauthenticated_calls, limits.unauthenticated_calls_per_address);
        Arc::new(Self {
            used: Usage::default(),
            calls: Bound::new(limits.calls, 1),
            // Whatever the parts are, there is room for a message.
            request_bytes: Bound::new(limits.request_bytes, limits.message_bytes),
            jobs: Bound::new(JOBS, 1),
            workers: Workers::new(available_parallelism().map_or(1, usize::from)),
            unauthenticated: unauthenticated(),
            brief: unauthenticated(),
            unauthenticated_bytes: limits.unauthenticated_bytes,
        })
    }

    /// The share of a call that begins now.
    ///
    /// * `sends_stream`: whether the client streams in it.
    /// * `message_bytes`: the largest message of a request of its method.
    pub(crate) fn share(
        self: &Arc<Self>,
        address: IpAddr,
        sends_stream: bool,
        message_bytes: usize,
    ) -> (Share, Release) {
        let places = if sends_stream { PLACES_OF_STREAM } else { 1 };
        let capacity = self.clone();
        let share = Share(Arc::new(Inner { capacity, address, places, message_bytes, held: Mutex::default() }));
        (share.clone(), Release { share, read_task: None })
    }
}

impl Share {
    /// The share of the call with these extensions. Without the layers of `transport` a call has none.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The share of a call that is inside of the layers of `transport`.
    pub(crate) fn of_call(extensions: &Extensions) -> Self {
        Self::of(extensions).cloned().expect("the layer of limits gives each call its share")
    }

    /// Says that the caller's token is valid: from now on the call counts among those with one.
    ///
    /// * `identity`: what the caller's calls hold.
    /// * `cost`: what the call costs, in calls.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] when there are as many of them as there may be, in all or of this identity.
    pub fn authenticate(&self, identity: Arc<Usage>, cost: u64) -> Result<(), Failure> {
        let capacity = &self.0.capacity;
        capacity.calls.take(1, &capacity.used.calls, &identity.calls)?;
        self.held().standing = Standing::Authenticated { identity, cost };
        Ok(())
    }

    /// Says that the call goes to its service without a token. What a service has begun for a client's stream may be slow
    /// to go, so such a call begins only with a place.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] when there is no place for it.
    pub fn begin_without_token(&self) -> Result<(), Failure> {
        if self.0.places == 1 { Ok(()) } else { self.last() }
    }

    /// Says that the call is not over at once.
    pub(crate) fn last(&self) -> Result<(), Failure> {
        let mut held = self.held();
        if matches!(held.standing, Standing::New | Standing::Brief { .. }) {
            let Inner { capacity, address, places, .. } = &*self.0;
            let slot = capacity.unauthenticated.take_many(*address, *places).map_err(|_| Failure::Overloaded)?;
            held.standing = Standing::Lasting { _slot: slot };
        }
        Ok(())
    }

    /// Says that the call, for which there is no place to last, may be over soon.
    pub(crate) fn linger(&self) -> Result<(), Failure> {
        let mut held = self.held();
        if matches!(held.standing, Standing::New) {
            let slot = self.0.capacity.brief.take(self.0.address).map_err(|_| Failure::Overloaded)?;
            held.standing = Standing::Brief { _slot: slot };
        }
        Ok(())
    }

    /// The largest message of a request of the call's method, compressed or not, in bytes.
    pub(crate) fn message_bytes(&self) -> usize {
        self.0.message_bytes
    }

    /// Makes room for bytes of the request. Nobody reads them before it is known whether the caller has a token.
    pub(crate) fn receive(&self, bytes: usize) -> Result<(), Failure> {
        let mut held = self.held();
        let capacity = &self.0.capacity;
        let received = match &held.standing {
            Standing::Authenticated { identity, .. } => {
                if bytes >= LARGE_BYTES {
                    identity.add_large_bytes(bytes);
                }
                capacity.request_bytes.take(bytes, &capacity.used.request_bytes, &identity.request_bytes)
            }
            _ if held.bytes + bytes <= capacity.unauthenticated_bytes => Ok(()),
            _ => Err(Failure::MessageTooLarge { limit: capacity.unauthenticated_bytes }),
        };
        if received.is_ok() {
            held.bytes += bytes;
        }
        received
    }

    /// Makes room for bytes that the request has only once it is decompressed. Without a token, [`Share::message_bytes`]
    /// is bound enough.
    pub(crate) fn decompress(&self, bytes: usize) -> Result<(), Failure> {
        let is_authenticated = matches!(self.held().standing, Standing::Authenticated { .. });
        if is_authenticated { self.receive(bytes) } else { Ok(()) }
    }

    /// What stands for the call's identity, and what the call costs, in calls; none without a valid token.
    pub(crate) fn identity_and_cost(&self) -> Option<(usize, u64)> {
        match &self.held().standing {
            Standing::Authenticated { identity, cost } => Some((Arc::as_ptr(identity).addr(), *cost)),
            _ => None,
        }
    }

    /// Takes a place among the jobs of large work.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] when there are too many of them, in all or of this identity.
    pub(crate) fn take_job(&self) -> Result<Job, Failure> {
        let identity = match &self.held().standing {
            Standing::Authenticated { identity, .. } => Arc::clone(identity),
            // Messages of methods that need no token are small.
            _ => return Err(Failure::Overloaded),
        };
        let capacity = &self.0.capacity;
        capacity.jobs.take(1, &capacity.used.jobs, &identity.jobs)?;
        Ok(Job { capacity: Arc::clone(capacity), identity })
    }

    /// Those that run large work.
    pub(crate) fn workers(&self) -> &Workers {
        &self.0.capacity.workers
    }

    /// Says that the request is not received any further.
    pub(crate) fn refuse(&self, failure: Failure) {
        self.held().refused = Some(failure);
    }

    /// Why the request is not received any further, if so.
    pub(crate) fn refused(&self) -> Option<Failure> {
        self.held().refused.clone()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing panics between two changes that belong together.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Release {
    /// Ends the reading of the request with the call.
    pub(crate) fn and_end(&mut self, read_task: ReadTask) {
        self.read_task = Some(read_task);
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let Held { standing, bytes, .. } = std::mem::take(&mut *self.share.held());
        if let Standing::Authenticated { identity, .. } = standing {
            for used in [&self.share.0.capacity.used, &*identity] {
                give_back(&used.request_bytes, bytes);
                give_back(&used.calls, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
