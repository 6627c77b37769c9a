//! The developers' commands: `cargo xtask test`, `cargo xtask ci`, `cargo xtask openapi`, `cargo xtask fuzz`,
//! `cargo xtask torture`, `cargo xtask bench`, `cargo xtask profile`, `cargo xtask help`.

#![forbid(unsafe_code)]

mod bench;
mod ci;
mod deny;
mod edges;
mod files;
mod fuzz;
mod install;
mod modules;
mod profile;
mod prose;
mod shell;
mod torture;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::shell::{Workspace, run};

/// The developers' commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = "Example: cargo xtask test")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every test, after installing whichever test clients are missing.
    ///
    /// Installed are: the npm packages of tests/clients/node, the Python packages of tests/clients/python (into the
    /// target folder), and from Debian chromium, curl and systemd. What is there already is left alone.
    #[command(after_help = "\
Examples:
  cargo xtask test                               everything
  cargo xtask test -p feature-core               the tests of one crate
  cargo xtask test --test e2e browser            the end-to-end tests whose name contains 'browser'
  cargo xtask test --test e2e -- --test-threads 1  what stands after -- goes to the test runner")]
    Test {
        /// Handed on to `cargo test`; without -p that runs the whole workspace.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check what needs no build: format, dependency edges, imports, the shape of files, and prose.
    #[command(after_help = "Example: cargo xtask check")]
    Check,
    /// Check everything that a change must pass, and print how long each step took.
    ///
    /// The steps: those of `check`, installation of what is missing, supply chain, proto
    /// style, clippy, descriptors, all tests, and the short form of the campaigns. The first that fails ends the run.
    #[command(after_help = "Example: cargo xtask ci")]
    Ci,
    /// Print the OpenAPI document that the server serves at /openapi.json.
    #[command(after_help = "Example: cargo xtask openapi > openapi.json")]
    Openapi,
    /// Feed the fuzz targets with random input until one fails or the time is over. Not part of `ci`.
    ///
    /// What fails is kept in tests/fuzz/artifacts, and how to repeat it is printed. cargo-fuzz is installed when it is missing.
    #[command(after_help = "\
Examples:
  cargo xtask fuzz                     every target for a minute
  cargo xtask fuzz --seconds 600 json  one target for ten minutes")]
    Fuzz {
        /// How long each target runs.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
        /// The one to run: a file of tests/fuzz/targets. All, if left out.
        target: Option<String>,
    },
    /// Compare the server, built as it is released, with tonic alone and with etcd, and print a table of the goals.
    ///
    /// It takes six to seven minutes once it is built, and its options are told by `cargo xtask bench --help`. etcd is
    /// installed from Debian's packages when it is missing.
    #[command(disable_help_flag = true, after_help = "Example: cargo xtask bench")]
    Bench {
        /// Handed on to the benchmarks.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Draw a flame graph of the server under load, and print its widest bars. Not part of `ci`.
    ///
    /// The server is built as it is released, with symbols and frame pointers, in a target folder of its own. perf is
    /// installed from Debian's packages and inferno from crates.io when they are missing.
    #[command(after_help = "\
Examples:
  cargo xtask profile                   the inheriting read of a user over gRPC
  cargo xtask profile set --seconds 30  durable writes by 64 clients, more exactly")]
    Profile {
        /// What the server is asked: the read over gRPC or over REST, or the write.
        #[arg(default_value = "get", value_parser = ["get", "rest", "set"])]
        load: String,
        /// How long.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
    },
    /// Torment a real server, built as it is released, and check that nothing acknowledged is lost.
    ///
    /// What there is to do to it, and with which options, `cargo xtask torture --help` tells.
    #[command(disable_help_flag = true, after_help = "Example: cargo xtask torture kill --cycles 10")]
    Torture {
        /// Handed on to the campaigns.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

/// The document is made by the server's own code, which nothing here is built of.
const OPENAPI: [&str; 6] = ["--quiet", "--locked", "--package", "feature-server", "--example", "openapi"];

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // Not by returning it: with RUST_BACKTRACE set that would bury what went wrong under a backtrace.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<()> {
    let workspace = Workspace::load()?;
    match command {
        Command::Test { args } => {
            install::install(&workspace)?;
            ci::test(&workspace, &args)
        }
        Command::Check => ci::check(&workspace),
        Command::Ci => ci::ci(&workspace),
        Command::Fuzz { seconds, target } => fuzz::fuzz(&workspace, seconds, target.as_deref()),
        Command::Bench { args } => bench::bench(&workspace, &args),
        Command::Profile { load, seconds } => profile::profile(&workspace, &load, seconds),
        Command::Torture { args } => torture::torture(&workspace, &args),
        Command::Openapi => run(workspace.cargo("run").args(OPENAPI)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
