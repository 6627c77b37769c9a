//! Attacks on the listener. Each has a server of its own, and a good client calls that server at a fixed rate.
//!
//! The campaign measures from outside the server. The bounds are in [`verdict`].

mod attacker;
mod frames;
mod gauge;
mod probe;
mod request;
mod round;
mod rows;
mod tls;
mod verdict;
mod wire;

use std::fmt;

use anyhow::{Result, ensure};
use clap::Args;

use self::attacker::Attack;
use self::round::Times;
use crate::report::Report;
use crate::server::Binary;

/// Which attacks to make.
#[derive(Default, Args)]
pub struct Options {
    /// Only the attacks with this text in their names, including those of the long form. Without it, all attacks of the
    /// form.
    name: Option<String>,
    /// List the attacks without making them.
    #[arg(long)]
    list: bool,
}

/// Makes the attacks one after the other, `cycles` times, and prints a line for each.
///
/// * `long`: every attack, for half a minute each. The short form makes the calls of `repeated` over fewer numbers of
///   connections, and each attack takes a second or a few.
pub async fn attack(binary: &Binary, options: &Options, cycles: u32, long: bool, seed: u64) -> Result<Report> {
    let is_chosen = |attack: &Attack| match &options.name {
        Some(name) => attack.name.contains(name.as_str()),
        None => long || options.list || attack.in_short,
    };
    let chosen: Vec<_> = all().filter(is_chosen).collect();
    ensure!(!chosen.is_empty(), "no attack has this in its name: --list tells the names");
    if options.list {
        chosen.iter().for_each(|attack| println!("{attack}"));
        return Ok(Report::new("attacks"));
    }
    println!("seed {seed}");
    let times = if long { Times::LONG } else { Times::SHORT };
    let mut report = Report::new("attacks");
    for attack in (0..cycles).flat_map(|_| &chosen) {
        fastrand::seed(seed);
        let verdict = round::run(binary, *attack, times).await?;
        println!("{verdict}");
        report.cycles += 1;
        if !verdict.broken().is_empty() {
            report.broken.push(attack.name.to_owned());
        }
    }
    Ok(report)
}

fn all() -> impl Iterator<Item = Attack> {
    let groups: [&[Attack]; 11] = [
        &rows::resets::ATTACKS,
        &rows::floods::ATTACKS,
        &rows::headers::ATTACKS,
        &rows::unfinished::ATTACKS,
        &rows::silent::ATTACKS,
        &rows::readers::ATTACKS,
        &rows::bombs::ATTACKS,
        &rows::http1::ATTACKS,
        &rows::malformed::ATTACKS,
        &rows::handshakes::ATTACKS,
        &rows::repeated::ATTACKS,
    ];
    groups.into_iter().flatten().chain(&rows::calls::ATTACKS).copied()
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unit, per_second, connections, settings, in_short, .. } = self;
        write!(f, "{name}: up to {per_second} {unit}/s over {connections} connections")?;
        settings.iter().try_for_each(|(name, value)| write!(f, ", {name}={value}"))?;
        if *in_short { Ok(()) } else { f.write_str(", in the long form") }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_attack_has_a_name_of_its_own() {
        let names: BTreeSet<_> = all().map(|attack| attack.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
