//! The results of one attack, and the bounds that they must keep.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::attacker::Attack;
use crate::attack::probe::{Call, p99};

/// The results of one attack.
#[derive(Debug)]
pub struct Verdict {
    pub attack: Attack,
    /// Units in a second.
    pub rate: f64,
    /// The number of processors that the server used.
    pub processor: f64,
    /// The attacker's open connections at the end of the attack.
    pub open: usize,
    /// The number of connections that the server closed.
    pub closed: u64,
    /// The growth of the server's memory at its peak, in bytes.
    pub memory: i64,
    pub quiet: Latency,
    pub attacked: Latency,
    /// The latency of refusals, if the attack took all slots.
    pub refused: Option<Latency>,
    /// The time from the end of the attack until good clients are served as before.
    pub recovered: Option<Duration>,
    /// The time from the end of the attack until the server has closed the attacker's connections.
    pub let_go: Option<Duration>,
    /// Failed calls of the good client.
    pub failures: Vec<String>,
    /// Another promise that the server broke.
    pub finding: Option<String>,
    /// The error with which the server ended, if any.
    pub end: Option<String>,
    /// The log of the server.
    pub log: String,
}

/// The 99th percentile of a client's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency(pub Duration);

impl Latency {
    /// Shorter times are noise and do not depend on the server.
    const FLOOR: Duration = Duration::from_millis(5);

    /// The median of the 99th percentiles of these periods, so that a disturbance of the machine in a few periods does
    /// not count.
    pub fn of(calls: &[Call], times: &[Range<Instant>]) -> Self {
        let mut of_each: Vec<_> =
            times.iter().map(|time| p99(calls.iter().filter(|call| time.contains(&call.due)))).collect();
        of_each.sort();
        Self(of_each.get(of_each.len() / 2).copied().unwrap_or_default())
    }

    /// Whether this latency is acceptable under attack, given the latency in quiet periods.
    pub fn is_within(self, quiet: Self) -> bool {
        self.0 < quiet.0.max(Self::FLOOR) * 2
    }

    fn factor(self, quiet: Self) -> f64 {
        self.0.max(Self::FLOOR).as_secs_f64() / quiet.0.max(Self::FLOOR).as_secs_f64()
    }
}

impl Verdict {
    /// The time within which the server must recover after an attack.
    pub const RECOVERS_WITHIN: Duration = Duration::from_secs(1);
    /// The memory that an attack may cost, in bytes.
    const MEMORY: i64 = 20_000_000;
    /// The amount that a server may log in a run with an attack, in bytes.
    const LOG: usize = 4_096;

    /// The broken bounds, in words.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut check = |holds: bool, words: String| {
            if !holds {
                broken.push(words);
            }
        };
        check(self.memory < Self::MEMORY, "memory".into());
        check(self.attacked.is_within(self.quiet), "p99".into());
        check(self.refused.is_none_or(|refused| refused.is_within(self.quiet)), "p99 of refusals".into());
        check(self.refused.is_none_or(|refused| !refused.0.is_zero()), "no call was refused".into());
        let recovered = self.recovered.is_some_and(|time| time < Self::RECOVERS_WITHIN);
        check(recovered, format!("recovery within {:?}", Self::RECOVERS_WITHIN));
        let within = self.attack.let_go_within.unwrap_or(Self::RECOVERS_WITHIN);
        check(self.let_go.is_some_and(|time| time < within), format!("connections closed within {within:?}"));
        let failure = self.failures.first().map_or("", |failure| failure);
        check(self.failures.is_empty(), format!("{} calls of the good client failed ({failure})", self.failures.len()));
        let finding = self.finding.as_deref().unwrap_or_default();
        check(self.finding.is_none(), finding.to_owned());
        check(self.end.is_none(), format!("end of the server: {}", self.end.as_deref().unwrap_or_default()));
        let start: String = self.log.chars().take(600).collect();
        check(self.log.len() < Self::LOG, format!("{} bytes of log, which begin with {start:?}", self.log.len()));
        check(self.rate > 0.0, "the attack did nothing".into());
        broken
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attack: Attack { name, unit, .. }, rate, processor, open, closed, memory, quiet, attacked, .. } =
            self;
        write!(f, "attack {name}: {} {unit}/s, ", thousands(rate.round() as u64))?;
        write!(f, "memory {:+.1} MB, ", *memory as f64 / 1e6)?;
        write!(f, "p99 {:.1}× ({} → {} ms), ", attacked.factor(*quiet), ms(quiet.0), ms(attacked.0))?;
        if let Some(refused) = self.refused {
            write!(f, "p99 of refusals {} ms, ", ms(refused.0))?;
        }
        match self.recovered {
            Some(time) => write!(f, "recovered in {} ms, ", time.as_millis())?,
            None => f.write_str("not recovered, ")?,
        }
        match self.let_go {
            Some(time) => write!(f, "connections closed in {} ms, ", time.as_millis())?,
            None => f.write_str("connections not closed, ")?,
        }
        write!(f, "processor {:.0} %, {open} connections open, {closed} closed by the server", processor * 100.0)?;
        match &self.broken()[..] {
            [] => Ok(()),
            broken => write!(f, "; BROKEN: {}", broken.join(", ")),
        }
    }
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

