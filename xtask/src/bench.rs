//! Builds and runs the benchmarks of the crate `bench` against the server as it is shipped.

use anyhow::Result;

use crate::install;
use crate::shell::{Workspace, run};

/// The server, the load and the baselines, as they are shipped.
const CONTESTANTS: [&str; 7] =
    ["--profile", "production", "--locked", "--package", "feature-server", "--package", "bench"];

/// The baseline that is built in the compiler's own profile for a release.
const DEFAULT_BASELINE: [&str; 6] = ["--release", "--locked", "--package", "bench", "--bin", "bare"];

/// Builds the contestants and compares them.
pub fn bench(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    install::install_for_benchmarks()?;
    run(workspace.cargo("build").args(CONTESTANTS))?;
    run(workspace.cargo("build").args(DEFAULT_BASELINE))?;
    run(workspace.command(workspace.target("production/bench")).args(arguments))
}
