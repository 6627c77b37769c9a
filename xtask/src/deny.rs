//! The rules of `deny.toml` on what the server is built of: licences, doubled crates, sources, security advisories.

use std::path::PathBuf;

use anyhow::Result;

use crate::shell::{Workspace, run};

/// Checks the rules; those on advisories only where a database of them was fetched before, since that needs GitHub.
pub fn deny(workspace: &Workspace) -> Result<()> {
    // cargo-deny looks at every crate of the lock file and gets none itself. A build has only those of its own platform.
    run(workspace.cargo("fetch").arg("--locked"))?;
    let check = |what: &[&str]| {
        let mut command = workspace.command(workspace.target("test-clients/python/bin/cargo-deny"));
        run(command.args(["--locked", "--offline", "check", "--hide-inclusion-graph"]).args(what))
    };
    check(&["licenses", "bans", "sources"])?;
    if has_advisories() {
        return check(&["advisories"]);
    }
    println!("advisories not checked: there is no database of them here; `cargo deny fetch db` gets one");
    Ok(())
}

/// Whether there is something where cargo-deny keeps its databases.
fn has_advisories() -> bool {
    let home = || std::env::home_dir().map(|home| home.join(".cargo"));
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home);
    cargo_home
        .is_some_and(|home| home.join("advisory-dbs").read_dir().is_ok_and(|mut entries| entries.next().is_some()))
}
