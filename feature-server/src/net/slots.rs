//! How many of something there may be, in all and from one address: connections, or calls. It counts; what becomes of who is refused is
//! the business of who asks.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places that are taken, and how many there are.
#[derive(Debug)]
pub(crate) struct Admission {
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

/// The right to one connection or call, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    address: IpAddr,
    places: usize,
}

impl Admission {
    pub(crate) fn new(limit: usize, limit_per_address: usize) -> Arc<Self> {
        Arc::new(Self { limit, limit_per_address, counts: Mutex::default() })
    }

    /// A place for somebody from an address, or the number of those refused so far when there is none.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Place, u64> {
        self.admit_as(address, 1)
    }

    /// As [`Admission::admit`], for somebody who takes as much as several: so many places, or all there are for an address.
    pub(crate) fn admit_as(self: &Arc<Self>, address: IpAddr, places: usize) -> Result<Place, u64> {
        let places = places.min(self.limit_per_address).min(self.limit);
        let address = accountable(address);
        let mut counts = self.counts();
        let from_address = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all + places > self.limit || from_address + places > self.limit_per_address {
            counts.refused += 1;
            return Err(counts.refused);
        }
        counts.all += places;
        counts.by_address.insert(address, from_address + places);
        Ok(Place { admission: self.clone(), address, places })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing panics between two changes that belong together, so the counts hold even after a panic elsewhere.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.all -= self.places;
        match counts.by_address.get_mut(&self.address) {
            Some(count) if *count > self.places => *count -= self.places,
            _ => drop(counts.by_address.remove(&self.address)),
        }
    }
}

/// What stands for the one who holds an address.
///
/// A holder of IPv6 addresses usually has all those of a /64, so these count as one.
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
        let admission = Admission::new(3, 2);
        let admit = |address: &str| admission.admit(address.parse().unwrap());
        let first = admit("10.0.0.1").unwrap();
        let _second = admit("::ffff:10.0.0.1").unwrap();
        assert_eq!(admit("10.0.0.1").unwrap_err(), 1, "two from one address, however it is written");
        let _third = admit("10.0.0.2").unwrap();
        assert_eq!(admit("10.0.0.3").unwrap_err(), 2, "three in all");
        drop(first);
        admit("10.0.0.1").unwrap();
        assert_eq!(admission.counts().by_address.len(), 2, "an address without connections is forgotten");
    }

    #[test]
    fn who_takes_as_much_as_several_counts_as_several() {
        let admission = Admission::new(6, 4);
        let admit = |address: &str, places| admission.admit_as(address.parse().unwrap(), places);
        let all_of_an_address = admit("10.0.0.1", 16).unwrap();
        admit("10.0.0.1", 1).unwrap_err();
        admit("10.0.0.2", 3).unwrap_err();
        let _other = admit("10.0.0.2", 2).unwrap();
        drop(all_of_an_address);
        admit("10.0.0.1", 4).unwrap();
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let admission = Admission::new(9, 1);
        let admit = |address: &str| admission.admit(address.parse().unwrap());
        let _first = admit("2001:db8:1:2::3").unwrap();
        admit("2001:db8:1:2:ffff::4").unwrap_err();
        admit("2001:db8:1:3::3").unwrap();
    }
}
