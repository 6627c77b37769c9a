//! Runs the fuzz targets of `tests/fuzz`, each for a while. They need a C++ compiler for libFuzzer.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::install;
use crate::shell::{Workspace, run};

/// The version of cargo-fuzz to install if it is missing.
const CARGO_FUZZ: &str = "0.13.2";

/// The maximum length of an input. Targets depend on the first bytes, and long inputs are slow.
const MAX_INPUT: usize = 4096;

/// Runs one target or all targets, until one finds a defect.
pub fn fuzz(workspace: &Workspace, seconds: u32, target: Option<&str>) -> Result<()> {
    let targets = targets(&workspace.path("tests/fuzz/targets"))?;
    let chosen: Vec<_> = targets.iter().filter(|name| target.is_none_or(|target| target == *name)).collect();
    if chosen.is_empty() {
        bail!("there is no such fuzz target; there are: {}", targets.join(", "));
    }
    let cargo_fuzz = install::cargo_tool(workspace, "cargo-fuzz", CARGO_FUZZ, "cargo-fuzz")?;
    // libFuzzer ends targets without cleaning up, so their temporary folders are here, where the next run removes them.
    let temporary = workspace.target("fuzz/tmp");
    if temporary.exists() {
        fs::remove_dir_all(&temporary).with_context(|| format!("removing {}", temporary.display()))?;
    }
    fs::create_dir_all(&temporary).with_context(|| format!("creating {}", temporary.display()))?;
    for name in chosen {
        println!("\n=== {name}: {seconds} s");
        // Inputs of earlier runs come first, then the seeds.
        let corpus = workspace.path("tests/fuzz/corpus").join(name);
        fs::create_dir_all(&corpus).with_context(|| format!("creating {}", corpus.display()))?;
        let mut command = workspace.command(&cargo_fuzz);
        // A sanitizer needs a nightly compiler and would find little, since this project has no unsafe code. Overflows
        // are checked.
        command.args(["fuzz", "run", "--sanitizer=none", "--debug-assertions", name]).arg(&corpus);
        command.arg(workspace.path("tests/fuzz/seeds").join(name)).arg("--");
        command.args([format!("-max_total_time={seconds}"), format!("-max_len={MAX_INPUT}")]);
        command.args(["-timeout=5", "-print_final_stats=1", "-verbosity=0"]);
        command.env("RUST_BACKTRACE", "0").env("TMPDIR", &temporary);
        // A separate target folder: these builds share nothing with others.
        command.env("CARGO_TARGET_DIR", workspace.target("fuzz"));
        run(&mut command)
            .with_context(|| format!("the target '{name}' found something, kept in tests/fuzz/artifacts/{name}"))?;
    }
    Ok(())
}

/// The names of the targets, which are the names of their files.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut names: Vec<_> = paths.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::targets;

    #[test]
    fn targets_are_the_files() {
        let folder = std::env::temp_dir().join(format!("xtask-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("two.rs"), "").unwrap();
        fs::write(folder.join("one.rs"), "").unwrap();
        assert_eq!(targets(&folder).unwrap(), ["one", "two"]);
        fs::remove_dir_all(&folder).unwrap();
        assert!(targets(&folder).is_err(), "a folder that is not there");
    }
}
