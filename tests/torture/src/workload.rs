//! Concurrent clients that read and write, and a model of what their answers prove. Campaigns use it to find lost
//! acknowledged writes; they decide what happens to the server.
//!
//! ```text
//! let workload = Workload::new(seed);
//! let token = server.token(workload::TOKEN).await?;
//! let load = workload.start(&server, &token, Values::Mixed)?; // clients are under way
//! let problems = workload.stop(load).await?; // or kill the server, then `workload.ended(load)`
//! let problems = workload.check(&server, &token).await?;
//! ```

pub mod client;
pub mod feature;
mod history;
mod messages;
pub mod random_writes;
mod tasks;
#[cfg(test)]
mod tests;
pub mod write;

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result};
use fastrand::Rng;
use tokio::task::JoinSet;

use crate::server::Server;
use client::Client;
use feature::Scope;
use history::History;

/// The arguments for the clients' token: `server.token(workload::TOKEN)`.
pub const TOKEN: &str = "--role SYSTEM_OWNER --ttl 24h";

/// The number of writers with scopes of their own.
const WRITERS: usize = 8;
/// The scopes of a writer: an organization, users and an instance.
const SCOPES: usize = 5;
/// The number of writers that compete for the shared scopes.
const COMPETITORS: usize = 4;
const READERS: usize = 3;

/// The scopes that clients write to, and the history of each.
pub struct Workload {
    /// One list for each writer.
    own: Vec<Vec<SharedHistory>>,
    contested: Vec<SharedHistory>,
    rng: Rng,
    counts: Counts,
}

/// The number of successful calls of the clients.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Acknowledged writes, including those that changed nothing.
    pub writes: u64,
    /// Answered reads.
    pub reads: u64,
}

/// The kinds of values that clients write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Every kind of write, with values of any size.
    Mixed,
    /// Values of the maximum size, so that the journal grows fast.
    Large,
}

/// Running clients of one server.
pub struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// The state that all clients of a load share.
struct Shared {
    stopping: AtomicBool,
    values: Values,
    writes: AtomicU64,
    reads: AtomicU64,
}

/// The history of one scope, shared by several clients.
#[derive(Debug, Clone)]
struct SharedHistory(Arc<Mutex<History>>);

impl Workload {
    /// Scopes on all levels, none of them written yet.
    pub fn new(seed: u64) -> Self {
        let history = |scope| SharedHistory(Arc::new(Mutex::new(History::new(scope))));
        let own = |writer: usize| {
            let instance = format!("instance-{}", writer % 3);
            let mut scopes = vec![Scope::organization(&instance, format!("organization-of-{writer}"))];
            scopes.extend((0..SCOPES - 2).map(|user| Scope::user(&instance, format!("user-{user}-of-{writer}"))));
            scopes.push(Scope::instance(&format!("instance-of-{writer}")));
            scopes.into_iter().map(history).collect()
        };
        let contested =
            [Scope::system(), Scope::instance("instance-0"), Scope::organization("instance-1", "organization-0")];
        Self {
            own: (0..WRITERS).map(own).collect(),
            contested: contested.into_iter().map(history).collect(),
            rng: Rng::with_seed(seed),
            counts: Counts::default(),
        }
    }

    /// Starts the clients.
    pub fn start(&mut self, server: &Server, token: &str, values: Values) -> Result<Load> {
        let (stopping, writes, reads) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { stopping, values, writes, reads });
        let client = || Client::new(server.channel()?, token);
        let mut tasks = JoinSet::new();
        // The journal grows fast when many writes share a sync and few clients read.
        let (scopes_of_a_writer, competitors, readers) = match values {
            Values::Mixed => (SCOPES, COMPETITORS, READERS),
            Values::Large => (1, 1, 1),
        };
        for scopes in self.own.iter().flat_map(|scopes| scopes.chunks(scopes_of_a_writer)) {
            tasks.spawn(tasks::write_own(client()?, shared.clone(), scopes.to_vec(), self.rng.fork()));
        }
        for _ in 0..competitors {
            let scopes = self.contested.clone();
            tasks.spawn(tasks::write_contested(client()?, shared.clone(), scopes, self.rng.fork()));
        }
        for _ in 0..readers {
            let scopes = self.scopes().cloned().collect();
            tasks.spawn(tasks::read(client()?, shared.clone(), scopes, self.rng.fork()));
        }
        Ok(Load { shared, tasks })
    }

    /// Lets every client finish its call, then ends the clients. Returns the problems that they found.
    ///
    /// # Errors
    /// When a client panics.
    pub async fn stop(&mut self, load: Load) -> Result<Vec<String>> {
        load.shared.stopping.store(true, Ordering::Relaxed);
        self.ended(load).await
    }

    /// Waits until every client has ended because the server has ended. Returns the problems that they found.
    ///
    /// # Errors
    /// When a client panics.
    pub async fn ended(&mut self, mut load: Load) -> Result<Vec<String>> {
        while let Some(ended) = load.tasks.join_next().await {
            ended.context("a client failed")?;
        }
        self.counts.writes += load.shared.writes.load(Ordering::Relaxed);
        self.counts.reads += load.shared.reads.load(Ordering::Relaxed);
        Ok(self.problems())
    }

    /// Reads every scope while no client runs, and compares it with the scope's history. Returns the problems.
    ///
    /// # Errors
    /// When a scope cannot be read.
    pub async fn check(&mut self, server: &Server, token: &str) -> Result<Vec<String>> {
        let mut client = Client::new(server.channel()?, token)?;
        for history in self.scopes() {
            let scope = history.lock().scope.clone();
            let read = client.read(&scope).await.with_context(|| format!("{scope:?} cannot be read"))?;
            history.lock().settle(&read);
        }
        Ok(self.problems())
    }

    /// Takes the counts since the last call of this method.
    pub fn take_counts(&mut self) -> Counts {
        mem::take(&mut self.counts)
    }

    fn scopes(&self) -> impl Iterator<Item = &SharedHistory> {
        self.own.iter().flatten().chain(&self.contested)
    }

    fn problems(&self) -> Vec<String> {
        self.scopes().flat_map(|history| mem::take(&mut history.lock().problems)).collect()
    }
}

impl Clone for Workload {
    fn clone(&self) -> Self {
        let copy = |history: &SharedHistory| SharedHistory(Arc::new(Mutex::new(history.lock().clone())));
        Self {
            own: self.own.iter().map(|scopes| scopes.iter().map(copy).collect()).collect(),
            contested: self.contested.iter().map(copy).collect(),
            rng: self.rng.clone(),
            counts: self.counts,
        }
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

impl SharedHistory {
    fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().expect("no client panics with a history in hand")
    }
}
