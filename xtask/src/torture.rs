//! Runs the campaigns of the crate `torture` against the release build of the server.

use anyhow::Result;

use crate::install;
use crate::shell::{Workspace, run};

/// Builds the server and the campaigns, and runs them with these arguments.
pub fn torture(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    if arguments
        .iter()
        .any(|argument| ["ci", "power", "io", "full", "projection", "fleet"].contains(&argument.as_str()))
    {
        install::install_for_campaigns()?;
    }
    run(workspace.cargo("build").args([
        "--release",
        "--locked",
        "--package",
        "feature-server",
        "--package",
        "torture",
    ]))?;
    run(workspace.command(workspace.target("release/torture")).args(arguments))
}
