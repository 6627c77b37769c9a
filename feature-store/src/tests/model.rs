//! A property: after any writes, stops and kills the store has what the memory store has.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use feature_core::{Details, Operation, OrganizationId, Placement, Record, Scope, Write};
use proptest::prelude::*;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::fixtures::{copy, records, scopes, values, write};
use crate::store::limits::{SIZES, Sizes};
use crate::{CommitError, Committer, FeatureStore, JournalStore, MemoryStore};

#[derive(Debug, Clone)]
enum Step {
    /// Writes that wait together.
    Commit(Vec<Write>),
    /// Close, and open again.
    Restart,
    /// Stop without a word, and open what is on the disk.
    Kill,
    /// Lose the projection.
    Forget,
}

pub(super) fn a_write() -> impl Strategy<Value = Write> {
    let scope = prop::sample::select(scopes());
    let key = prop::sample::select(vec!["a", "b", "not_known_here"]);
    let value = prop::option::of(prop::sample::select(values()));
    let organization = prop::option::of(prop::sample::select(vec!["x", "y"]));
    let expected_sequence = prop::option::weighted(0.2, 0..6_u64);
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    (scope, key, value, organization, expected_sequence, flags).prop_map(
        |(scope, key, value, organization, expected_sequence, (reset, erase, validate_only))| {
            let write = write(&scope, key, value);
            let organization = organization.and_then(|id| OrganizationId::new(id).ok());
            Write {
                operation: match scope {
                    Scope::User(..) if erase => Operation::Erase,
                    _ if reset => Operation::Reset,
                    _ => write.operation.clone(),
                },
                placement: organization.map_or(Placement::Keep, Placement::Move),
                expected_sequence,
                validate_only,
                ..write
            }
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => prop::collection::vec(a_write(), 1..6).prop_map(Step::Commit),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
        1 => Just(Step::Forget),
    ];
    prop::collection::vec(step, 1..40)
}

/// A store with its committer, in a folder where it can be opened again and again.
struct Bench {
    runtime: Runtime,
    guard: tempfile::TempDir,
    generation: usize,
    store: Arc<dyn FeatureStore>,
    committer: Arc<Committer>,
}

fn committer(store: &Arc<dyn FeatureStore>) -> Arc<Committer> {
    Arc::new(Committer::start(store.clone(), NonZeroUsize::MIN.saturating_add(63)).expect("a thread starts"))
}

fn open(folder: PathBuf) -> Arc<dyn FeatureStore> {
    // Segments so small that nearly every group begins one.
    let sizes = Sizes { segment_bytes: 300, ..SIZES };
    Arc::new(JournalStore::open_with(&folder, sizes).expect("the folder can be opened"))
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers starts");
        let guard = tempfile::tempdir().expect("the system has a folder for temporary files");
        let store = open(guard.path().join("0"));
        Self { runtime, guard, generation: 0, committer: committer(&store), store }
    }

    fn commit(&self, committer: &Arc<Committer>, writes: &[Write]) -> Vec<Result<Details, String>> {
        let commit = |write: &Write| {
            let (committer, write) = (committer.clone(), write.clone());
            self.runtime.spawn(async move { committer.commit(write).await.map(|committed| committed.details) })
        };
        let answers: Vec<_> = writes.iter().map(commit).collect();
        let answer = |task: JoinHandle<Result<Details, CommitError>>| {
            let outcome = self.runtime.block_on(task).expect("a commit does not panic");
            outcome.map(timeless_details).map_err(|error| error.to_string())
        };
        answers.into_iter().map(answer).collect()
    }

    fn folder(&self) -> PathBuf {
        self.guard.path().join(self.generation.to_string())
    }

    fn stop(&mut self) {
        self.runtime.block_on(self.committer.close()).expect("the disk works");
        self.store = Arc::new(MemoryStore::default());
    }

    fn start(&mut self) {
        self.store = open(self.folder());
        self.committer = committer(&self.store);
    }

    fn kill(&mut self) {
        let from = self.folder();
        self.generation += 1;
        copy(&from, &self.folder()).expect("the folder can be copied");
        self.start();
    }
}

/// The two committers read the clock one after the other.
fn timeless_details(details: Details) -> Details {
    Details { created: None, changed: None, ..details }
}

fn timeless(records: Vec<Record>) -> Vec<Record> {
    records.into_iter().map(|record| Record { created: None, changed: None, ..record }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_store_holds_what_the_memory_store_holds(steps in steps()) {
        let model: Arc<dyn FeatureStore> = Arc::new(MemoryStore::default());
        let model_committer = committer(&model);
        let mut bench = Bench::new();
        for step in steps {
            let before = records(&*bench.store);
            match step {
                Step::Commit(writes) => {
                    let expected = bench.commit(&model_committer, &writes);
                    prop_assert_eq!(bench.commit(&bench.committer, &writes), expected);
                    prop_assert_eq!(bench.store.revision(), model.revision());
                    prop_assert_eq!(timeless(records(&*bench.store)), timeless(records(&*model)));
                    continue;
                }
                Step::Restart => {
                    bench.stop();
                    bench.start();
                }
                Step::Kill => bench.kill(),
                Step::Forget => {
                    bench.stop();
                    std::fs::remove_dir_all(bench.folder().join("projection")).expect("the folder can be removed");
                    bench.start();
                }
            }
            prop_assert_eq!(bench.store.revision(), model.revision());
            prop_assert_eq!(records(&*bench.store), before, "a restart keeps even the times");
        }
    }
}
