//! The store on a disk: reading a record, and making events durable.
//!
//! The frames of the journal are its own business: what they cost is within the appends. A sync of the disk is measured
//! beside them, since an append is little else.

use std::cell::RefCell;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use criterion::Criterion;
use feature_api::schema::Schema;
use feature_core::{InstanceId, Scope, Timestamp, UserId, decide};
use feature_store::{Batch, FeatureStore, JournalStore, Keep};

use crate::domain::{every_flag, user, write};

/// More than the records take.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// About what the frame of one event takes.
const FRAME: [u8; 200] = [7; 200];

pub fn measure(criterion: &mut Criterion) {
    // On the disk of the builds: the folder for temporary files may be in memory.
    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = tempfile::tempdir_in(&disk).unwrap();
    let store = JournalStore::open(folder.path(), CACHE_BYTES, Keep::Forever).unwrap();
    let schema = Schema::new(feature_api::descriptor_pool()).unwrap();
    let events = RefCell::new(Events { store: &store, schema: &schema, on: false });

    events.borrow_mut().append(&[user()]);
    let scope = user();
    criterion.bench_function("record of 14 features, read from sled and decoded", |bencher| {
        bencher.iter(|| store.record(black_box(&scope)).unwrap());
    });

    let mut file = (File::create(folder.path().join("raw")).unwrap(), 0);
    criterion.bench_function("200 bytes appended to a file, fdatasync", |bencher| {
        bencher.iter(|| {
            file.0.write_all_at(&FRAME, file.1).unwrap();
            file.0.sync_data().unwrap();
            file.1 += FRAME.len() as u64;
        });
    });
    for writes in [1, 64] {
        let scopes: Vec<_> = (0..writes).map(other_user).collect();
        criterion.bench_function(&format!("append of {writes} events of 14 changes each"), |bencher| {
            bencher.iter(|| events.borrow_mut().append(&scopes));
        });
    }
}

fn other_user(number: usize) -> Scope {
    Scope::User(InstanceId::new("demo").unwrap(), UserId::new(&format!("user-{number}")).unwrap())
}

/// Makes events that change something each time.
struct Events<'a> {
    store: &'a JournalStore,
    schema: &'a Schema,
    on: bool,
}

impl Events<'_> {
    fn append(&mut self, scopes: &[Scope]) {
        self.on = !self.on;
        let first = self.store.revision() + 1;
        let event = |(scope, revision): (&Scope, u64)| {
            let write = write(scope.clone(), every_flag(self.on), self.schema);
            let record = self.store.record(scope).unwrap();
            decide(&write, &record, Timestamp::from_unix_nanos(1), revision).unwrap().unwrap()
        };
        let batch = Batch::fold(self.store, scopes.iter().zip(first..).map(event)).unwrap();
        self.store.append(&batch).unwrap();
    }
}
