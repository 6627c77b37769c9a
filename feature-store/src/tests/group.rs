//! What the writes of one group report about its commit.

use std::num::NonZeroUsize;
use std::sync::Arc;

use feature_core::{Scope, Timestamp, Value, Write};

use super::fixtures::write;
use crate::committer::NoObserver;
use crate::committer::reply::NoEventLoops;
use crate::{Committer, GroupCommit, MemoryStore};

#[test]
fn writes_of_one_group_report_the_same_commit() {
    let queue = NonZeroUsize::new(9).unwrap();
    let (committer, mut worker) =
        Committer::new(Arc::new(NoEventLoops), Arc::new(NoObserver), Arc::new(MemoryStore::default()), queue);
    let mut groups_of = |writes: Vec<Write>| {
        let replies: Vec<_> = writes.into_iter().map(|write| committer.send(vec![write]).unwrap()).collect();
        let first = worker.waiting.try_recv().unwrap();
        worker.turn(first, Timestamp::from_unix_nanos(1));
        let group = |mut reply: crate::committer::reply::Reply| reply.try_recv().unwrap().ok().map(|it| it.group);
        replies.into_iter().filter_map(group).collect::<Vec<GroupCommit>>()
    };
    let flag = |key| write(&Scope::System, key, Some(Value::Flag(true)));
    let stale = Write { expected_sequence: Some(7), ..flag("stale") };
    let [a, b] = groups_of(vec![flag("a"), stale, flag("b")])[..] else { panic!("the stale write is refused") };
    assert_eq!((a.writes, a.revision), (3, 2), "refused writes count");
    assert_eq!((b.writes, b.revision, b.append), (a.writes, a.revision, a.append));
    assert!(a.append.is_some_and(|(began, ended)| began <= ended));
    let [dry_run] = groups_of(vec![Write { validate_only: true, ..flag("c") }])[..] else { panic!("it is accepted") };
    assert_eq!((dry_run.writes, dry_run.revision, dry_run.append), (1, 2, None), "nothing is appended");
}
