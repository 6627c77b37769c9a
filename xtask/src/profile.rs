//! Profiles the server: a flame graph and its widest bars. The crate `bench` makes the load.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::install;
use crate::shell::{Workspace, run};

/// The number of bars to print.
const WIDEST: usize = 25;

/// Profiles the server under one load, and prints the path of the graph.
pub fn profile(workspace: &Workspace, load: &str, seconds: u32) -> Result<()> {
    install::install_for_profiles()?;
    let inferno = install::cargo_tool(workspace, "inferno", "0.12.8", "inferno-flamegraph")?;
    // A separate target folder: these builds share nothing with others.
    let target = workspace.target("profile");
    let mut build = workspace.cargo("build");
    build.args(["--profile", "production", "--locked", "--package", "feature-server", "--package", "bench"]);
    // The profile of what is shipped, with the symbols that call stacks need.
    build.args([
        "--config",
        "profile.production.debug='line-tables-only'",
        "--config",
        "profile.production.strip='none'",
    ]);
    build.env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", "-C force-frame-pointers=yes");
    run(&mut build)?;
    let file = |extension| target.join(format!("{load}.{extension}"));
    let (samples, folded, graph) = (file("perf"), file("folded"), file("svg"));
    let mut record = workspace.command(target.join("production/bench"));
    run(record.args(["record", load, "--seconds", &seconds.to_string(), "--output"]).arg(&samples))?;
    // Inlined functions are not resolved, since that takes minutes.
    let mut script = Command::new("perf");
    script.args(["script", "--no-inline", "--input"]).arg(&samples);
    let collapse = Command::new(inferno.with_file_name("inferno-collapse-perf"));
    pipe(script, collapse, &folded)?;
    let mut draw = Command::new(inferno);
    draw.args(["--title", &format!("feature-server, {load}")]).arg(&folded);
    let drawn = draw.stdout(File::create(&graph)?).status().context("starting inferno-flamegraph")?;
    if !drawn.success() {
        bail!("inferno-flamegraph failed ({drawn})");
    }
    let text = fs::read_to_string(&folded).with_context(|| format!("reading {}", folded.display()))?;
    println!("{}\n{}", bars(&text), graph.display());
    Ok(())
}

/// Pipes the output of one program into another and writes the result to a file.
fn pipe(mut first: Command, mut second: Command, output: &Path) -> Result<()> {
    let mut first = first.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("starting perf script")?;
    let piped = first.stdout.take().context("the output is piped")?;
    let done = second.stdin(piped).stdout(File::create(output)?).status().context("starting inferno-collapse-perf")?;
    if !(first.wait()?.success() && done.success()) {
        bail!("the samples could not be read");
    }
    Ok(())
}

/// The widest bars: functions by themselves, and functions of this project with all that they call.
///
/// `folded`: stacks with the processor time spent in them, in nanoseconds.
fn bars(folded: &str) -> String {
    let (mut alone, mut within, mut all) = (HashMap::new(), HashMap::new(), 0);
    for line in folded.lines() {
        let Some((stack, count)) = line.rsplit_once(' ') else { continue };
        let Ok(count) = count.parse::<u64>() else { continue };
        let frames: Vec<_> = stack.split(';').collect();
        all += count;
        if let Some(last) = frames.last() {
            *alone.entry(*last).or_insert(0) += count;
        }
        // The set counts a recursive function once for each stack.
        for frame in frames.into_iter().filter(|frame| is_ours(frame)).collect::<BTreeSet<_>>() {
            *within.entry(frame).or_insert(0) += count;
        }
    }
    let list = |title, counts| format!("{title}\n{}", table(counts, all));
    let (alone, within) = (list("by themselves", alone), list("with what they call, of this project", within));
    format!("{:.1} s of processor time\n\n{alone}\n{within}", all as f64 / 1e9)
}

fn is_ours(frame: &str) -> bool {
    frame.contains("feature_")
}

fn table(counts: HashMap<&str, u64>, all: u64) -> String {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let line = |(name, count): &(&str, u64)| format!("{:>6.2} %  {name}\n", *count as f64 * 100.0 / all as f64);
    counts.iter().take(WIDEST).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::bars;

    #[test]
    fn bars_count_a_function_once_for_each_stack() {
        let folded = "server;feature_server::a;feature_server::b;feature_server::a;malloc 3\n\
                      server;feature_server::a;free 1\n";
        let bars = bars(folded);
        let has = |line: &str| assert!(bars.contains(line), "{line} is missing in\n{bars}");
        has(" 75.00 %  malloc\n");
        has(" 25.00 %  free\n");
        has("100.00 %  feature_server::a\n");
        has(" 75.00 %  feature_server::b\n");
        assert!(!bars.contains("  server\n"), "only functions of this project are shown with their callees");
    }
}
