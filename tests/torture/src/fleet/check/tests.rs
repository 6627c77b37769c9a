//! Negative controls: made-up histories, each with one broken promise, which the checkers must find; and one without.

use prost::Message;

use super::{Claims, History, Kind, chain, key, values};
use crate::fleet::database::table::{Change, Entry, Event, Log};
use crate::fleet::record::{Answer, Asks, NEVER, Nanos, Place, ReadCall, Record, WriteCall};
use crate::workload::client::Read;
use crate::workload::feature::{Details, LOGIN, Layer, Scope, Value};
use crate::workload::write::{Operation, Set, State, Write};

const STORE: [u8; 16] = [7; 16];

/// A second, as records count.
const SECOND: Nanos = 1_000_000_000;

/// A history as it should be: three writes of one scope, one after the other, each acknowledged.
struct Made {
    events: Vec<Event>,
    record: Record,
}

impl Made {
    fn new() -> Self {
        let mut made = Self { events: Vec::new(), record: Record::default() };
        for number in 1..=3 {
            made.write(number, number * SECOND, acknowledged(number));
            made.event(number);
        }
        made
    }

    /// A write in the second `begin`, which takes half a second.
    fn write(&mut self, number: u64, begin: Nanos, answer: Answer) -> &mut WriteCall {
        let end = if matches!(answer, Answer::Unknown(_)) { NEVER } else { begin + SECOND / 2 };
        let set = Set { features: layer(number), ..Set::default() };
        let write = Write { operation: Operation::Set(set), organization: None };
        let id = format!("request-{number}");
        self.record.writes.push(WriteCall { id, server: 0, scope: scope(), write, begin, end, answer });
        self.record.writes.last_mut().unwrap()
    }

    /// The event of the write with this number, on top of that of the number before.
    fn event(&mut self, number: u64) {
        let stored = |number: u64| (number > 0).then(|| values::stored_value(&layer(number)[LOGIN]));
        let change = Change { key: LOGIN.to_owned(), old: stored(number - 1), new: stored(number) };
        self.events.push(Event {
            scope: key(&scope()).into_bytes(),
            kind: 3,
            sequence: number,
            unix_nanos: i64::try_from(number * SECOND).unwrap(),
            request_id: format!("request-{number}"),
            organization: None,
            changes: vec![change],
        });
    }

    /// A read in the second `begin` which shows what the write with this number has left.
    fn read(&mut self, number: u64, begin: Nanos, asks: Asks) -> &mut ReadCall {
        let read = Read { layer: if number > 0 { layer(number) } else { Layer::new() }, details: details(number) };
        let end = begin + SECOND / 10;
        self.record.reads.push(ReadCall { server: 1, scope: scope(), begin, end, asks, answer: Ok(read), place: None });
        self.record.reads.last_mut().unwrap()
    }

    fn log(&self) -> Log {
        let start = chain::start(STORE);
        let mut log = Log { store: STORE, end: 0, chain: start.chain, entries: Vec::new() };
        for event in &self.events {
            let body = event.encode_to_vec();
            log.end += 1;
            log.chain = chain::next(log.chain, log.end, &body);
            log.entries.push(Entry { revision: log.end, chain: log.chain, body });
        }
        log
    }

    fn check(self) -> Vec<Kind> {
        let log = self.log();
        self.check_with(&log)
    }

    fn check_with(self, log: &Log) -> Vec<Kind> {
        let claims = Claims { staleness: 10 * SECOND, down: Vec::new() };
        History::default().check(log, self.record, &claims).into_iter().map(|problem| problem.kind).collect()
    }
}

fn scope() -> Scope {
    Scope::instance("one")
}

fn layer(number: u64) -> Layer {
    Layer::from([(LOGIN, Value::Login { required: false, base_uri: Some(format!("http://{number}")) })])
}

fn details(number: u64) -> Details {
    let time = |second: u64| (number > 0).then(|| (i64::try_from(second).unwrap(), 0));
    Details { sequence: number, owner: "one".to_owned(), changed: time(number), created: time(1) }
}

fn acknowledged(number: u64) -> Answer {
    Answer::Acknowledged(details(number), None)
}

