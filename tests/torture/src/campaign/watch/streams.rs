//! Clients of streams: they read fast or slowly, are cut off at random, and continue with their token.

mod changes;
mod end;
mod line;
mod values;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::changes::ChangesFollower;
use self::line::{Line, follow};
use self::values::ValuesFollower;
use super::hub::{Hub, Place, Reached};
use super::record::{ChangesRecord, Selection, ValuesRecord};

pub use self::line::Pace;
pub use self::values::fold;

/// How much an error tells of what a client saw last.
const LAST: usize = 6;
const CHARACTERS: usize = 200;

/// A record that is written to while its stream runs.
pub type Shared<T> = Arc<Mutex<T>>;

/// All streams of a store.
pub struct Streams {
    pub changes: Vec<Followed<ChangesRecord>>,
    pub values: Vec<Followed<ValuesRecord>>,
    /// Whether there are several servers.
    roams: bool,
    tasks: JoinSet<()>,
}

/// A stream that is followed.
pub struct Followed<T> {
    record: Shared<T>,
    pub reached: Arc<Reached>,
}

impl Streams {
    /// None yet, of one server.
    pub fn new() -> Self {
        Self { changes: Vec::new(), values: Vec::new(), roams: false, tasks: JoinSet::new() }
    }

    /// None yet, of several servers.
    pub fn of_fleet() -> Self {
        Self { roams: true, ..Self::new() }
    }

    /// Follows changes. `learns`: whether the hub learns the changes from this stream.
    pub fn follow_changes(
        &mut self,
        hub: &Arc<Hub>,
        place: watch::Receiver<Option<Place>>,
        (pace, rng): (Pace, Rng),
        selection: Selection,
        learns: bool,
    ) {
        let name = format!("changes {} of '{}' {}", self.changes.len(), selection.parent, selection.filter());
        let record = Arc::new(Mutex::new(ChangesRecord { name, selection, roams: self.roams, seen: Vec::new() }));
        let reached = Arc::new(Reached::default());
        let follower = ChangesFollower::new(record.clone(), learns.then(|| hub.clone()));
        self.tasks.spawn(follow(Line::new(hub, place, (pace, rng), reached.clone()), follower));
        self.changes.push(Followed { record, reached });
    }

    /// Follows the values of scopes.
    pub fn follow_values(
        &mut self,
        hub: &Arc<Hub>,
        place: watch::Receiver<Option<Place>>,
        (pace, rng): (Pace, Rng),
        names: Vec<String>,
        features: &[&str],
    ) {
        let name = format!("values {} of {} scopes", self.values.len(), names.len());
        let features = features.iter().map(|key| (*key).to_owned()).collect();
        let record = Arc::new(Mutex::new(ValuesRecord { name, names, features, roams: self.roams, seen: Vec::new() }));
        let reached = Arc::new(Reached::default());
        let follower = ValuesFollower::new(record.clone());
        self.tasks.spawn(follow(Line::new(hub, place, (pace, rng), reached.clone()), follower));
        self.values.push(Followed { record, reached });
    }

    /// The streams that have not come to a revision of this server, with what they saw last.
    pub fn behind(&self, life: usize, revision: u64) -> Vec<String> {
        let changes = self.changes.iter().filter(|it| !it.reached.is_at(life, revision));
        let changes = changes.map(|it| it.with(|record| format!("{}, {}", record.name, last(&record.seen))));
        let values = self.values.iter().filter(|it| !it.reached.is_at(life, revision));
        let values = values.map(|it| it.with(|record| format!("{}, {}", record.name, last(&record.seen))));
        changes.chain(values).collect()
    }

    /// Whether each stream has come to a revision of this server.
    pub fn are_at(&self, life: usize, revision: u64) -> bool {
        let reached = self.changes.iter().map(|it| &it.reached).chain(self.values.iter().map(|it| &it.reached));
        reached.into_iter().all(|reached| reached.is_at(life, revision))
    }

    /// Waits for the end of all streams, whose phase is over.
    ///
    /// # Errors
    /// When one of them panics.
    pub async fn ended(&mut self) -> Result<()> {
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a stream failed")?;
        }
        Ok(())
    }
}

/// The last things that a client saw, in a line.
fn last<T: fmt::Debug>(seen: &[T]) -> String {
    let last = &seen[seen.len().saturating_sub(LAST)..];
    last.iter()
        .map(|seen| format!("{seen:.1?}").chars().take(CHARACTERS).collect::<String>())
        .collect::<Vec<_>>()
        .join("; ")
}

impl<T> Followed<T> {
    /// Does something with the record.
    pub fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
