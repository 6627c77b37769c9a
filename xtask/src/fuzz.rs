//! The fuzz targets of the folder `tests/fuzz`, each run for a while. They need a C++ compiler, for libFuzzer.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::install;
use crate::shell::{Workspace, run};

/// The version of cargo-fuzz that is installed when there is none.
const CARGO_FUZZ: &str = "0.13.2";

/// The longest input that is tried. What matters is in the first bytes; long inputs are slow.
const MAX_INPUT: usize = 4096;

/// Runs one target, or all of them, until one finds something.
pub fn fuzz(workspace: &Workspace, seconds: u32, target: Option<&str>) -> Result<()> {
    let targets = targets(&workspace.path("tests/fuzz/targets"))?;
    let chosen: Vec<_> = targets.iter().filter(|name| target.is_none_or(|target| target == *name)).collect();
    if chosen.is_empty() {
        bail!("there is no such fuzz target; there are: {}", targets.join(", "));
    }
    let cargo_fuzz = install::cargo_tool(workspace, "cargo-fuzz", CARGO_FUZZ, "cargo-fuzz")?;
    // Targets end by being stopped, and leave their folders behind: here, where the next run removes them.
    let temporary = workspace.target("fuzz/tmp");
    if temporary.exists() {
        fs::remove_dir_all(&temporary).with_context(|| format!("removing {}", temporary.display()))?;
    }
    fs::create_dir_all(&temporary).with_context(|| format!("creating {}", temporary.display()))?;
    for name in chosen {
        println!("\n=== {name}: {seconds} s");
        // What was found in earlier runs is tried first; then what is written down as a start.
        let corpus = workspace.path("tests/fuzz/corpus").join(name);
        fs::create_dir_all(&corpus).with_context(|| format!("creating {}", corpus.display()))?;
        let mut command = workspace.command(&cargo_fuzz);
        // Without a sanitizer, which only a nightly compiler has: nothing of ours is unsafe. Overflows are checked.
        command.args(["fuzz", "run", "--sanitizer=none", "--debug-assertions", name]).arg(&corpus);
        command.arg(workspace.path("tests/fuzz/seeds").join(name)).arg("--");
        command.args([format!("-max_total_time={seconds}"), format!("-max_len={MAX_INPUT}")]);
        command.args(["-timeout=5", "-print_final_stats=1", "-verbosity=0"]);
        command.env("RUST_BACKTRACE", "0").env("TMPDIR", &temporary);
        // A target folder of its own: these builds have nothing in common with others.
        command.env("CARGO_TARGET_DIR", workspace.target("fuzz"));
        run(&mut command)
            .with_context(|| format!("the target '{name}' found something, kept in tests/fuzz/artifacts/{name}"))?;
    }
    Ok(())
}

/// The names of the targets, which are those of their files.
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
