//! Counts observations in buckets, from any thread and without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// The buckets of a histogram, and the unit that they are shown in.
#[derive(Debug)]
pub struct Buckets {
    /// The largest value of each bucket, ascending. One more bucket takes what is larger.
    pub limits: &'static [u64],
    /// How many of the counted unit make one of the shown unit.
    pub divisor: f64,
}

/// The most buckets of a histogram, the one without a limit included.
const BUCKETS_MAX: usize = 18;

/// Observations in the buckets of `buckets`. The counts lie in it: elsewhere, those of two cores could share a cache
/// line.
#[derive(Debug)]
pub struct Histogram {
    buckets: &'static Buckets,
    counts: [AtomicU64; BUCKETS_MAX],
    sum: AtomicU64,
}

impl Histogram {
    /// A histogram without observations.
    pub fn new(buckets: &'static Buckets) -> Self {
        assert!(buckets.limits.len() < BUCKETS_MAX, "BUCKETS_MAX is too small");
        Self { buckets, counts: Default::default(), sum: AtomicU64::new(0) }
    }

    /// For a test that looks where they lie.
    #[cfg(test)]
    pub(super) fn counts(&self) -> &[AtomicU64] {
        &self.counts
    }

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let bucket = self.buckets.limits.partition_point(|limit| *limit < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }
}

/// The sum of histograms with the same buckets, as it is shown.
#[derive(Debug, PartialEq)]
pub struct Total {
    /// The largest value of each bucket with the number of its observations, not those of smaller buckets.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all values.
    pub sum: f64,
    /// The number of observations.
    pub count: u64,
}

impl Total {
    /// The sum of these histograms, which must have the buckets `buckets`.
    pub fn of<'a>(buckets: &Buckets, histograms: impl IntoIterator<Item = &'a Histogram>) -> Self {
        let limits = buckets.limits.iter().map(|limit| *limit as f64 / buckets.divisor).chain([f64::INFINITY]);
        let mut total = Self { buckets: limits.map(|limit| (limit, 0)).collect(), sum: 0.0, count: 0 };
        for histogram in histograms {
            for (bucket, count) in total.buckets.iter_mut().zip(&histogram.counts) {
                bucket.1 += count.load(Ordering::Relaxed);
            }
            total.sum += histogram.sum.load(Ordering::Relaxed) as f64 / buckets.divisor;
        }
        total.count = total.buckets.iter().map(|(_, count)| count).sum();
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BUCKETS: Buckets = Buckets { limits: &[10, 100], divisor: 10.0 };

    #[test]
    fn a_value_counts_in_the_smallest_bucket_that_holds_it() {
        let (one, other) = (Histogram::new(&BUCKETS), Histogram::new(&BUCKETS));
        [0, 10, 11, 100].into_iter().for_each(|value| one.observe(value));
        [101, 5].into_iter().for_each(|value| other.observe(value));
        let total = Total::of(&BUCKETS, [&one, &other]);
        assert_eq!(total, Total { buckets: vec![(1.0, 3), (10.0, 2), (f64::INFINITY, 1)], sum: 22.7, count: 6 });
    }
}
