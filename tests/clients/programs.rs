//! The programs of the real clients: finds them where `cargo xtask test` installs them, and gives each a timeout. Part
//! of the end-to-end tests and of the tests of the Connect protocol.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A command with a timeout, which also ends all processes that the command has started.
pub fn limited(program: impl Into<PathBuf>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120"]).arg(program.into());
    command
}

/// A script of `tests/clients/node`.
pub fn node(script: &str) -> Command {
    installed(&node_modules().join(".installed"));
    let mut command = outside("node".into());
    command.arg(repository("tests/clients/node").join(script));
    command
}

/// A script of `tests/clients/python`.
pub fn python(script: &str) -> Command {
    let mut command = outside(installed(&python_environment().join("bin/python")));
    command.arg("-B").arg(repository("tests/clients/python").join(script));
    command
}

/// `buf` from the npm packages.
pub fn buf() -> Command {
    outside(installed(&node_modules().join(".bin/buf")))
}

/// Runs outside the repository, so that a client cannot read the protos and must use reflection.
pub fn outside(program: PathBuf) -> Command {
    let mut command = limited(program);
    command.current_dir(std::env::temp_dir());
    command
}

/// A path that must exist.
pub fn installed(path: &Path) -> PathBuf {
    assert!(path.exists(), "{} is missing; `cargo xtask test` installs the clients", path.display());
    path.to_owned()
}

/// The npm packages.
pub fn node_modules() -> PathBuf {
    repository("tests/clients/node/node_modules")
}

/// The Python packages.
pub fn python_environment() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../test-clients/python")
}

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
