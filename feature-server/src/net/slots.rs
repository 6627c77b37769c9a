//! Counting semaphore with a total and a per-address limit, for connections and for calls.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The slots that are taken, and their limits.
#[derive(Debug)]
pub struct Slots {
    limit: usize,
    limit_per_address: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    refused: u64,
}

/// One or several slots, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    address: IpAddr,
    count: usize,
}

impl Slots {
    pub(crate) fn new(limit: usize, limit_per_address: usize) -> Arc<Self> {
        Arc::new(Self { limit, limit_per_address, counts: Mutex::default() })
    }

    /// Takes `count` slots for an address, or its limit if that is less. If there are not so many, the error is the
    /// number of refusals so far.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr, count: usize) -> Result<Slot, u64> {
        let count = count.min(self.limit_per_address).min(self.limit);
        let address = accountable(address);
        let mut counts = self.counts();
        let from_address = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all + count > self.limit || from_address + count > self.limit_per_address {
            counts.refused += 1;
            return Err(counts.refused);
        }
        counts.all += count;
        counts.by_address.insert(address, from_address + count);
        Ok(Slot { slots: self.clone(), address, count })
    }

    /// How many slots are taken, and how many were refused so far.
    pub(crate) fn open_and_refused(&self) -> (usize, u64) {
        let counts = self.counts();
        (counts.all, counts.refused)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // No code panics between two changes that belong together, so the counts are consistent even after a panic.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.counts();
        counts.all -= self.count;
        match counts.by_address.get_mut(&self.address) {
            Some(count) if *count > self.count => *count -= self.count,
            _ => drop(counts.by_address.remove(&self.address)),
        }
    }
}

/// The address that a client is counted by. With IPv6 it usually holds a whole /64, so all those count as one.
fn accountable(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_all_and_per_address() {
        let slots = Slots::new(3, 2);
        let take = |address: &str| slots.take(address.parse().unwrap(), 1);
        let first = take("10.0.0.1").unwrap();
        let _second = take("::ffff:10.0.0.1").unwrap();
        assert_eq!(take("10.0.0.1").unwrap_err(), 1, "two from one address, however it is written");
        let _third = take("10.0.0.2").unwrap();
        assert_eq!(take("10.0.0.3").unwrap_err(), 2, "three in all");
        drop(first);
        take("10.0.0.1").unwrap();
        assert_eq!(slots.counts().by_address.len(), 2, "an address without connections is forgotten");
    }

    #[test]
    fn several_slots_count_as_several() {
        let slots = Slots::new(6, 4);
        let take = |address: &str, count| slots.take(address.parse().unwrap(), count);
        let all_of_an_address = take("10.0.0.1", 16).unwrap();
        take("10.0.0.1", 1).unwrap_err();
        take("10.0.0.2", 3).unwrap_err();
        let _other = take("10.0.0.2", 2).unwrap();
        drop(all_of_an_address);
        take("10.0.0.1", 4).unwrap();
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let slots = Slots::new(9, 1);
        let take = |address: &str| slots.take(address.parse().unwrap(), 1);
        let _first = take("2001:db8:1:2::3").unwrap();
        take("2001:db8:1:2:ffff::4").unwrap_err();
        take("2001:db8:1:3::3").unwrap();
    }
}
