//! The real clients of a test's server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::harness::{BINARY, Server};
use crate::support::programs::{self, installed, limited, node_modules, outside, python_environment, repository};

/// A script of `tests/clients/node`, with the server's address and tokens in its environment.
pub fn node(server: &Server, script: &str) -> Command {
    let mut command = programs::node(script);
    command.env("CHROMIUM", "/usr/bin/chromium");
    told_of(server, command)
}

/// A script of `tests/clients/python`, with the server's address and tokens in its environment.
pub fn python(server: &Server, script: &str) -> Command {
    told_of(server, programs::python(script))
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

/// The calls of the README's first screen.
pub fn readme(server: &Server) -> Command {
    pasted(server, &document(server, "README.md", "sh")[0])
}

/// The blocks of code in a document that are of this language, with this server's address and the path of the test's
/// binary.
pub fn document(server: &Server, path: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository(path)).expect("there is such a document");
    let begin = format!("```{language}\n");
    let blocks = text.split(&begin).skip(1).filter_map(|rest| rest.split("```").next());
    let blocks: Vec<_> = blocks
        .map(|block| {
            let block = block.replace("./target/release/feature-server", BINARY);
            block.replace("127.0.0.1:8080", server.address())
        })
        .collect();
    assert!(blocks.iter().any(|block| block.contains(server.address())), "{path} has no call in {language}");
    blocks
}

/// Lines pasted into a shell in the server's working directory, with a user's programs on the path.
pub fn pasted(server: &Server, lines: &str) -> Command {
    let programs = [
        installed(&python_environment().join("bin")),
        installed(&node_modules().join(".bin")),
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

fn told_of(server: &Server, mut command: Command) -> Command {
    command.env("FEATURE_ADDRESS", server.address());
    command.env("FEATURE_TOKEN_SYSTEM", server.token("--role SYSTEM_OWNER"));
    command.env("FEATURE_TOKEN_INSTANCE", server.token("--role IAM_OWNER --instance demo"));
    command.env("FEATURE_TOKEN_VIEWER", server.token("--role IAM_OWNER_VIEWER --instance demo"));
    command
}
