//! The features of each level and their values. This simple model is independent of the server's code, so that a
//! mistake in one shows in the comparison with the other.

use std::collections::BTreeMap;

/// The flags that every level has.
const FLAGS: [&str; 11] = [
    "login_default_org",
    "oidc_trigger_introspection_projections",
    "oidc_legacy_introspection",
    "user_schema",
    "oidc_token_exchange",
    "actions",
    "oidc_single_v1_session_termination",
    "disable_user_token_event",
    "enable_back_channel_logout",
    "permission_check_v2",
    "enable_relational_tables",
];

/// The flags that the system does not have.
const FLAGS_BELOW_SYSTEM: [&str; 3] = ["web_key", "debug_oidc_parent_error", "console_use_v2_user_api"];

/// The feature that is a list.
pub const PATHS: &str = "improved_performance";

/// The feature that has parts.
pub const LOGIN: &str = "login_v2";

/// The parts of [`LOGIN`], as masks name them.
pub const LOGIN_PARTS: [&str; 2] = ["login_v2.required", "login_v2.base_uri"];

/// A level of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    System,
    Instance,
    Organization,
    User,
}

/// The address of a layer of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub level: Level,
    /// The instance; empty for the system.
    pub instance: String,
    /// The id of the organization or user; empty on the levels above.
    pub id: String,
}

/// The value of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Flag(bool),
    Paths(Vec<i32>),
    Login { required: bool, base_uri: Option<String> },
}

/// The settings of a scope.
pub type Layer = BTreeMap<&'static str, Value>;

/// A time in seconds and nanoseconds.
pub type Time = (i64, i32);

/// What an answer says about a scope beside its features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    pub sequence: u64,
    pub owner: String,
    pub changed: Option<Time>,
    pub created: Option<Time>,
}

impl Level {
    /// The names of all features of the level.
    pub fn features(self) -> impl Iterator<Item = &'static str> {
        self.flags().chain([PATHS, LOGIN])
    }

    /// The names of the level's flags.
    pub fn flags(self) -> impl Iterator<Item = &'static str> {
        let below: &[&str] = if self == Self::System { &[] } else { &FLAGS_BELOW_SYSTEM };
        FLAGS.iter().chain(below).copied()
    }
}

impl Scope {
    /// The system.
    pub fn system() -> Self {
        Self { level: Level::System, instance: String::new(), id: String::new() }
    }

    /// An instance.
    pub fn instance(instance: &str) -> Self {
        Self { level: Level::Instance, instance: instance.to_owned(), id: String::new() }
    }

    /// An organization of an instance.
    pub fn organization(instance: &str, id: impl Into<String>) -> Self {
        Self { level: Level::Organization, instance: instance.to_owned(), id: id.into() }
    }

    /// A user of an instance.
    pub fn user(instance: &str, id: impl Into<String>) -> Self {
        Self { level: Level::User, instance: instance.to_owned(), id: id.into() }
    }
}
