//! Why a server could not start or stop.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use feature_api::schema::SchemaError;
use feature_auth::SetupError;
use feature_auth::keys::KeysError;
use feature_auth::roots::RootsError;
use feature_store::{CommitError, OpenError, PostgresOpenError, StoreError};
use grpc_transcoding::rest::RouteError;

use crate::net::tls::TlsError;
use crate::telemetry::traces::TracesError;

/// Why the server could not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The protos are inconsistent; a defect of the binary.
    #[error("the protos of this binary do not fit together: {0}")]
    Schema(#[from] SchemaError),
    /// The HTTP rules in the protos are inconsistent; a defect of the binary.
    #[error("the HTTP rules of this binary do not fit together: {0}")]
    Routes(#[from] RouteError),
    /// The data folder could not be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The database of the fleet could not be opened.
    #[error("the database of store.url: {0}")]
    Database(PostgresOpenError),
    /// There are no root certificates for the database.
    #[error("store.ca_file: {0}")]
    StoreRoots(RootsError),
    /// The password of the database cannot be read.
    #[error("store.password_file: cannot read {}: {reason}", .path.display())]
    StorePassword {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        reason: io::Error,
    },
    /// The revoked tokens in the database cannot be read.
    #[error("the revoked tokens in the database cannot be read: {0}")]
    Revocations(StoreError),
    /// The signing keys could not be read or created.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A setting of identity does not work.
    #[error(transparent)]
    Auth(#[from] SetupError),
    /// The files of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Calls cannot be traced as configured.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The address is not available.
    #[error("cannot listen on {address}: {reason}; choose another address with --listen")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The operating system's error.
        reason: io::Error,
    },
    /// The address for metrics is not available.
    #[error("cannot listen on {address} for metrics: {reason}; choose another address with metrics.listen, or \"off\"")]
    ListenForMetrics {
        /// The configured address.
        address: SocketAddr,
        /// The operating system's error.
        reason: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The store did not close cleanly. All acknowledged writes are in the journal.
    #[error("the data folder was not closed cleanly ({0}); the next start checks it")]
    Close(CommitError),
    /// The store did not close in time. All acknowledged writes are in the journal.
    #[error(
        "the data folder was not closed, the disk did not answer within {} ms; nothing acknowledged is lost, and the \
         next start checks it",
        .0.as_millis()
    )]
    CloseHangs(Duration),
}
