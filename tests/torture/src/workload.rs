//! Real clients that read and write at once, and what is known from their answers: the shared ground of campaigns that
//! ask whether anything acknowledged is lost. What is done to the server meanwhile is not known here.
//!
//! ```text
//! let workload = Workload::new(seed);
//! let token = server.token(workload::TOKEN).await?;
//! let load = workload.start(&server, &token, Values::Mixed)?; // clients are under way
//! let problems = workload.stop(load).await?; // or kill the server, then `workload.ended(load)`
//! let problems = workload.check(&server, &token).await?;
//! ```

mod client;
mod feature;
mod history;
mod messages;
mod random_writes;
mod tasks;
#[cfg(test)]
mod tests;
mod write;

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

/// What the clients need in their token: `server.token(workload::TOKEN)`.
pub const TOKEN: &str = "--role SYSTEM_OWNER --ttl 24h";

/// Writers with scopes of their own, and the instances that these lie in.
const WRITERS: usize = 8;
/// The scopes of a writer: an organization, users and an instance.
const SCOPES: usize = 5;
/// Writers that compete for the shared scopes.
const COMPETITORS: usize = 4;
const READERS: usize = 3;

/// The scopes that clients write to, and what is known of each. A clone goes its own way.
pub struct Workload {
    /// One list for each writer.
    own: Vec<Vec<SharedHistory>>,
    contested: Vec<SharedHistory>,
    rng: Rng,
    counts: Counts,
}

/// What clients got.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Writes that were acknowledged, also those that had nothing to change.
    pub writes: u64,
    /// Answers that readers got.
    pub reads: u64,
}

/// What clients write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Every kind of write, with values of any size.
    Mixed,
    /// Values as large as they can be, so that the journal grows fast.
    Large,
}

/// Clients under way against one server.
pub struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// What all clients of a load have in common.
struct Shared {
    stopping: AtomicBool,
    values: Values,
    writes: AtomicU64,
    reads: AtomicU64,
}

/// What is known of one scope, which several clients tell and ask about.
#[derive(Debug, Clone)]
struct SharedHistory(Arc<Mutex<History>>);

impl Workload {
    /// Scopes on all levels, of which none was ever written.
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
        // The journal grows fast when many writes share a sync and hardly anybody reads.
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

    /// Lets every client finish its call, then ends them. Gives what they found wrong.
    ///
    /// # Errors
    /// When a client ends by a defect of its own.
    pub async fn stop(&mut self, load: Load) -> Result<Vec<String>> {
        load.shared.stopping.store(true, Ordering::Relaxed);
        self.ended(load).await
    }

    /// Waits until every client has ended because the server is gone. Gives what they found wrong.
    ///
    /// # Errors
    /// When a client ends by a defect of its own.
    pub async fn ended(&mut self, mut load: Load) -> Result<Vec<String>> {
        while let Some(ended) = load.tasks.join_next().await {
            ended.context("a client failed")?;
        }
        self.counts.writes += load.shared.writes.load(Ordering::Relaxed);
        self.counts.reads += load.shared.reads.load(Ordering::Relaxed);
        Ok(self.problems())
    }

    /// Reads every scope, while no client is under way, and compares with what is known. Gives what is lost or wrong.
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

    /// What clients got since this was asked last.
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
