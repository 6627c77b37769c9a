//! The settings of the server with their defaults: what the configuration file may say, and nothing about reading it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use feature_auth::config::{Auth, Bound, Certificate, Issuer, RoleSettings};

pub use self::limits::Limits;

mod limits;

/// Everything that can be configured. Keys in the file are the fields' names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where and how the server runs.
    pub server: Server,
    /// How data is held.
    pub store: Store,
    /// What a client may use up.
    pub limits: Limits,
    /// Encrypted connections.
    pub tls: Tls,
    /// Browsers of other origins.
    pub cors: Cors,
    /// Which instance a call is for.
    pub instances: Instances,
    /// Which credentials are accepted.
    pub auth: Auth,
    /// Roles by their names. A role named here replaces the built-in one of that name.
    pub roles: BTreeMap<String, RoleSettings>,
    /// What is logged, and how.
    pub log: Log,
}

/// Where and how the server runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The data folder. It is made when it does not exist.
    pub data: PathBuf,
    /// Allows to listen in clear text on addresses that other machines reach.
    pub allow_cleartext: bool,
    /// The hosts that clients call the server by, beside those of `instances.hosts`, addresses and loopback names.
    pub allowed_hosts: Vec<String>,
    /// The callers that may use server reflection.
    pub reflection: Reflection,
    /// How long calls that are under way may go on after the server was told to stop, in milliseconds. Then
    /// the data folder may take as long to close, and at least five seconds.
    pub shutdown_grace_ms: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data: PathBuf::from("./feature-data"),
            allow_cleartext: false,
            allowed_hosts: Vec::new(),
            reflection: Reflection::Auto,
            shutdown_grace_ms: 10_000,
        }
    }
}

impl Server {
    /// Whether the server listens on loopback, where only programs of this machine reach it.
    pub fn is_on_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether reflection needs no credential.
    pub fn has_public_reflection(&self) -> bool {
        match self.reflection {
            Reflection::Auto => self.is_on_loopback(),
            Reflection::Everybody => true,
            Reflection::Authenticated | Reflection::Off => false,
        }
    }
}

/// The callers that may use server reflection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reflection {
    /// All callers where the server listens on loopback, elsewhere those with a valid credential.
    Auto,
    /// All callers.
    Everybody,
    /// Callers with a valid credential.
    Authenticated,
    /// None: reflection is not served.
    Off,
}

/// How data is held.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// How many bytes of records are kept in memory, about; `None` for a quarter of the memory, at most 2 GiB.
    pub cache_bytes: Option<u64>,
}

/// Encrypted connections. Without a certificate connections are in clear text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// A file with the server's certificate and those between it and its root, in PEM. It comes with `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// A file with the certificate's key, in PEM.
    pub key_file: Option<PathBuf>,
    /// A file with the roots of the clients' certificates, in PEM. Without it clients are not asked for certificates.
    pub client_ca_file: Option<PathBuf>,
    /// A file with lists of revoked client certificates, in PEM.
    pub client_crl_file: Option<PathBuf>,
    /// Whether clients need a certificate when there is a `client_ca_file`.
    pub client_certificate: Presence,
}

/// Whether something must be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It must.
    #[default]
    Required,
    /// It may be left out.
    Optional,
}

/// Browsers of other origins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Origins such as `https://console.example.com` whose pages may call, beside the server's own and loopback ones.
    pub allowed_origins: Vec<String>,
}

/// Which instance a call is for, when its credential does not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Instances {
    /// The instance of a call that names none.
    pub default: Option<String>,
    /// The instance of each host name, without a port.
    pub hosts: BTreeMap<String, String>,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least level that is logged, such as `info`, or a filter such as `info,feature_server=debug`.
    pub filter: String,
    /// The format of a line.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}
