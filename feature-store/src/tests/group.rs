//! What the writes of one group report about its commit.

use std::num::NonZeroUsize;
use std::sync::Arc;

use feature_core::{InstanceId, OwnKey, Rejection, Requirement, Scope, Timestamp, Value, Write};

use super::fixtures::write;
use crate::committer::reply::NoEventLoops;
use crate::committer::{NoObserver, Worker};
use crate::{CommitError, Committer, GroupCommit, MemoryStore};

#[test]
fn a_write_whose_requirement_has_changed_is_refused_also_within_a_group() {
    let (committer, mut worker) = committer();
    let definition = |key| Scope::Definition(None, OwnKey::new(key).unwrap());
    let require = |key, sequence| vec![Requirement::Unchanged { scope: definition(key), sequence }];
    let of_an_instance = |key| Scope::Definition(InstanceId::new("a").ok(), OwnKey::new(key).unwrap());
    let undefined = |key| vec![Requirement::DefinedByNoInstance(OwnKey::new(key).unwrap())];
    let on = || Some(Value::Flag(true));
    let flag = |key, requires| Write { requires, ..write(&Scope::System, key, Some(Value::Flag(true))) };
    // (the writes of a group, the last of which has this outcome)
    let table = [
        (vec![flag("a", require("never", 0))], true),
        (vec![flag("a", require("never", 1))], false),
        (vec![write(&definition("x"), "a", Some(Value::Flag(true))), flag("b", require("x", 0))], false),
        (vec![flag("b", require("x", 1))], true),
        (vec![write(&definition("x"), "a", None), flag("c", [require("never", 0), require("x", 2)].concat())], true),
        (vec![write(&definition("y"), "a", on()), flag("d", undefined("y"))], true),
        (vec![write(&of_an_instance("y"), "a", on()), flag("e", undefined("y"))], false),
        (vec![flag("e", undefined("y"))], false),
        (vec![write(&of_an_instance("y"), "a", None), flag("e", undefined("y"))], true),
    ];
    for (writes, accepted) in table {
        let replies: Vec<_> = writes.into_iter().map(|write| committer.send(vec![write]).unwrap()).collect();
        let first = worker.waiting.try_recv().unwrap();
        worker.turn(first, Timestamp::from_unix_nanos(1));
        let last = replies.into_iter().last().unwrap().try_recv().unwrap();
        match last {
            Ok(_) => assert!(accepted),
            Err(CommitError::Rejected { index: 0, rejection: Rejection::RequirementChanged }) => assert!(!accepted),
            Err(other) => panic!("{other}"),
        }
    }
}

fn committer() -> (Committer, Worker) {
    let queue = NonZeroUsize::new(9).unwrap();
    Committer::new(Arc::new(NoEventLoops), Arc::new(NoObserver), Arc::new(MemoryStore::default()), queue)
}

#[test]
fn writes_of_one_group_report_the_same_commit() {
    let (committer, mut worker) = committer();
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
