//! Which calls get a slot, and when it is free again.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use super::*;

impl Permits {
    /// The default permits, but for the size of messages.
    pub(crate) fn with_message_bytes(message_bytes: usize) -> Arc<Self> {
        Self::new(&Limits { message_bytes, ..Limits::default() })
    }

    /// The permit of a call with a valid token whose messages may have so many bytes.
    pub(crate) fn for_tests(message_bytes: usize) -> (Permit, PermitGuard) {
        let (permit, guard) =
            Self::with_message_bytes(message_bytes).permit(Ipv4Addr::LOCALHOST.into(), false, message_bytes);
        permit.authenticate(Arc::default()).expect("it is the first call");
        (permit, guard)
    }

    /// How many jobs run or wait.
    pub(crate) fn jobs(&self) -> usize {
        self.used.jobs.load(Ordering::Relaxed)
    }
}

fn permits() -> Arc<Permits> {
    Permits::new(&Limits {
        calls: 2,
        unauthenticated_calls: 2,
        request_bytes: 10,
        message_bytes: 10,
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
    let permits = permits();
    let calls = [ATTACKER, OTHER].map(|address| permits.permit(address, false, 1 << 20));
    calls.iter().for_each(|(permit, _)| permit.acquire_long_running().unwrap());
    let (third, _guard) = permits.permit([10, 0, 0, 2].into(), false, 1 << 20);
    assert!(overloaded(third.acquire_long_running()), "two in all");
    third.authenticate(Arc::default()).unwrap();
    third.acquire_long_running().expect("it has its place already");
}

#[test]
fn one_address_does_not_take_all_places() {
    let permits = permits();
    let (first, guard) = permits.permit(ATTACKER, false, 1 << 20);
    first.acquire_long_running().unwrap();
    first.acquire_long_running().expect("one call takes one place");
    let (second, _guard) = permits.permit(ATTACKER, false, 1 << 20);
    assert!(overloaded(second.acquire_long_running()));
    let (other, _guard) = permits.permit(OTHER, false, 1 << 20);
    other.acquire_long_running().unwrap();
    drop(guard);
    second.acquire_long_running().expect("the place came back with the end of the call");
}

#[test]
fn brief_calls_have_slots_of_their_own() {
    let permits = permits();
    let (lasting, guard) = permits.permit(ATTACKER, false, 1 << 20);
    lasting.acquire_long_running().unwrap();
    let (brief, _guard) = permits.permit(ATTACKER, false, 1 << 20);
    assert!(overloaded(brief.acquire_long_running()));
    brief.acquire_brief().unwrap();
    brief.acquire_brief().expect("one call takes one place");
    let (second, _guard) = permits.permit(ATTACKER, false, 1 << 20);
    assert!(overloaded(second.acquire_brief()), "of these, too, one address gets only so many");
    drop(guard);
    brief.acquire_long_running().expect("a place has come back");
    second.acquire_brief().expect("and the other one has, too");
}

#[test]
fn a_call_that_is_authenticated_late_gives_its_first_place_back() {
    let permits = permits();
    let (first, _guard) = permits.permit(OTHER, false, 1 << 20);
    first.acquire_long_running().unwrap();
    first.authenticate(Arc::default()).unwrap();
    let (second, _guard) = permits.permit(OTHER, false, 1 << 20);
    second.acquire_long_running().unwrap();
}

#[test]
fn authenticated_calls_are_counted_until_they_are_over() {
    let permits = permits();
    let calls = [OTHER; 2].map(|address| permits.permit(address, false, 1 << 20));
    calls.iter().for_each(|(permit, _)| permit.authenticate(Arc::default()).unwrap());
    let (third, _guard) = permits.permit(OTHER, false, 1 << 20);
    assert!(overloaded(third.authenticate(Arc::default())));
    drop(calls);
    third.authenticate(Arc::default()).unwrap();
}

#[test]
fn bytes_are_bounded_in_all_with_a_token_and_by_the_call_without() {
    let permits = permits();
    let (anonymous, _guard) = permits.permit(ATTACKER, false, 1 << 20);
    anonymous.reserve_bytes(UNAUTHENTICATED_BYTES).unwrap();
    let refused = anonymous.reserve_bytes(1);
    assert!(matches!(refused, Err(Failure::Request(Error::MessageTooLarge { limit: UNAUTHENTICATED_BYTES }))));

    let (first, guard) = permits.permit(OTHER, false, 1 << 20);
    first.authenticate(Arc::default()).unwrap();
    first.reserve_bytes(10).expect("what the others sent counts apart");
    let (second, _guard) = permits.permit(OTHER, false, 1 << 20);
    second.authenticate(Arc::default()).unwrap();
    assert!(overloaded(second.reserve_bytes(1)));
    drop(guard);
    second.reserve_bytes(10).expect("the room came back with the end of the call");
}

#[test]
fn one_identity_gets_a_quarter_of_what_there_is() {
    let permits = Permits::new(&Limits { calls: 8, request_bytes: 80, message_bytes: 5, ..Limits::default() });
    let (ann, bob) = (Arc::<Usage>::default(), Arc::<Usage>::default());
    let (first, guard) = permits.permit(OTHER, false, 1 << 20);
    let (second, _guard) = permits.permit(OTHER, false, 1 << 20);
    let (third, _guard) = permits.permit(OTHER, false, 1 << 20);
    first.authenticate(ann.clone()).unwrap();
    second.authenticate(ann.clone()).unwrap();
    assert!(overloaded(third.authenticate(ann.clone())), "two of eight");
    third.authenticate(bob).expect("there are places for others");

    first.reserve_bytes(20).unwrap();
    assert!(overloaded(second.reserve_bytes(1)), "20 bytes of 80");
    third.reserve_bytes(20).expect("there is room for others");
    drop(guard);
    second.reserve_bytes(20).expect("the room came back with the end of the call");
    let (fourth, _guard) = permits.permit(OTHER, false, 1 << 20);
    fourth.authenticate(ann).expect("and so did the place");
}

#[test]
fn however_little_there_is_one_call_with_one_message_has_room() {
    let permits = Permits::new(&Limits { calls: 1, request_bytes: 10, message_bytes: 10, ..Limits::default() });
    let (permit, _guard) = permits.permit(OTHER, false, 1 << 20);
    permit.authenticate(Arc::default()).unwrap();
    permit.reserve_bytes(10).unwrap();
}

#[test]
fn an_anonymous_stream_needs_a_slot_before_it_begins_however_few_there_are() {
    for unauthenticated_calls in [1, 8, 128] {
        let permits = Permits::new(&Limits { unauthenticated_calls, ..Limits::default() });
        let [(first, _first), (second, _second)] = [(); 2].map(|()| permits.permit(ATTACKER, true, 1 << 20));
        first.begin_without_token().expect("one address can have a stream");
        assert!(overloaded(second.begin_without_token()), "{unauthenticated_calls} calls");
    }
}
