//! Tests of the history: it accepts right answers and reports each kind of wrong answer.

use super::client::Read;
use super::feature::{Details, LOGIN, Layer, Level, Scope, Value};
use super::history::History;
use super::write::{Operation, Set, State, Write};

fn layer(flags: &[&'static str], login: (bool, Option<&str>)) -> Layer {
    let (required, base_uri) = (login.0, login.1.map(str::to_owned));
    let flags = flags.iter().map(|name| (*name, Value::Flag(true)));
    flags.chain([(LOGIN, Value::Login { required, base_uri })]).collect()
}

#[test]
fn a_set_changes_what_its_mask_names() {
    let before = layer(&["actions", "user_schema"], (true, Some("http://a")));
    let sent = layer(&["web_key"], (false, Some("http://b")));
    let check = |mask: Option<&[&'static str]>, changes: u64, flags: &[&'static str], login: (bool, &str)| {
        let set = Set { features: sent.clone(), mask: mask.map(<[_]>::to_vec), ..Set::default() };
        let write = Write { operation: Operation::Set(set), organization: None };
        let state = State { layer: before.clone(), sequence: 5, organization: None };
        let after = layer(flags, (login.0, Some(login.1)));
        let expected = State { layer: after, sequence: 5 + changes, organization: None };
        assert_eq!(write.apply(Level::User, &state), expected, "{mask:?}");
    };
    //    mask                             changes  flags                                 login
    check(None, 2, &["actions", "user_schema", "web_key"], (false, "http://b"));
    check(Some(&["*"]), 4, &["web_key"], (false, "http://b"));
    check(Some(&["actions"]), 1, &["user_schema"], (true, "http://a"));
    check(Some(&["login_v2.required"]), 1, &["actions", "user_schema"], (false, "http://a"));
    check(Some(&["login_v2.base_uri"]), 1, &["actions", "user_schema"], (true, "http://b"));
    check(Some(&["console_use_v2_user_api"]), 0, &["actions", "user_schema"], (true, "http://a"));
}

#[test]
fn a_reset_counts_one_and_a_move_none() {
    let check = |operation: &Operation, organization: Option<&str>, flags: &[&'static str], after: (u64, &str)| {
        let layer: Layer = flags.iter().map(|name| (*name, Value::Flag(true))).collect();
        let write = Write { operation: operation.clone(), organization: organization.map(str::to_owned) };
        let state = State { layer, sequence: 5, organization: Some("old".to_owned()) };
        let State { sequence, organization, .. } = write.apply(Level::User, &state);
        assert_eq!((sequence, organization.as_deref()), (after.0, Some(after.1)));
    };
    let features = Layer::from([("actions", Value::Flag(true))]);
    let same = Operation::Set(Set { features: features.clone(), ..Set::default() });
    let checked = Operation::Set(Set { features, validate_only: true, ..Set::default() });
    //    operation             organization  set                          sequence, organization
    check(&Operation::Reset, None, &["actions", "web_key"], (6, "old"));
    check(&Operation::Reset, Some("new"), &["actions"], (6, "new"));
    check(&Operation::Reset, Some("new"), &[], (5, "old"));
    check(&same, Some("new"), &["actions"], (5, "new"));
    check(&same, None, &["actions"], (5, "old"));
    check(&checked, Some("new"), &[], (5, "old"));
}

/// A scope with three writes: number 1 is acknowledged, number 2 has an unknown outcome, number 3 was refused.
fn history() -> History {
    let mut history = History::new(Scope::instance("one"));
    for (base, sequence) in [(0, 1), (1, 3), (1, 2)] {
        history.issue(base, state(sequence));
    }
    history.acknowledge(1, &details(1, 10), None);
    history.refuse(3);
    assert_eq!(history.problems, [""; 0]);
    history
}

/// The state at a sequence. Its URI contains the sequence, so that all states differ.
fn state(sequence: u64) -> State {
    let base_uri = Some(format!("http://{sequence}"));
    let layer = Layer::from([(LOGIN, Value::Login { required: false, base_uri })]);
    State { layer, sequence, organization: None }
}

fn details(sequence: u64, second: i64) -> Details {
    Details { sequence, owner: "one".to_owned(), changed: Some((second, 0)), created: Some((10, 0)) }
}

fn read(of: u64, sequence: u64, second: i64) -> Read {
    Read { layer: state(of).layer, details: details(sequence, second) }
}

#[test]
fn certain_states_must_survive_a_restart() {
    let check = |there: Read, problems: usize, why: &str| {
        let mut history = history();
        history.settle(&there);
        assert_eq!(history.problems.len(), problems, "{why}: {:?}", history.problems);
    };
    let nothing = Details { sequence: 0, changed: None, created: None, ..details(0, 0) };
    //    what is there                                     problems
    check(read(1, 1, 10), 0, "what was open may be missing");
    check(read(3, 3, 11), 0, "what was open may be there");
    check(Read { layer: Layer::new(), details: nothing }, 1, "what was acknowledged is gone");
    check(read(2, 2, 11), 1, "what was refused is there");
    check(read(1, 3, 11), 1, "what was open is there in half");
    check(read(3, 1, 10), 1, "the details are older than the settings");
    check(read(1, 2, 11), 1, "the sequence has a gap");
    check(read(1, 1, 11), 1, "the date is another one than was acknowledged");
    check(read(3, 3, 9), 1, "the date runs backwards");
}

#[test]
fn a_state_that_a_reader_saw_must_survive_a_restart() {
    let mut history = history();
    assert_eq!(history.see(1, &read(3, 3, 11)), Some(2));
    history.settle(&read(1, 1, 10));
    assert_eq!(history.problems.len(), 1, "{:?}", history.problems);
}

#[test]
fn readers_must_not_see_outdated_unknown_or_refused_states() {
    let check = |since: usize, seen: Read, problems: usize| {
        let mut history = history();
        if since == 2 {
            history.acknowledge(2, &details(3, 11), None);
        }
        history.see(since, &seen);
        assert_eq!(history.problems.len(), problems, "{seen:?}: {:?}", history.problems);
    };
    //    certain when it asked   what it sees      problems
    check(1, read(1, 1, 10), 0);
    check(1, read(3, 3, 11), 0);
    check(2, read(3, 3, 11), 0);
    check(2, read(1, 1, 10), 1);
    check(1, read(2, 2, 11), 1);
    check(1, read(4, 4, 11), 1);
}

#[test]
fn acknowledgements_must_match_the_prediction() {
    let check = |number: usize, told: Details, problems: usize| {
        let mut history = history();
        history.issue(1, state(5));
        history.acknowledge(2, &details(3, 11), None);
        history.acknowledge(number, &told, None);
        assert_eq!(history.problems.len(), problems, "{told:?}: {:?}", history.problems);
    };
    let other_owner = Details { owner: "two".to_owned(), ..details(3, 11) };
    //    state  answer              problems
    check(2, details(3, 11), 0);
    check(2, details(4, 11), 1);
    check(2, details(3, 12), 1);
    check(2, other_owner, 1);
    // Two acknowledged writes that expected the same sequence.
    check(4, details(5, 11), 1);
}
