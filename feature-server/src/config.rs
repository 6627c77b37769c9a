//! Configuration: the settings, and where they come from.

pub mod settings;
