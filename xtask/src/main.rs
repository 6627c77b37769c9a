//! The developers' commands: `cargo xtask test`, `cargo xtask ci`, `cargo xtask openapi`, `cargo xtask fuzz`,
//! `cargo xtask torture`, `cargo xtask bench`, `cargo xtask profile`, `cargo xtask dist`, `cargo xtask help`.

#![forbid(unsafe_code)]

mod bench;
mod ci;
mod deny;
mod dist;
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
    /// Run every test, after installing missing test clients.
    ///
    /// Installs the npm packages of tests/clients/node, the Python packages of tests/clients/python (into the target
    /// folder), and from Debian bubblewrap, chromium, curl, postgresql, prometheus and systemd. Skips programs that are
    /// installed already. Without arguments, the end-to-end tests of what a store does run once more on a PostgreSQL.
    #[command(after_help = "\
Examples:
  cargo xtask test                               everything
  cargo xtask test -p feature-core               the tests of one crate
  cargo xtask test --test e2e browser            the end-to-end tests whose name contains 'browser'
  E2E_STORE=postgres cargo xtask test --test e2e wire  those with 'wire', on a PostgreSQL
  cargo xtask test --test e2e -- --test-threads 1  what stands after -- goes to the test runner")]
    Test {
        /// Arguments for `cargo test`; without -p, it runs the whole workspace.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check what needs no build: format, dependency edges, imports, the shape of files, and prose.
    #[command(after_help = "Example: cargo xtask check")]
    Check,
    /// Check everything that a change must pass, and print how long each step took.
    ///
    /// The steps: those of `check`, installation of what is missing, supply chain, proto style, clippy, descriptors,
    /// all tests, those on a PostgreSQL, the short form of the campaigns, and the packages. The first that fails ends
    /// the run.
    #[command(after_help = "Example: cargo xtask ci")]
    Ci,
    /// Print the OpenAPI document that the server serves at /openapi.json.
    #[command(after_help = "Example: cargo xtask openapi > openapi.json")]
    Openapi,
    /// Feed the fuzz targets with random input until one fails or the time is over. Not part of `ci`.
    ///
    /// Keeps failing inputs in tests/fuzz/artifacts and prints how to repeat them. Installs cargo-fuzz if it is
    /// missing.
    #[command(after_help = "\
Examples:
  cargo xtask fuzz                     every target for a minute
  cargo xtask fuzz --seconds 600 json  one target for ten minutes")]
    Fuzz {
        /// The duration of each target, in seconds.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
        /// The target to run: the name of a file in tests/fuzz/targets. Without it, all targets.
        target: Option<String>,
    },
    /// Compare the server as it is shipped with tonic alone and with etcd, and print a table of the goals.
    ///
    /// Takes six to seven minutes after the build. `cargo xtask bench --help` lists the options. Installs etcd from
    /// Debian's packages if it is missing.
    #[command(disable_help_flag = true, after_help = "Example: cargo xtask bench")]
    Bench {
        /// Arguments for the benchmarks.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Draw a flame graph of the server under load, and print its widest bars. Not part of `ci`.
    ///
    /// Builds the server as for a release, with symbols and frame pointers, in a separate target folder. Installs perf
    /// from Debian's packages and inferno from crates.io if they are missing.
    #[command(after_help = "\
Examples:
  cargo xtask profile                   the inheriting read of a user over gRPC
  cargo xtask profile set --seconds 30  durable writes by 64 clients, more exactly")]
    Profile {
        /// The load on the server: the read over gRPC or REST, or the write.
        #[arg(default_value = "get", value_parser = ["get", "rest", "set"])]
        load: String,
        /// The duration, in seconds.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
    },
    /// Torment the release build of the server, and check that no acknowledged write is lost.
    ///
    /// `cargo xtask torture --help` lists the campaigns and their options.
    #[command(disable_help_flag = true, after_help = "Example: cargo xtask torture kill --cycles 10")]
    Torture {
        /// Arguments for the campaigns.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Make what a release consists of, in target/dist: a tarball, a Debian package, a bill of materials, checksums.
    ///
    /// Installs cargo-deb and cargo-cyclonedx from crates.io if they are missing, which takes minutes.
    #[command(after_help = "\
Examples:
  cargo xtask dist                     builds the binary that is shipped first
  cargo xtask dist --no-build --check  takes target/release/feature-server as it is, and tests the package")]
    Dist {
        /// Take the binary of `cargo build --release` that is there, which is quicker to build and not what is shipped.
        #[arg(long)]
        no_build: bool,
        /// Also install, upgrade and purge the package, in a throwaway layer over this machine. Needs root.
        #[arg(long)]
        check: bool,
    },
}

/// An example of feature-server prints the document: it needs the server's code, which xtask does not depend on.
const OPENAPI: [&str; 6] = ["--quiet", "--locked", "--package", "feature-server", "--example", "openapi"];

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // Not returned from main: with RUST_BACKTRACE set, a backtrace would hide the message.
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
            ci::test(&workspace, &args)?;
            if args.is_empty() { ci::test_on_postgres(&workspace) } else { Ok(()) }
        }
        Command::Check => ci::check(&workspace),
        Command::Ci => ci::ci(&workspace),
        Command::Fuzz { seconds, target } => fuzz::fuzz(&workspace, seconds, target.as_deref()),
        Command::Bench { args } => bench::bench(&workspace, &args),
        Command::Profile { load, seconds } => profile::profile(&workspace, &load, seconds),
        Command::Torture { args } => torture::torture(&workspace, &args),
        Command::Dist { no_build, check } => {
            let profile = if no_build { dist::RELEASE } else { dist::PRODUCTION };
            dist::dist(&workspace, profile)?;
            if check { dist::check(&workspace, profile) } else { Ok(()) }
        }
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
