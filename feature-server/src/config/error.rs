//! What is wrong with a configuration: each error is one line that names the key, the value and what is allowed.

/// Why a configuration cannot be used. The process ends with the exit code for bad usage.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file is missing or cannot be read.
    #[error("{file}: the configuration file cannot be read: {problem}")]
    Unreadable {
        /// The file's path.
        file: String,
        /// What the system says.
        problem: String,
    },
    /// The file, or the value of an environment variable, is no TOML.
    #[error("{origin}: not valid TOML: {problem}")]
    Syntax {
        /// The file or the variable.
        origin: String,
        /// What the parser says.
        problem: String,
    },
    /// An environment variable is not valid Unicode.
    #[error("{variable}: the environment variable must be valid Unicode")]
    NotUnicode {
        /// The variable's name.
        variable: String,
    },
    /// The file has a key that means nothing.
    #[error("{key} ({origin}): unknown key; the nearest known one is {nearest}")]
    UnknownKey {
        /// The whole key, with dots between its parts.
        key: String,
        /// The file or the variable.
        origin: String,
        /// The known key that looks most like it.
        nearest: String,
    },
    /// The environment has a variable with this program's prefix that means nothing.
    #[error("{variable}: unknown environment variable; the nearest known one is {nearest}")]
    UnknownVariable {
        /// The variable's name.
        variable: String,
        /// The known variable that looks most like it.
        nearest: String,
    },
    /// A name that the operator chose, such as that of a host, is malformed.
    #[error("{key} ({origin}): the name must be {allowed}")]
    BadName {
        /// The whole key, which ends with the name.
        key: String,
        /// The file or the variable.
        origin: String,
        /// What is allowed.
        allowed: String,
    },
    /// A key that must be given is not.
    #[error("{key} ({origin}): missing; it must be {allowed}")]
    Missing {
        /// The whole key.
        key: String,
        /// The file or the variable that should have it.
        origin: String,
        /// What is allowed.
        allowed: String,
    },
    /// A value is not allowed, by itself or together with another one.
    #[error("{key} = {value} ({origin}): must be {allowed}")]
    BadValue {
        /// The whole key.
        key: String,
        /// The value as TOML.
        value: String,
        /// The file, the variable or the flag.
        origin: String,
        /// What is allowed.
        allowed: String,
    },
    /// The settings' types and the table of keys disagree. A test keeps them together.
    #[error("the settings cannot be built: {0}")]
    Types(#[from] ::config::ConfigError),
}
