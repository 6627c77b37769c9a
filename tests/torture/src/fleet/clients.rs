//! The clients of a fleet: writers and readers on every server, and what they have sent and seen.

mod caller;
mod reader;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;
use tokio::task::JoinSet;

use super::check::History;
use super::database::session::until;
use super::record::{Nanos, Place, Record};
use crate::workload::feature::Scope;
pub use caller::Caller;

/// The number of servers.
pub const SERVERS: usize = 3;

/// Writers with scopes of their own, and readers, on each server.
const WRITERS: usize = 3;
const READERS: usize = 2;

/// The most time until every server takes writes again, before a cycle fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where and as whom the clients call.
#[derive(Debug, Clone)]
pub struct Target {
    /// The addresses of the servers.
    pub addresses: Vec<String>,
    pub token: String,
}

/// What all clients know.
pub struct Shared {
    epoch: Instant,
    stopping: AtomicBool,
    /// The acknowledged writes of each server, and the answered reads.
    acknowledged: [AtomicU64; SERVERS],
    /// Whether the server's health says that reads are fresh.
    pub ready: [AtomicBool; SERVERS],
    next_id: AtomicU64,
    /// Tells the requests of this run from those of others.
    run: u64,
    /// The revision of a write that was acknowledged a moment ago, by any server.
    last: Mutex<Option<Place>>,
}

/// Clients that are under way.
pub struct Load {
    pub shared: Arc<Shared>,
    tasks: JoinSet<Record>,
}

/// The scopes that clients write to: those of one writer each, and those with many.
#[derive(Debug, Clone)]
pub struct Scopes {
    own: Vec<Vec<Scope>>,
    contested: Vec<Scope>,
}

impl Shared {
    /// For all cycles of a campaign.
    pub fn new(run: u64) -> Self {
        Self {
            epoch: Instant::now(),
            stopping: AtomicBool::new(false),
            acknowledged: Default::default(),
            ready: Default::default(),
            next_id: AtomicU64::new(0),
            run,
            last: Mutex::new(None),
        }
    }

    /// Now, on the clock of the records.
    pub fn now(&self) -> Nanos {
        u64::try_from(self.epoch.elapsed().as_nanos()).expect("no campaign takes 500 years")
    }

    fn next_id(&self) -> String {
        format!("{:x}-{}", self.run, self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Notes the revision of an acknowledged write.
    fn note(&self, place: Option<Place>) {
        if place.is_some() {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = place;
        }
    }

    fn last(&self) -> Option<Place> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether the server's health says that reads are fresh.
    pub fn is_ready(&self, server: usize) -> bool {
        self.ready[server].load(Ordering::Relaxed)
    }

    /// The acknowledged writes of each server so far.
    pub fn acknowledged(&self) -> [u64; SERVERS] {
        std::array::from_fn(|server| self.acknowledged[server].load(Ordering::Relaxed))
    }

    /// Waits until each of these servers has acknowledged so many more writes.
    pub async fn more(&self, writes: u64, servers: &[usize]) -> Result<()> {
        let before = self.acknowledged();
        let has_more = || {
            let now = self.acknowledged();
            servers.iter().all(|server| now[*server] >= before[*server] + writes)
        };
        let waited = until("every server takes writes", PATIENCE, async || Ok(has_more())).await;
        waited.with_context(|| format!("they acknowledged {before:?} and then {:?}", self.acknowledged()))
    }
}

impl Scopes {
    /// Scopes on all levels.
    pub fn new() -> Self {
        let own = |writer: usize| {
            let instance = format!("instance-{}", writer % 2);
            let user = |number| Scope::user(&instance, format!("user-{number}-of-{writer}"));
            let organization = Scope::organization(&instance, format!("organization-of-{writer}"));
            vec![organization, user(0), user(1), Scope::instance(&format!("instance-of-{writer}"))]
        };
        let contested =
            vec![Scope::system(), Scope::instance("instance-0"), Scope::organization("instance-1", "organization-0")];
        Self { own: (0..SERVERS * WRITERS).map(own).collect(), contested }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Scope> {
        self.own.iter().flatten().chain(&self.contested)
    }
}

impl Load {
    /// Starts the clients.
    pub fn start(shared: &Arc<Shared>, target: &Target, scopes: &Scopes, rng: &mut Rng) -> Result<Self> {
        shared.stopping.store(false, Ordering::Relaxed);
        let mut tasks = JoinSet::new();
        for server in 0..SERVERS {
            let caller = |rng: &mut Rng| Caller::new(shared.clone(), target, server, rng.fork());
            for own in &scopes.own[server * WRITERS..][..WRITERS] {
                tasks.spawn(writer::write_own(caller(rng)?, own.clone()));
            }
            tasks.spawn(writer::write_contested(caller(rng)?, scopes.contested.clone()));
            for _ in 0..READERS {
                tasks.spawn(reader::read(caller(rng)?, scopes.all().cloned().collect()));
            }
        }
        Ok(Self { shared: shared.clone(), tasks })
    }

    /// Lets every client end its call, and returns what they have sent and seen.
    pub async fn stop(mut self) -> Result<Record> {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let mut record = Record::default();
        while let Some(ended) = self.tasks.join_next().await {
            record.extend(ended.context("a client failed")?);
        }
        Ok(record)
    }
}

/// Waits until each server shows every scope as the log has it.
pub async fn converge(shared: &Arc<Shared>, target: &Target, scopes: &Scopes, history: &History) -> Result<()> {
    for server in 0..SERVERS {
        let mut caller = Caller::new(shared.clone(), target, server, Rng::new())?;
        for scope in scopes.all() {
            caller.converge(scope, history).await?;
        }
    }
    Ok(())
}