fn made(change: impl FnOnce(&mut Made)) -> Made {
    let mut made = Made::new();
    change(&mut made);
    made
}

#[test]
fn a_right_history_passes() {
    let right = made(|made| {
        made.write(4, 4 * SECOND, Answer::Unknown(String::new()));
        made.event(4);
        made.write(5, 5 * SECOND, Answer::Unknown(String::new()));
        made.write(6, 6 * SECOND, Answer::Refused(String::new()));
        made.write(7, 7 * SECOND, Answer::Mismatch(4)).write = expecting(9);
        made.write(4, 8 * SECOND, acknowledged(4)).id = "request-8".to_owned();
        made.read(0, SECOND, Asks::Latest);
        made.read(3, 9 * SECOND, Asks::Ready);
        made.read(4, 10 * SECOND, Asks::Latest).place = Some(Place { revision: 4, chain: first_bytes(&made.log(), 4) });
    });
    assert_eq!(right.check(), []);
}

#[test]
fn what_the_log_must_not_have_is_found() {
    let check = |change: &dyn Fn(&mut Made, &mut Log), found: &[Kind]| {
        let mut made = Made::new();
        let mut log = made.log();
        change(&mut made, &mut log);
        assert_eq!(made.check_with(&log), found);
    };
    // A revision is missing: no other one continues the chain.
    check(&|_, log| _ = log.entries.remove(1), &[Kind::Gap, Kind::Chain, Kind::Wrong, Kind::Lost]);
    check(&|_, log| log.entries.insert(1, log.entries[0].clone()), &[Kind::Gap, Kind::Chain, Kind::Repeat]);
    check(&|_, log| log.entries[1].chain[0] ^= 1, &[Kind::Chain, Kind::Chain]);
    check(&|_, log| log.end = 4, &[Kind::Gap]);
    check(&|_, log| log.chain[0] ^= 1, &[Kind::Chain]);
    check(&|_, log| log.store = [8; 16], &[Kind::Chain]);
}

#[test]
fn broken_promises_to_writers_are_found() {
    let unknown = || Answer::Unknown(String::new());
    let check = |change: &dyn Fn(&mut Made), found: &[Kind]| assert_eq!(made(change).check(), found);
    check(&|made| _ = made.write(4, 4 * SECOND, acknowledged(4)), &[Kind::Lost]);
    check(&|made| made.record.writes[1].answer = Answer::Refused(String::new()), &[Kind::Unasked]);
    check(&|made| _ = made.record.writes.remove(1), &[Kind::Unasked]);
    // An error is taken for 'not written'; the client repeats the write, and it is there twice.
    let twice = |made: &mut Made| {
        made.write(4, 4 * SECOND, unknown());
        made.event(4);
        made.event(4);
    };
    check(&twice, &[Kind::Repeat]);
    // The first write was acknowledged before the second one began, which is before it in the log.
    check(&|made| made.record.writes.swap_with_times(0, 2), &[Kind::Order, Kind::Order]);
    check(&|made| made.record.writes[2].answer = acknowledged(2), &[Kind::Wrong]);
    check(&|made| made.record.writes[2].write = expecting(9), &[Kind::Wrong]);
    check(&|made| made.events[2].sequence = 4, &[Kind::Wrong, Kind::Wrong]);
    check(&|made| made.events[2].unix_nanos = 0, &[Kind::Wrong, Kind::Wrong]);
    // The revision that an answer names is of another history.
    let other = Answer::Acknowledged(details(3), Some(Place { revision: 3, chain: 0 }));
    check(&|made| made.record.writes[2].answer = other.clone(), &[Kind::Wrong]);
}

