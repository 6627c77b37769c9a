//! The exit codes of the process, and which errors have which.

use std::error::Error;
use std::iter::successors;

use feature_auth::SetupError;
use feature_auth::mint::MintError;

use crate::cli::commands::DataError;
use crate::config::ConfigError;
use crate::server::ServerError;

/// Success.
pub const OK: u8 = 0;
/// An error that is not the fault of the arguments or the configuration.
pub const FAILURE: u8 = 1;
/// Stored data, or an export, is damaged: sysexits' `EX_DATAERR`.
pub const DAMAGE: u8 = 65;
/// Bad arguments or a bad configuration, so a retry without a change is useless: sysexits' `EX_USAGE`.
pub const USAGE: u8 = 64;

/// The exit code for an error, by the first of its causes that has one, else [`FAILURE`].
pub fn code(error: &(dyn Error + 'static)) -> u8 {
    successors(Some(error), |&error| error.source()).find_map(code_of_cause).unwrap_or(FAILURE)
}

fn code_of_cause(error: &(dyn Error + 'static)) -> Option<u8> {
    // A key that cannot be read is not a bad setting: the same start may succeed once the disk works.
    let is_bad_setting = |error: &_| {
        matches!(
            error,
            ServerError::Auth(SetupError::Setting { .. })
                | ServerError::StorePassword { .. }
                | ServerError::StoreRoots(_)
                | ServerError::Tls(_)
                | ServerError::Traces(_)
        )
    };
    let is_bad_token = |error: &_| match error {
        MintError::LifetimeTooLong(..) | MintError::LifetimeTooShort | MintError::RoleUnknown(..) => true,
        MintError::Key(_) => false,
    };
    let is_bad_use = |error: &_| matches!(error, DataError::OtherPlace(_) | DataError::NoEntry(_));
    let is_usage = error.is::<ConfigError>()
        || error.downcast_ref().is_some_and(is_bad_use)
        || error.downcast_ref().is_some_and(is_bad_setting)
        || error.downcast_ref().is_some_and(is_bad_token);
    if is_usage {
        return Some(USAGE);
    }
    error.downcast_ref().is_some_and(DataError::is_damage).then_some(DAMAGE)
}

#[cfg(test)]
mod tests {
    use feature_auth::keys::KeysError;
    use feature_store::OpenError;

    use super::*;
    use crate::config::Flags;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Box<dyn Error + Send + Sync>);

    #[test]
    fn bad_usage_exits_with_64_and_damage_with_65() {
        let config = || {
            let flags = Flags { config: Some("no/such/file.toml".into()), ..Flags::default() };
            crate::config::load(&flags).expect_err("the file is missing")
        };
        let setting = SetupError::Setting { key: "k".to_owned(), value: "v".to_owned(), problem: "p".to_owned() };
        let keys = KeysError::Io { action: "read", path: "1.pem".into(), source: std::io::Error::other("disk") };
        let io = || std::io::Error::other("disk");
        let table: [(Box<dyn Error>, u8); 9] = [
            // (error, code)
            (Box::new(config()), 64),
            (Box::new(Outer(Box::new(config()))), 64),
            (Box::new(ServerError::Auth(setting)), 64),
            (Box::new(MintError::LifetimeTooShort), 64),
            (Box::new(DataError::ProjectionInDoubt(String::new())), 65),
            (Box::new(DataError::Store(OpenError::NoStore { folder: "x".into() })), 1),
            (Box::new(ServerError::Auth(SetupError::Keys(keys))), 1),
            (Box::new(io()), 1),
            (Box::new(Outer(Box::new(io()))), 1),
        ];
        for (error, expected) in table {
            assert_eq!(code(error.as_ref()), expected, "{error:?}");
        }
    }
}
