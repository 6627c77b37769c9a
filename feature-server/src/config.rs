//! Configuration: the settings, where each of them comes from, and what is said when one is wrong.
//!
//! A setting comes from its default, the configuration file, the environment or the command line; the later counts.
//! [`load`] is the one place that looks at the file and the environment. Nothing here acts on a setting.
//!
//! - `settings` are the values with their defaults.
//! - `keys` is the table of all keys and of what each takes; `forms` are the texts that some of them take.
//! - `sources` reads, `tree` checks one source against the table, `rules` are those that span several keys.
//! - `print` writes the effective configuration.

mod error;
mod forms;
mod keys;
pub(crate) mod log_filter;
mod print;
mod rules;
pub mod settings;
mod sources;
#[cfg(test)]
mod tests;
pub(crate) mod text_file;
mod tree;

pub use error::ConfigError;
pub use settings::Settings;
pub use sources::{Flags, load};

use std::collections::BTreeMap;

/// The settings, checked, and where each of them comes from.
#[derive(Debug, Clone)]
pub struct Configuration {
    settings: Settings,
    origins: Origins,
}

impl Configuration {
    /// The settings: every value by itself and all of them together are allowed.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings as TOML that can be used as a configuration file; after each value stands where it comes from.
    pub fn to_toml(&self) -> String {
        print::to_toml(self)
    }
}

/// Where the values of keys come from.
#[derive(Debug, Clone, Default)]
struct Origins(BTreeMap<String, String>);

impl Origins {
    fn record(&mut self, key: &str, origin: &str) {
        self.0.insert(key.to_owned(), origin.to_owned());
    }

    fn of(&self, key: &str) -> &str {
        self.0.get(key).map_or("default", String::as_str)
    }
}