fn thousands(number: u64) -> String {
    match number {
        ..1_000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1_000), number % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::all;

    fn good() -> Verdict {
        let latency = |us| Latency(Duration::from_micros(us));
        Verdict {
            attack: all().next().unwrap(),
            rate: 12_000.4,
            processor: 0.426,
            open: 4,
            closed: 12,
            memory: 3_140_000,
            quiet: latency(800),
            attacked: latency(1_000),
            refused: None,
            recovered: Some(Duration::from_millis(40)),
            let_go: Some(Duration::from_millis(10)),
            failures: Vec::new(),
            finding: None,
            end: None,
            log: String::new(),
        }
    }

    #[test]
    fn is_one_line() {
        let line = "attack rapid reset: 12,000 resets/s, memory +3.1 MB, p99 1.0× (0.8 → 1.0 ms), recovered in 40 ms, \
            connections closed in 10 ms, processor 43 %, 4 connections open, 12 closed by the server";
        assert_eq!(good().to_string(), line);
    }

    #[test]
    fn each_broken_bound_is_named() {
        type Change = fn(&mut Verdict);
        let table: [(Change, &str); 14] = [
            // bad value, what the verdict names
            (|it| it.memory = 20_000_000, "memory"),
            (|it| it.attacked = Latency(Duration::from_millis(10)), "p99"),
            (
                |it| (it.quiet, it.attacked) = (Latency(Duration::from_millis(6)), Latency(Duration::from_millis(12))),
                "p99",
            ),
            (|it| it.refused = Some(Latency(Duration::from_millis(10))), "p99 of refusals"),
            (|it| it.refused = Some(Latency(Duration::ZERO)), "no call was refused"),
            (|it| it.recovered = Some(Duration::from_secs(1)), "recovery within 1s"),
            (|it| it.recovered = None, "recovery within 1s"),
            (|it| it.let_go = Some(Duration::from_secs(1)), "connections closed within 1s"),
            (|it| it.let_go = None, "connections closed within 1s"),
            (|it| it.failures.push("Unavailable".into()), "1 calls of the good client failed (Unavailable)"),
            (|it| it.finding = Some("a hidden request".into()), "a hidden request"),
            (|it| it.end = Some("signal 9".into()), "end of the server: signal 9"),
            (|it| it.log = "a".repeat(5_000), "5000 bytes of log"),
            (|it| it.rate = 0.0, "the attack did nothing"),
        ];
        assert!(good().broken().is_empty(), "{:?}", good().broken());
        for (change, told) in table {
            let mut verdict = good();
            change(&mut verdict);
            let broken = verdict.broken();
            assert!(broken.len() == 1 && broken[0].starts_with(told), "{told}: {broken:?}");
        }
    }

    #[test]
    fn latency_is_the_median_of_the_periods() {
        let start = Instant::now();
        let second = |number: u64| start + Duration::from_secs(number);
        let call = |(number, ms)| Call { due: second(number), took: Duration::from_millis(ms), failure: None };
        let calls: Vec<_> = [(0, 3), (1, 90), (2, 4), (3, 500)].map(call).into();
        let times: Vec<_> = (0..3).map(|number| second(number)..second(number + 1)).collect();
        assert_eq!(Latency::of(&calls, &times), Latency(Duration::from_millis(4)));
        assert_eq!(Latency::of(&calls, &[]), Latency(Duration::ZERO));
    }
}
