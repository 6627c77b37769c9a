//! Builds and runs the benchmarks of the crate `bench` against the release build of the server.

use anyhow::Result;

use crate::install;
use crate::shell::{Workspace, run};

/// The profile of the baseline that is built without our settings for a release.
const PLAIN: [&str; 7] = ["--profile", "plain", "--locked", "--package", "bench", "--bin", "bare"];

/// Builds the contestants and compares them.
pub fn bench(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    install::install_for_benchmarks()?;
    run(workspace.cargo("build").args(["--release", "--locked", "--package", "feature-server", "--package", "bench"]))?;
    run(workspace.cargo("build").args(PLAIN))?;
    run(workspace.command(workspace.target("release/bench")).args(arguments))
}
