//! Finds the workspace and runs commands in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

/// The workspace as cargo sees it.
pub struct Workspace {
    /// The output of `cargo metadata` on the members, without indirect dependencies.
    pub metadata: Metadata,
}

impl Workspace {
    /// Asks cargo, which finds the workspace from any folder in it.
    pub fn load() -> Result<Self> {
        let metadata = MetadataCommand::new().no_deps().exec().context("asking cargo for the workspace")?;
        Ok(Self { metadata })
    }

    /// A path in the repository.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.metadata.workspace_root.join(relative).into()
    }

    /// A path in cargo's target folder.
    pub fn target(&self, relative: &str) -> PathBuf {
        self.metadata.target_directory.join(relative).into()
    }

    /// A cargo command at the root of the repository, with the cargo that runs this program.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.arg(subcommand);
        command
    }

    /// Any command at the root of the repository.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path(""));
        command
    }

    /// A program from the npm packages of the tests.
    pub fn node_program(&self, name: &str) -> Command {
        self.command(self.path("tests/clients/node/node_modules/.bin").join(name))
    }
}

/// Runs a command that prints to the terminal. Fails if the command fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting `{}`", spelled(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", spelled(command));
    }
    Ok(())
}

/// Runs a command and prints its output only if it fails.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("starting `{}`", spelled(command)))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("`{}` failed ({}):\n{}", spelled(command), output.status, String::from_utf8_lossy(&said));
    }
    Ok(())
}

/// Whether a program is on the search path.
pub fn on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder: PathBuf| Path::is_file(&folder.join(program)))
}

fn spelled(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
