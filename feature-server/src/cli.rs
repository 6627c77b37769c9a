//! Parses the command line into typed commands. The exit codes of the process are in [`exit`].

use std::collections::HashSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use feature_core::{InstanceId, OrganizationId, UserId};

use crate::config::Flags;

pub mod commands;
mod examples;
pub mod exit;
pub mod fleet_commands;
pub mod probe;

/// The lifetime of a token for which the command line gives none.
const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);

/// The parsed command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The settings that it overrides.
    pub flags: Flags,
    /// The command to run.
    pub command: Command,
}

/// Serves the settings of features over gRPC: for the system, its instances, their organizations and users.
#[derive(Parser)]
#[command(name = "feature-server", version, disable_help_subcommand = true, after_help = examples::SERVE)]
struct Arguments {
    /// The data folder; made when it does not exist [default: ./feature-data]
    #[arg(long, global = true, value_name = "DIR", display_order = 100)]
    data: Option<String>,
    /// The configuration file [default: feature-server.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE", display_order = 101)]
    config: Option<PathBuf>,
    /// The URL of the PostgreSQL that a fleet of servers shares [default: the store is in the data folder]
    #[arg(long, global = true, value_name = "URL", display_order = 102)]
    store: Option<String>,
    #[command(flatten)]
    listen: Listen,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The address of a server; parsing moves it to the [`Flags`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Listen {
    /// The address to listen on; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM or SIGINT (the default)
    #[command(after_help = examples::SERVE)]
    Serve(Listen),
    /// Print a token signed with the server's own key; 'token keygen' makes a new key, 'token keys' lists all
    #[command(after_help = examples::TOKEN)]
    Token(TokenArgs),
    /// Print the effective configuration as TOML, with the origin of each value
    #[command(after_help = examples::CONFIG)]
    Config(Listen),
    /// Ask a running server whether it can serve calls
    #[command(after_help = examples::PROBE)]
    Probe {
        /// The address to ask, over plain HTTP [default: metrics.listen; server.listen if that is off]
        #[arg(long, value_name = "ADDRESS")]
        address: Option<SocketAddr>,
    },
    /// Copy the data folder, while a server runs on it or not, and check the copy
    #[command(after_help = examples::BACKUP)]
    Backup {
        /// The folder to make; it must be missing or empty
        #[arg(value_name = "TARGET")]
        target: PathBuf,
        /// Leave out the signing keys, with which tokens can be minted
        #[arg(long)]
        without_keys: bool,
    },
    /// Check every record of a data folder or a backup, and change nothing
    #[command(after_help = examples::VERIFY)]
    Verify {
        /// A data folder or a backup [default: the data folder of the configuration]
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Write the whole history of a data folder, or with --store of a fleet, as lines of JSON
    #[command(after_help = examples::EXPORT)]
    Export {
        /// The file to write; it is replaced when the export is whole [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Create a data folder, or with --store the store of a fleet, from an export
    #[command(after_help = examples::IMPORT)]
    Import {
        /// The export to read
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Revoke a token, or all older ones of a user, on all servers of a fleet
    #[command(after_help = examples::REVOKE)]
    Revoke {
        /// The entry, as a line of a revocation file, such as 'jti ID' or 'subject ID before UNIX_SECONDS'
        #[arg(value_name = "ENTRY")]
        entry: String,
    },
}

/// The content of the token to mint. The configuration decides which roles exist and how long a token may live.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct TokenArgs {
    /// The roles that the token's holder has; none makes a token that is only authenticated
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', value_parser = role)]
    pub roles: Vec<String>,
    /// The instance that the token is bound to
    #[arg(long, value_name = "ID", value_parser = InstanceId::new)]
    pub instance: Option<InstanceId>,
    /// The organization that the roles are granted in
    #[arg(long, value_name = "ID", value_parser = OrganizationId::new)]
    pub organization: Option<OrganizationId>,
    /// The user that the token speaks for
    #[arg(long, value_name = "ID", value_parser = UserId::new)]
    pub user: Option<UserId>,
    /// How long the token is valid, such as 15m or 1h 30m [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    ttl: Option<Duration>,
    /// Print the token's id, by which it can be revoked, and its expiry to standard error
    #[arg(long)]
    pub verbose: bool,
    /// What to do with the keys instead.
    #[command(subcommand)]
    pub keys: Option<KeysCommand>,
}

/// A command on the keys in the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum KeysCommand {
    /// Create a new key in the data folder, which signs tokens from now on; tokens of older keys stay valid
    #[command(after_help = examples::KEYGEN)]
    Keygen,
    /// List the keys in the data folder: their ids, which one signs, their files
    #[command(after_help = examples::KEYS)]
    Keys,
}

impl CommandLine {
    /// Parses the arguments of this process, and prints the help or an error if that is the result. The error is the
    /// exit code, if the process has to end here.
    pub fn parse() -> Result<Self, u8> {
        Self::try_parse_from(std::env::args_os()).map_err(|error| {
            // If this fails, there is nowhere to report it.
            let _ = error.print();
            if error.use_stderr() { exit::USAGE } else { exit::OK }
        })
    }

    /// The definition of the command line, from which the manual and the completions are made.
    pub fn definition() -> clap::Command {
        Arguments::command()
    }

    /// Parses these arguments, the first of which is the program's name. The error is what is wrong with them; or the
    /// help or the version, if they ask for it.
    pub fn try_parse_from(
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let matches = Arguments::command().try_get_matches_from(arguments)?;
        let Arguments { data, config, store, listen: Listen { mut listen }, command } =
            Arguments::from_arg_matches(&matches)?;
        let mut command = command.unwrap_or(Command::Serve(Listen::default()));
        match (&mut command, matches.subcommand_name()) {
            // `--listen` before the subcommand means the same as after it.
            (Command::Serve(own) | Command::Config(own), _) => listen = own.listen.take().or(listen),
            (_, Some(name)) if listen.is_some() => {
                return Err(conflict(&format!("the argument '--listen' cannot be used with the subcommand '{name}'")));
            }
            (Command::Token(token), _) => token.check()?,
            _ => {}
        }
        Ok(Self { flags: Flags { config, listen, data, store }, command })
    }
}

impl TokenArgs {
    /// How long the token is valid, in whole seconds, at least one.
    pub fn ttl(&self) -> Duration {
        self.ttl.unwrap_or(DEFAULT_TTL)
    }

    /// Refuses arguments beside a subcommand, and leaves each role once and in the order given.
    fn check(&mut self) -> Result<(), clap::Error> {
        if self.keys.is_some() && *self != (Self { keys: self.keys, ..Self::default() }) {
            return Err(conflict("the subcommands of 'token' take no argument beside '--data' and '--config'"));
        }
        let mut seen = HashSet::new();
        self.roles.retain(|role| seen.insert(role.clone()));
        Ok(())
    }
}

fn conflict(message: &str) -> clap::Error {
    Arguments::command().error(ErrorKind::ArgumentConflict, message)
}

fn role(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("must not be empty"),
        role => Ok(role.to_owned()),
    }
}

fn ttl(text: &str) -> Result<Duration, &'static str> {
    const ALLOWED: &str = "must be a time of at least one second, in whole seconds, such as 90s, 15m or 1h";
    let ttl = humantime::parse_duration(text).map_err(|_| ALLOWED)?;
    if ttl.as_secs() == 0 || ttl.subsec_nanos() != 0 { Err(ALLOWED) } else { Ok(ttl) }
}

#[cfg(test)]
mod tests;
