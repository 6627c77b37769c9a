//! Parses the command line into typed commands. The exit codes of the process are in [`exit`].

pub mod commands;
mod data;
pub mod exit;
mod token;

pub use data::{BackupArgs, ExportArgs, ImportArgs, VerifyArgs};
pub use exit::UsageError;
pub use token::TokenArgs;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::Flags;
use token::TokenCommand;

/// The parsed command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The settings that it overrides.
    pub flags: Flags,
    /// The command to run.
    pub command: Command,
}

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Serve until SIGTERM or SIGINT.
    Serve,
    /// Mint a token and print it.
    Token(TokenArgs),
    /// Create a new key for signing tokens.
    TokenKeygen,
    /// List the keys.
    TokenKeys,
    /// Print the effective configuration.
    Config,
    /// Write the whole data folder as JSON lines.
    Export(ExportArgs),
    /// Create a data folder from JSON lines.
    Import(ImportArgs),
    /// Check a data folder or a backup.
    Verify(VerifyArgs),
    /// Copy the data folder, also while a server runs on it.
    Backup(BackupArgs),
}

impl CommandLine {
    /// Parses the arguments of this process, and prints the help or an error if that is the result.
    ///
    /// # Errors
    /// The exit code, if the process has to end here.
    pub fn parse() -> Result<Self, u8> {
        Self::try_parse_from(std::env::args_os()).map_err(|error| {
            // If this fails, there is nowhere to report it.
            let _ = error.print();
            if error.use_stderr() { exit::USAGE } else { exit::OK }
        })
    }

    /// Parses these arguments, the first of which is the program's name.
    ///
    /// # Errors
    /// What is wrong with the arguments; or the help or the version, if they ask for it.
    pub fn try_parse_from(
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let Arguments { shared, listen, command } = Arguments::try_parse_from(arguments)?;
        // `--listen` before the subcommand means the same as after it.
        let (command, listen) = match command {
            None => (Command::Serve, listen.listen),
            Some(Subcommands::Serve(own)) => (Command::Serve, own.listen.or(listen.listen)),
            Some(Subcommands::Config(own)) => (Command::Config, own.listen.or(listen.listen)),
            Some(other) if listen.listen.is_some() => {
                let text = format!("the argument '--listen' cannot be used with the subcommand '{}'", other.name());
                return Err(conflict(&text));
            }
            Some(Subcommands::Token(token)) => (token.command()?, None),
            Some(Subcommands::Export(arguments)) => (Command::Export(arguments), None),
            Some(Subcommands::Import(arguments)) => (Command::Import(arguments), None),
            Some(Subcommands::Verify(arguments)) => (Command::Verify(arguments), None),
            Some(Subcommands::Backup(arguments)) => (Command::Backup(arguments), None),
        };
        Ok(Self { flags: Flags { config: shared.config, listen, data: shared.data }, command })
    }
}

fn conflict(message: &str) -> clap::Error {
    Arguments::command().error(ErrorKind::ArgumentConflict, message)
}

/// Serves the settings of features over gRPC: for the system, its instances, their organizations and users.
#[derive(Parser)]
#[command(name = "feature-server", version, disable_help_subcommand = true, after_help = SERVE_EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    shared: Shared,
    #[command(flatten)]
    listen: Listen,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Serve until SIGTERM or SIGINT (the default)
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Listen),
    /// Print a token signed with the server's own key; 'token keygen' makes a new key, 'token keys' lists all
    Token(TokenCommand),
    /// Print the effective configuration as TOML, with the origin of each value
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(Listen),
    /// Copy the data folder, while a server runs on it or not, and check the copy
    Backup(BackupArgs),
    /// Check every record of a data folder or a backup, and change nothing
    Verify(VerifyArgs),
    /// Write the whole history of a data folder as lines of JSON
    Export(ExportArgs),
    /// Create a data folder from an export
    Import(ImportArgs),
}

impl Subcommands {
    fn name(&self) -> &'static str {
        match self {
            Self::Serve(_) => "serve",
            Self::Token(_) => "token",
            Self::Config(_) => "config",
            Self::Export(_) => "export",
            Self::Import(_) => "import",
            Self::Verify(_) => "verify",
            Self::Backup(_) => "backup",
        }
    }
}

/// Flags that every command accepts, before and after its name.
#[derive(Args)]
struct Shared {
    /// The data folder; made when it does not exist [default: ./feature-data]
    #[arg(long, global = true, value_name = "DIR", display_order = 100)]
    data: Option<String>,
    /// The configuration file [default: feature-server.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE", display_order = 101)]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct Listen {
    /// The address to listen on; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  feature-server
  feature-server --listen 127.0.0.1:0 --data /var/lib/feature-server
  feature-server serve --config /etc/feature-server.toml
  FEATURE_SERVER__LOG__FILTER=debug feature-server

Every key of the configuration is explained in feature-server.toml.
Exit codes: 0 stopped as asked, 64 bad usage or configuration, 1 anything else.";

const CONFIG_EXAMPLES: &str = "\
Examples:
  feature-server config
  feature-server config --config /etc/feature-server.toml
  FEATURE_SERVER__LIMITS__CALLS=100 feature-server config --listen 127.0.0.1:0";

#[cfg(test)]
mod tests;
