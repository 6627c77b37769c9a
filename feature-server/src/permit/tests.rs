//! Places, and who gets them.

use std::sync::atomic::Ordering;

use super::*;

impl Capacity {
    /// The default capacity, but for the size of messages.
    pub(crate) fn with_message_bytes(message_bytes: usize) -> Arc<Self> {
        Self::new(&Limits { message_bytes, ..Limits::default() })
    }

    /// The share of a call with a valid token whose messages may have so many bytes.
    pub(crate) fn for_tests(message_bytes: usize) -> (Share, Release) {
        let (share, release) =
            Self::with_message_bytes(message_bytes).share(Ipv4Addr::LOCALHOST.into(), false, message_bytes);
        share.authenticate(Arc::default(), 1).expect("it is the first call");
        (share, release)
    }

    /// How many jobs run or wait.
    pub(crate) fn jobs(&self) -> usize {
        self.used.jobs.load(Ordering::Relaxed)
    }
}

fn capacity() -> Arc<Capacity> {
    Capacity::new(&Limits {
        calls: 2,
        unauthenticated_calls: 2,
        unauthenticated_calls_per_address: 1,
        request_bytes: 10,
        message_bytes: 10,
        unauthenticated_bytes: 4,
        ..Limits::default()
    })
}

fn overloaded(result: Result<(), Failure>) -> bool {
    matches!(result, Err(Failure::Overloaded))
}

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 66));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

#[test]
fn calls_without_a_token_take_no_place_from_those_with_one() {
    let capacity = capacity();
    let calls = [ATTACKER, OTHER].map(|address| capacity.share(address, false, 1 << 20));
    calls.iter().for_each(|(share, _)| share.last().unwrap());
    let (third, _release) = capacity.share([10, 0, 0, 2].into(), false, 1 << 20);
    assert!(overloaded(third.last()), "two in all");
    third.authenticate(Arc::default(), 1).unwrap();
    third.last().expect("it has its place already");
}

#[test]
fn one_address_does_not_take_all_places() {
    let capacity = capacity();
    let (first, release) = capacity.share(ATTACKER, false, 1 << 20);
    first.last().unwrap();
    first.last().expect("one call takes one place");
    let (second, _release) = capacity.share(ATTACKER, false, 1 << 20);
    assert!(overloaded(second.last()));
    let (other, _release) = capacity.share(OTHER, false, 1 << 20);
    other.last().unwrap();
    drop(release);
    second.last().expect("the place came back with the end of the call");
}

#[test]
fn what_is_over_soon_needs_no_place_to_last() {
    let capacity = capacity();
    let (lasting, release) = capacity.share(ATTACKER, false, 1 << 20);
    lasting.last().unwrap();
    let (brief, _release) = capacity.share(ATTACKER, false, 1 << 20);
    assert!(overloaded(brief.last()));
    brief.linger().unwrap();
    brief.linger().expect("one call takes one place");
    let (second, _release) = capacity.share(ATTACKER, false, 1 << 20);
    assert!(overloaded(second.linger()), "of these, too, one address gets only so many");
    drop(release);
    brief.last().expect("a place has come back");
    second.linger().expect("and the other one has, too");
}

#[test]
fn a_call_that_is_authenticated_late_gives_its_first_place_back() {
    let capacity = capacity();
    let (first, _release) = capacity.share(OTHER, false, 1 << 20);
    first.last().unwrap();
    first.authenticate(Arc::default(), 1).unwrap();
    let (second, _release) = capacity.share(OTHER, false, 1 << 20);
    second.last().unwrap();
}

#[test]
fn authenticated_calls_are_counted_until_they_are_over() {
    let capacity = capacity();
    let calls = [OTHER; 2].map(|address| capacity.share(address, false, 1 << 20));
    calls.iter().for_each(|(share, _)| share.authenticate(Arc::default(), 1).unwrap());
    let (third, _release) = capacity.share(OTHER, false, 1 << 20);
    assert!(overloaded(third.authenticate(Arc::default(), 1)));
    drop(calls);
    third.authenticate(Arc::default(), 1).unwrap();
}

#[test]
fn bytes_are_bounded_in_all_with_a_token_and_by_the_call_without() {
    let capacity = capacity();
    let (anonymous, _release) = capacity.share(ATTACKER, false, 1 << 20);
    anonymous.receive(4).unwrap();
    assert!(matches!(anonymous.receive(1), Err(Failure::MessageTooLarge { limit: 4 })));

    let (first, release) = capacity.share(OTHER, false, 1 << 20);
    first.authenticate(Arc::default(), 1).unwrap();
    first.receive(10).expect("what the others sent counts apart");
    let (second, _release) = capacity.share(OTHER, false, 1 << 20);
    second.authenticate(Arc::default(), 1).unwrap();
    assert!(overloaded(second.receive(1)));
    drop(release);
    second.receive(10).expect("the room came back with the end of the call");
}

#[test]
fn one_identity_gets_a_quarter_of_what_there_is() {
    let capacity = Capacity::new(&Limits { calls: 8, request_bytes: 80, message_bytes: 5, ..Limits::default() });
    let (ann, bob) = (Arc::<Usage>::default(), Arc::<Usage>::default());
    let (first, release) = capacity.share(OTHER, false, 1 << 20);
    let (second, _release) = capacity.share(OTHER, false, 1 << 20);
    let (third, _release) = capacity.share(OTHER, false, 1 << 20);
    first.authenticate(ann.clone(), 1).unwrap();
    second.authenticate(ann.clone(), 1).unwrap();
    assert!(overloaded(third.authenticate(ann.clone(), 1)), "two of eight");
    third.authenticate(bob, 1).expect("there are places for others");

    first.receive(20).unwrap();
    assert!(overloaded(second.receive(1)), "20 bytes of 80");
    third.receive(20).expect("there is room for others");
    drop(release);
    second.receive(20).expect("the room came back with the end of the call");
    let (fourth, _release) = capacity.share(OTHER, false, 1 << 20);
    fourth.authenticate(ann, 1).expect("and so did the place");
}

#[test]
fn however_little_there_is_one_call_with_one_message_has_room() {
    let capacity = Capacity::new(&Limits { calls: 1, request_bytes: 10, message_bytes: 10, ..Limits::default() });
    let (share, _release) = capacity.share(OTHER, false, 1 << 20);
    share.authenticate(Arc::default(), 1).unwrap();
    share.receive(10).unwrap();
}
