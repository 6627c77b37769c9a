//! The exit codes of the process, and which errors have which.

use std::error::Error;

use crate::cli::commands::DataError;
use crate::config::ConfigError;

/// Success.
pub const OK: u8 = 0;
/// An error that is not the fault of the arguments or the configuration.
pub const FAILURE: u8 = 1;
/// Stored data, or an export, is damaged: sysexits' `EX_DATAERR`.
pub const DAMAGE: u8 = 65;
/// Bad arguments or a bad configuration, so a retry without a change is useless: sysexits' `EX_USAGE`.
pub const USAGE: u8 = 64;

/// The arguments are well-formed, but their values are not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(
    /// One line that names the argument, its value and what is allowed.
    pub String,
);

/// The exit code for an error: [`USAGE`] if it, or one of its causes, is a [`ConfigError`] or a [`UsageError`],
/// [`DAMAGE`] if it is a [`DataError`] about damage, else [`FAILURE`].
pub fn code(error: &(dyn Error + 'static)) -> u8 {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<ConfigError>() || error.is::<UsageError>() {
            return USAGE;
        }
        if error.downcast_ref().is_some_and(DataError::is_damage) {
            return DAMAGE;
        }
        cause = error.source();
    }
    FAILURE
}

#[cfg(test)]
mod tests {
    use feature_store::OpenError;

    use super::*;
    use crate::config::Flags;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Box<dyn Error + Send + Sync>);

    #[test]
    fn bad_usage_exits_with_64_and_damage_with_65() {
        let usage = || UsageError("no".to_owned());
        let flags = Flags { config: Some("no/such/file.toml".into()), ..Flags::default() };
        let config = crate::config::load(&flags).expect_err("there is no such file");
        let io = || std::io::Error::other("disk");
        let table: [(Box<dyn Error>, u8); 7] = [
            // (error, code)
            (Box::new(usage()), 64),
            (Box::new(config), 64),
            (Box::new(Outer(Box::new(usage()))), 64),
            (Box::new(DataError::ProjectionInDoubt(String::new())), 65),
            (Box::new(DataError::Store(OpenError::NoStore { folder: "x".into() })), 1),
            (Box::new(io()), 1),
            (Box::new(Outer(Box::new(io()))), 1),
        ];
        for (error, expected) in table {
            assert_eq!(code(error.as_ref()), expected, "{error:?}");
        }
    }
}
