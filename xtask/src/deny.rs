//! Checks the dependencies by the rules of `deny.toml`: licences, duplicate crates, sources, security advisories.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{Workspace, run, run_quietly};

/// The folder in which cargo-deny expects the advisories: `db-path` in `deny.toml`, then its name for RustSec's
/// database.
const DATABASE: &str = "target/advisories/advisory-db-3157b0e258782691";

/// The variable with the path of a copy of RustSec's database: its files, with or without a git history.
const VARIABLE: &str = "FEATURE_ADVISORY_DB";

/// The default path of that copy.
const BESIDE: &str = "../shared/advisory-db";

/// Checks the rules. Checks advisories only if a copy of the database exists, since cargo-deny would load one from
/// GitHub.
pub fn deny(workspace: &Workspace) -> Result<()> {
    // cargo-deny inspects every crate of the lock file but downloads none; a build downloads only those of its own
    // platform.
    run(workspace.cargo("fetch").arg("--locked"))?;
    let check = |what: &[&str]| {
        let mut command = workspace.command(workspace.target("test-clients/python/bin/cargo-deny"));
        run(command.args(["--locked", "--offline", "check", "--hide-inclusion-graph"]).args(what))
    };
    check(&["licenses", "bans", "sources"])?;
    let database = workspace.path(DATABASE);
    let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let beside = Some(workspace.path(BESIDE)).filter(|path| path.is_dir());
    if let Some(copy) = named.or(beside) {
        provide(workspace, &copy, &database).with_context(|| format!("reading advisories from {}", copy.display()))?;
    }
    if !database.is_dir() {
        println!(
            "advisories not checked: there is no database of them. Name one with {VARIABLE}, or get one with \
             `cargo deny fetch db`"
        );
        return Ok(());
    }
    println!("advisories up to {}", newest(&database)?.context("the database holds no advisory")?);
    check(&["advisories"])
}

/// Makes from the files of a database the git repository that cargo-deny needs.
fn provide(workspace: &Workspace, files: &Path, repository: &Path) -> Result<()> {
    let files = files.canonicalize()?;
    if repository.exists() {
        fs::remove_dir_all(repository)?;
    }
    let git = || workspace.command("git");
    run_quietly(git().args(["init", "--quiet"]).arg(repository))?;
    let in_repository = || {
        let mut command = git();
        command.arg("-C").arg(repository);
        command
    };
    run_quietly(in_repository().arg("--work-tree").arg(files).args(["add", "--all", "--force"]))?;
    // The commit contains no name and no signature of the developer.
    let nameless = ["-c", "user.name=xtask", "-c", "user.email=xtask", "-c", "commit.gpgsign=false"];
    run_quietly(in_repository().args(nameless).args(["commit", "--quiet", "--message", "advisories"]))?;
    run_quietly(in_repository().args(["reset", "--quiet", "--hard"]))
}

/// The date of the newest advisory on a crate.
fn newest(database: &Path) -> Result<Option<String>> {
    let mut newest = None;
    for package in fs::read_dir(database.join("crates"))? {
        for advisory in fs::read_dir(package?.path())? {
            newest = newest.max(date(&fs::read_to_string(advisory?.path())?));
        }
    }
    Ok(newest)
}

/// The date of an advisory. Dates such as `2026-08-20` sort as texts.
fn date(advisory: &str) -> Option<String> {
    let date = advisory.lines().find_map(|line| line.strip_prefix("date = \""))?;
    Some(date.trim_end_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn an_advisorys_date_is_the_one_in_its_header() {
        let table = [
            // (advisory, its date)
            ("```toml\n[advisory]\ndate = \"2026-08-20\"\n```\n# Title\n", Some("2026-08-20")),
            ("[advisory]\ndate = \"2025-01-02\"\nwithdrawn = \"2026-01-02\"\n", Some("2025-01-02")),
            ("# Title without a head\n", None),
        ];
        for (advisory, expected) in table {
            assert_eq!(date(advisory).as_deref(), expected, "{advisory}");
        }
        assert!(date("date = \"2026-01-02\"") > date("date = \"2025-12-31\""));
    }
}
