//! Configuration: the settings, where each of them comes from, and what is said when one is wrong.
//!
//! A setting comes from its default, the configuration file, the environment or the command line; the later counts.
//! Nothing here acts on a setting.
//!
//! - `settings` are the settings with what each may be; `forms` are kinds of values, `headers` are headers with secret
//!   values. The defaults stand in `feature-server.toml`, which `schema` reads.
//! - `sources` reads, `check` checks one source, `rules` are those that span several keys.
//! - `print` writes the effective configuration.

mod check;
pub(crate) mod forms;
pub mod headers;
mod print;
mod rules;
mod schema;
pub mod settings;
mod sources;
#[cfg(test)]
mod tests;

pub use settings::Settings;
pub use sources::{Flags, load};

use std::collections::BTreeMap;

use toml::{Table, Value};

/// Why a configuration cannot be used, in one line. The process ends with the exit code for bad usage.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct ConfigError {
    /// The file, the variable or the key.
    at: String,
    problem: String,
}

impl ConfigError {
    fn new(at: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { at: at.into(), problem: problem.into() }
    }

    /// A value is not allowed, by itself or together with another one.
    fn value(key: &str, value: &str, origin: &str, allowed: &str) -> Self {
        Self::new(format!("{key} = {value} ({origin})"), format!("must be {allowed}"))
    }
}

/// The settings, checked, and where each of them comes from.
#[derive(Debug, Clone)]
pub struct Configuration {
    settings: Settings,
    /// The settings as they were given.
    values: Table,
    origins: Origins,
    ignored_variables: Vec<&'static str>,
}

impl Configuration {
    /// The variables of OpenTelemetry with values that the server does not take.
    pub fn ignored_variables(&self) -> &[&'static str] {
        &self.ignored_variables
    }

    /// The settings: every value by itself and all of them together are allowed.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// Where the values of keys come from.
#[derive(Debug, Clone, Default)]
struct Origins(BTreeMap<String, String>);

impl Origins {
    /// Records that all values of a key come from there.
    fn record(&mut self, key: &str, value: &Value, origin: &str) {
        match value {
            Value::Table(table) => {
                table
                    .iter()
                    .for_each(|(name, value)| self.record(&schema::join(key, &print::key(name)), value, origin));
            }
            Value::Array(entries) if entries.iter().all(Value::is_table) => {
                entries.iter().enumerate().for_each(|(index, it)| self.record(&format!("{key}[{index}]"), it, origin));
            }
            _ => {}
        }
        self.0.insert(key.to_owned(), origin.to_owned());
    }

    fn of(&self, key: &str) -> &str {
        self.0.get(key).map_or("default", String::as_str)
    }
}
