//! The arguments of `feature-server token`. The configuration decides which roles exist and how long a token may live.

use std::time::Duration;

use clap::{Args, Subcommand};
use feature_core::{IdError, InstanceId, OrganizationId, UserId};

use super::{Command, conflict};

const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);

/// The content of the token to mint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenArgs {
    /// The roles, each once and in the order given. A token without roles only authenticates its holder.
    pub roles: Vec<String>,
    /// The instance that the token is bound to.
    pub instance: Option<InstanceId>,
    /// The organization that the roles are granted in.
    pub organization: Option<OrganizationId>,
    /// The user that the token represents.
    pub user: Option<UserId>,
    /// How long the token is valid, in whole seconds, at least one.
    pub ttl: Duration,
    /// Whether to print the token's id and expiry.
    pub verbose: bool,
}

#[derive(Args)]
#[command(after_help = TOKEN_EXAMPLES)]
pub(super) struct TokenCommand {
    /// The roles that the token's holder has; none makes a token that is only authenticated
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', value_parser = role)]
    roles: Vec<String>,
    /// The instance that the token is bound to
    #[arg(long, value_name = "ID", value_parser = instance)]
    instance: Option<InstanceId>,
    /// The organization that the roles are granted in
    #[arg(long, value_name = "ID", value_parser = organization)]
    organization: Option<OrganizationId>,
    /// The user that the token speaks for
    #[arg(long, value_name = "ID", value_parser = user)]
    user: Option<UserId>,
    /// How long the token is valid, such as 15m or 1h 30m [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    ttl: Option<Duration>,
    /// Print the token's id, by which it can be revoked, and its expiry to standard error
    #[arg(long)]
    verbose: bool,
    #[command(subcommand)]
    keys: Option<KeysCommand>,
}

#[derive(Clone, Copy, Subcommand)]
enum KeysCommand {
    /// Create a new key in the data folder, which signs tokens from now on; tokens of older keys stay valid
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen,
    /// List the keys in the data folder: their ids, which one signs, their files
    #[command(after_help = KEYS_EXAMPLES)]
    Keys,
}

impl TokenCommand {
    pub(super) fn command(self) -> Result<Command, clap::Error> {
        let Self { roles, instance, organization, user, ttl, verbose, keys } = self;
        let nothing_else = roles.is_empty()
            && instance.is_none()
            && organization.is_none()
            && user.is_none()
            && ttl.is_none()
            && !verbose;
        match keys {
            Some(_) if !nothing_else => {
                Err(conflict("the subcommands of 'token' take no argument beside '--data' and '--config'"))
            }
            Some(KeysCommand::Keygen) => Ok(Command::TokenKeygen),
            Some(KeysCommand::Keys) => Ok(Command::TokenKeys),
            None => {
                let mut once = Vec::new();
                for role in roles {
                    if !once.contains(&role) {
                        once.push(role);
                    }
                }
                let ttl = ttl.unwrap_or(DEFAULT_TTL);
                Ok(Command::Token(TokenArgs { roles: once, instance, organization, user, ttl, verbose }))
            }
        }
    }
}

fn role(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("must not be empty"),
        role => Ok(role.to_owned()),
    }
}

fn instance(text: &str) -> Result<InstanceId, IdError> {
    InstanceId::new(text)
}

fn organization(text: &str) -> Result<OrganizationId, IdError> {
    OrganizationId::new(text)
}

fn user(text: &str) -> Result<UserId, IdError> {
    UserId::new(text)
}

fn ttl(text: &str) -> Result<Duration, &'static str> {
    const ALLOWED: &str = "must be a time of at least one second, in whole seconds, such as 90s, 15m or 1h";
    let ttl = humantime::parse_duration(text).map_err(|_| ALLOWED)?;
    if ttl.as_secs() == 0 || ttl.subsec_nanos() != 0 { Err(ALLOWED) } else { Ok(ttl) }
}

const TOKEN_EXAMPLES: &str = "\
Examples:
  feature-server token --role IAM_OWNER --instance demo
  feature-server token --role ORG_OWNER,ORG_USER_MANAGER --instance demo --organization acme --ttl 15m
  feature-server token --instance demo --user alice
  TOKEN=$(feature-server token --role SYSTEM_OWNER)

The token alone is printed. It is signed with the newest key in the data folder.";

const KEYGEN_EXAMPLES: &str = "\
Examples:
  feature-server token keygen
  feature-server token keygen --data /var/lib/feature-server";

const KEYS_EXAMPLES: &str = "\
Examples:
  feature-server token keys
  feature-server token keys --data /var/lib/feature-server

To retire a key, remove its file: within 10 seconds its tokens are refused.";
