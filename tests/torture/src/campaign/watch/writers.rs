//! Clients that write, each over a connection of its own. A write has a request id, by which its changes are found.

mod caller;

use std::sync::Arc;

use anyhow::Result;
use fastrand::Rng;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use self::caller::Caller;
use super::hub::Hub;
use super::record::Write;
use super::scopes;

/// The writers of each kind.
const SINGLE: usize = 3;
const BATCH: usize = 2;
const TYPED: usize = 2;

/// The largest batch.
const PARTS: usize = 16;

/// Writers that are under way.
pub struct Writers {
    tasks: JoinSet<Vec<Write>>,
}

/// What a writer does.
#[derive(Debug, Clone, Copy)]
enum Task {
    Single,
    Batch,
    Typed,
    Define,
}

/// What all writers of a folder know.
#[derive(Clone)]
pub struct Terms {
    pub hub: Arc<Hub>,
    pub era: usize,
    /// The size of values in characters.
    pub characters: usize,
}

impl Writers {
    /// Starts the writers. `channel`: makes a connection.
    pub fn start(terms: &Terms, channel: impl Fn() -> Result<Channel>, rng: &mut Rng) -> Result<Self> {
        terms.hub.set_stopping(false);
        let mut tasks = JoinSet::new();
        let all = [(Task::Single, SINGLE), (Task::Batch, BATCH), (Task::Typed, TYPED), (Task::Define, 1)];
        for task in all.into_iter().flat_map(|(task, count)| [task].repeat(count)) {
            let caller = Caller::new(terms.clone(), channel()?, rng.fork())?;
            tasks.spawn(write(caller, task));
        }
        Ok(Self { tasks })
    }

    /// Waits for all writers, which the hub or the end of the server has ended. Returns what they have sent.
    pub async fn ended(mut self) -> Result<Vec<Write>> {
        let mut writes = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            writes.extend(ended?);
        }
        Ok(writes)
    }
}

/// Defines the own features.
pub async fn define(terms: &Terms, channel: Channel) -> Result<Vec<Write>> {
    let mut caller = Caller::new(terms.clone(), channel, Rng::new())?;
    caller.create().await?;
    Ok(caller.writes)
}

async fn write(mut caller: Caller, task: Task) -> Vec<Write> {
    let names = scopes::written();
    while caller.terms.hub.may_write().await {
        let chance = caller.rng.u8(..);
        // The system is written to rarely: it concerns every stream.
        let first = if chance < 8 { 0 } else { 1 };
        let name = names[caller.rng.usize(first..names.len())].clone();
        let goes_on = match task {
            Task::Single if chance < 40 => caller.reset(&name).await,
            Task::Single if chance > 250 => caller.set_large().await,
            Task::Single => caller.set(&name).await,
            Task::Batch => {
                let mut others = names[1..].to_vec();
                caller.rng.shuffle(&mut others);
                others.truncate(caller.rng.usize(2..=PARTS));
                caller.set_batch(&others).await
            }
            Task::Typed => caller.set_typed(&name, chance < 40).await,
            Task::Define => caller.change_definition().await,
        };
        if !goes_on {
            break;
        }
    }
    caller.writes
}