#[test]
fn answers_about_an_earlier_moment_are_found() {
    let check = |change: &dyn Fn(&mut Made), found: &[Kind]| assert_eq!(made(change).check(), found);
    // It changes nothing at revision 2, and is answered when 3 was acknowledged.
    let repeated = |made: &mut Made, begin| made.write(2, begin, acknowledged(2)).id = "again".to_owned();
    check(&|made| repeated(made, 2 * SECOND + SECOND / 10), &[]);
    check(&|made| repeated(made, 4 * SECOND), &[Kind::Outdated]);
    let mismatch = |made: &mut Made, begin| made.write(9, begin, Answer::Mismatch(2)).write = expecting(9);
    check(&|made| mismatch(made, 2 * SECOND + SECOND / 10), &[]);
    check(&|made| mismatch(made, 4 * SECOND), &[Kind::Outdated]);
    check(&|made| made.write(9, 4 * SECOND, Answer::Mismatch(3)).write = expecting(3), &[Kind::Outdated]);
}

#[test]
fn reads_that_are_older_than_claimed_are_found() {
    let check = |change: &dyn Fn(&mut Made), found: &[Kind]| assert_eq!(made(change).check(), found);
    let at = |made: &Made, revision| Place { revision, chain: first_bytes(&made.log(), revision) };
    let late = 20 * SECOND;
    check(&|made| _ = made.read(2, late, Asks::Any), &[]);
    check(&|made| _ = made.read(2, late, Asks::Ready), &[Kind::Stale]);
    check(&|made| _ = made.read(2, 4 * SECOND, Asks::Ready), &[]);
    check(&|made| _ = made.read(2, 4 * SECOND, Asks::Latest), &[Kind::Stale]);
    check(&|made| _ = made.read(2, 4 * SECOND, Asks::AtLeast(at(made, 2))), &[]);
    check(&|made| _ = made.read(2, 4 * SECOND, Asks::AtLeast(at(made, 3))), &[Kind::Stale]);
    check(&|made| made.read(2, 4 * SECOND, Asks::Any).place = Some(at(made, 3)), &[Kind::Stale]);
    check(&|made| made.read(3, 4 * SECOND, Asks::Any).place = Some(Place { revision: 3, chain: 0 }), &[Kind::Stale]);
    // From the future, or never written.
    check(&|made| _ = made.read(3, SECOND, Asks::Any), &[Kind::Wrong]);
    check(&|made| made.read(3, late, Asks::Any).answer.as_mut().unwrap().layer = layer(9), &[Kind::Wrong]);
    check(&|made| made.read(3, late, Asks::Any).answer = Err(String::new()), &[Kind::Unanswered]);
    // A server goes back.
    let back = |made: &mut Made| {
        made.read(3, 4 * SECOND, Asks::Any);
        made.read(2, 5 * SECOND, Asks::Any);
    };
    check(&back, &[Kind::Back]);
}

#[test]
fn an_unknown_outcome_may_come_later_once() {
    let first = made(|made| _ = made.write(4, 4 * SECOND, Answer::Unknown(String::new())));
    let claims = Claims::default();
    let mut history = History::default();
    assert_eq!(history.check(&first.log(), first.record.clone(), &claims), []);
    let mut later = made(|made| made.event(4)).log();
    later.entries.drain(..3);
    assert_eq!(history.check(&later, Record::default(), &claims), []);
    let state = &history.scopes[&key(&scope())].state;
    assert_eq!(*state, State { layer: layer(4), sequence: 4, organization: None });
    assert!(history.open.is_empty());
}

/// A write that expects this sequence.
fn expecting(sequence: u64) -> Write {
    let set = Set { features: layer(3), expected_sequence: Some(sequence), ..Set::default() };
    Write { operation: Operation::Set(set), organization: None }
}

fn first_bytes(log: &Log, revision: u64) -> u32 {
    let entry = log.entries.iter().find(|entry| entry.revision == revision).unwrap();
    u32::from_be_bytes(*entry.chain.first_chunk().unwrap())
}

/// Exchanges when two writes were sent and answered.
trait SwapTimes {
    fn swap_with_times(&mut self, one: usize, other: usize);
}

impl SwapTimes for Vec<WriteCall> {
    fn swap_with_times(&mut self, one: usize, other: usize) {
        let times = |call: &WriteCall| (call.begin, call.end);
        let (first, second) = (times(&self[one]), times(&self[other]));
        (self[one].begin, self[one].end) = second;
        (self[other].begin, self[other].end) = first;
    }
}
