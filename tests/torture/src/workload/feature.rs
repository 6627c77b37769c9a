//! What can be set on which level, and the values. A second, simpler view of the feature service than the server's own,
//! so that a mistake in one does not excuse the other.

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

/// What has settings of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub level: Level,
    /// The instance; none for the system.
    pub instance: String,
    /// The id of the organization or the user; none on the levels above.
    pub id: String,
}

/// The value of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Flag(bool),
    Paths(Vec<i32>),
    Login { required: bool, base_uri: Option<String> },
}

/// What a scope has set.
pub type Layer = BTreeMap<&'static str, Value>;

/// A time in seconds and nanoseconds.
pub type Time = (i64, i32);

/// What answers tell of a scope beside its features.
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

    /// The names of its flags.
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
