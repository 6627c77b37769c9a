//! The programs of the real clients: finds them where they are installed, and runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::harness::{BINARY, Server, limited};

/// A script of `tests/clients/node`, with the server's address and tokens in its environment.
pub fn node(server: &Server, script: &str) -> Command {
    installed(&repository("tests/clients/node/node_modules/.installed"));
    let mut command = outside("node".into());
    command.arg(repository("tests/clients/node").join(script)).env("CHROMIUM", "/usr/bin/chromium");
    told_of(server, command)
}

/// A script of `tests/clients/python`, with the server's address and tokens in its environment.
pub fn python(server: &Server, script: &str) -> Command {
    told_of(server, python_alone(script))
}

/// A script of `tests/clients/python` that needs no server.
pub fn python_alone(script: &str) -> Command {
    let mut command = outside(installed(&python_environment().join("bin/python")));
    command.arg("-B").arg(repository("tests/clients/python").join(script));
    command
}

/// `buf` from the npm packages.
pub fn buf() -> Command {
    outside(installed(&repository("tests/clients/node/node_modules/.bin/buf")))
}

/// The folder of the protos.
pub fn protos() -> PathBuf {
    repository("proto")
}

/// `grpcurl` from the Python packages.
pub fn grpcurl() -> Command {
    outside(installed(&python_environment().join("bin/grpcurl")))
}

/// `hadolint` from the Python packages.
pub fn hadolint() -> Command {
    outside(installed(&python_environment().join("bin/hadolint")))
}

/// The calls of the README's first screen, with this server's address and the path of the test's binary.
pub fn readme(server: &Server) -> Command {
    let readme = std::fs::read_to_string(repository("README.md")).expect("there is a README");
    let block = readme.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of calls");
    let replaced = |text: &str, old, new| {
        assert!(text.contains(old), "the README's calls name {old}:\n{text}");
        text.replace(old, new)
    };
    let block = replaced(block, "./target/release/feature-server", BINARY);
    pasted(server, &replaced(&block, "127.0.0.1:8080", server.address()))
}

/// Lines pasted into a shell in the server's working directory, with a user's programs on the path.
pub fn pasted(server: &Server, lines: &str) -> Command {
    let programs = [
        installed(&python_environment().join("bin")),
        installed(&repository("tests/clients/node/node_modules/.bin")),
        Path::new(BINARY).with_file_name(""),
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&path)));
    let mut command = limited("bash");
    command.args(["-euo", "pipefail", "-c", lines]).current_dir(server.folder().data().join(".."));
    command.env("PATH", path.expect("no folder's name has a colon"));
    command
}

/// Runs a client to its end. Returns its standard output. Fails with all its output if it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("the client starts");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}\n{said}{complained}", output.status);
    said.into_owned()
}

/// Runs a client that must fail. Returns all its output.
pub fn run_refused(command: &mut Command) -> String {
    let output = command.output().expect("the client starts");
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words).into_owned();
    assert!(!output.status.success(), "{command:?} should have been refused\n{words}");
    words
}

/// Runs outside the repository, so that a client cannot read the protos and must use reflection.
fn outside(program: PathBuf) -> Command {
    let mut command = limited(program);
    command.current_dir(std::env::temp_dir());
    command
}

fn told_of(server: &Server, mut command: Command) -> Command {
    command.env("FEATURE_ADDRESS", server.address());
    command.env("FEATURE_TOKEN_SYSTEM", server.token("--role SYSTEM_OWNER"));
    command.env("FEATURE_TOKEN_INSTANCE", server.token("--role IAM_OWNER --instance demo"));
    command.env("FEATURE_TOKEN_VIEWER", server.token("--role IAM_OWNER_VIEWER --instance demo"));
    command
}

fn installed(path: &Path) -> PathBuf {
    assert!(path.exists(), "{} is missing; `cargo xtask test` installs the clients", path.display());
    path.to_owned()
}

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn python_environment() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../test-clients/python")
}
