//! The settings of the server: what the configuration file may say. The types and functions at the fields say what a
//! value may be; the defaults stand in `feature-server.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use feature_auth::config::values::{Checked, Id, Role, list, map, number, path, text};
pub use feature_auth::config::{Auth, Bound, Certificate, Issuer, RoleSettings};
use serde::{Deserialize, Serialize};

use super::forms::{Filter, Host, Origin, count, milliseconds};

mod history;
mod store;
mod traces;

pub use history::History;
pub use store::{Durability, Password, Store, WhenStale};
pub use traces::{TraceSampler, Traces};

/// Everything that can be configured. Keys in the file are the fields' names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where and how the server runs.
    pub server: Server,
    /// How data is held.
    pub store: Store,
    /// All changes, and how long they are kept.
    pub history: History,
    /// What a client may use up.
    pub limits: Limits,
    /// Features that users define.
    pub own_features: OwnFeatures,
    /// Encrypted connections.
    pub tls: Tls,
    /// Browsers of other origins.
    pub cors: Cors,
    /// Which instance a call is for.
    pub instances: Instances,
    /// Which credentials are accepted.
    pub auth: Auth,
    /// Roles by their names. A role named here replaces the built-in one of that name.
    #[serde(default, deserialize_with = "map::<Role, RoleSettings, _, _>")]
    pub roles: BTreeMap<String, RoleSettings>,
    /// What is logged, and how.
    pub log: Log,
    /// The listener for operators.
    pub metrics: Metrics,
    /// Which calls are traced, and where their traces go.
    pub traces: Traces,
}

/// Where and how the server runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Server {
    /// The address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The data folder. It is made when it does not exist.
    #[serde(deserialize_with = "path")]
    pub data: PathBuf,
    /// Allows to listen in clear text on addresses that other machines reach.
    pub allow_cleartext: bool,
    /// The hosts that clients call the server by, beside those of `instances.hosts`, addresses and loopback names.
    #[serde(deserialize_with = "list::<Host, _>")]
    pub allowed_hosts: Vec<String>,
    /// The callers that may use server reflection.
    pub reflection: Reflection,
    /// How long running calls may go on after the server was told to stop, in milliseconds. Then the data folder may
    /// take as long to close, and at least five seconds.
    #[serde(deserialize_with = "number::<0, 86_400_000, _, _>")]
    pub shutdown_grace_ms: u64,
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

/// What a client may use up. Nothing here can be without a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Limits {
    /// The largest request message, in bytes.
    #[serde(deserialize_with = "number::<1, 1_073_741_824, _, _>")]
    pub message_bytes: usize,
    /// Connections in all.
    #[serde(deserialize_with = "count")]
    pub connections: usize,
    /// Connections from one address.
    #[serde(deserialize_with = "count")]
    pub connections_per_address: usize,
    /// Streams at once on one HTTP/2 connection.
    #[serde(deserialize_with = "count")]
    pub streams_per_connection: u32,
    /// Calls at once in all whose callers have shown a valid token; more are refused.
    #[serde(deserialize_with = "count")]
    pub calls: usize,
    /// Watches at once in all; more are refused. They do not count among the calls.
    #[serde(deserialize_with = "count")]
    pub watches: usize,
    /// Calls a second of one identity, in the long run; for a moment twice as many may come at once. 0: as many as the
    /// server can answer.
    #[serde(deserialize_with = "number::<0, 1_000_000, _, _>")]
    pub calls_per_second_per_identity: u32,
    /// Calls at once in all whose callers have not shown a valid token and that have to wait or are streams; more are
    /// refused. One address gets an eighth of them.
    #[serde(deserialize_with = "count")]
    pub unauthenticated_calls: usize,
    /// What the requests of all running calls may have in memory, as they were sent, in bytes; more is refused.
    #[serde(deserialize_with = "number::<1, 1_099_511_627_776, _, _>")]
    pub request_bytes: usize,
    /// How much of memory the answers to reads may take that are kept for the next time, in bytes; 0 keeps none.
    #[serde(deserialize_with = "number::<0, 1_099_511_627_776, _, _>")]
    pub answer_cache_bytes: usize,
    /// The largest header block of a request, in bytes. hyper's buffer for HTTP/1.1 cannot be smaller than 8,192.
    #[serde(deserialize_with = "number::<8_192, 16_777_216, _, _>")]
    pub header_bytes: u32,
    /// How long a client may take, in milliseconds, for each of these: the TLS handshake, the first byte after it, the
    /// header of an HTTP/1.1 request with the wait for it, and the body of a request that is answered as a whole.
    #[serde(deserialize_with = "milliseconds")]
    pub receive_timeout_ms: u64,
    /// How long a client may leave what was sent to it untaken, in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    pub send_timeout_ms: u64,
    /// How long a connection may stay without a call, in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    pub idle_timeout_ms: u64,
    /// How old a connection may get before its client gets a GOAWAY, in milliseconds; up to a tenth more or less, so
    /// that connections that were opened together do not end together.
    #[serde(deserialize_with = "milliseconds")]
    pub connection_age_ms: u64,
    /// The deadline of a call whose client names none, in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    pub default_deadline_ms: u64,
    /// The longest deadline that a client can ask for, in milliseconds. Streams may go on longer.
    #[serde(deserialize_with = "milliseconds")]
    pub max_deadline_ms: u64,
}

/// Features that users define.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct OwnFeatures {
    /// The most definitions of an instance, and of the system.
    #[serde(deserialize_with = "number::<0, 10_000, _, _>")]
    pub definitions: usize,
    /// The most values that a scope sets.
    #[serde(deserialize_with = "number::<1, 4_096, _, _>")]
    pub values_per_scope: usize,
    /// How long a deleted feature keeps its values, in days.
    #[serde(deserialize_with = "number::<0, 3_650, _, _>")]
    pub keep_deleted_days: u32,
}

/// Encrypted connections. Without a certificate connections are in clear text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Tls {
    /// A file with the server's certificate and those between it and its root, in PEM. It comes with `key_file`.
    #[serde(deserialize_with = "path")]
    pub certificate_file: Option<PathBuf>,
    /// A file with the certificate's key, in PEM.
    #[serde(deserialize_with = "path")]
    pub key_file: Option<PathBuf>,
    /// A file with the roots of the clients' certificates, in PEM. Without it clients are not asked for certificates.
    #[serde(deserialize_with = "path")]
    pub client_ca_file: Option<PathBuf>,
    /// A file with lists of revoked client certificates, in PEM.
    #[serde(deserialize_with = "path")]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Cors {
    /// Origins such as `https://console.example.com` whose pages may call, beside the server's own and loopback ones.
    #[serde(deserialize_with = "list::<Origin, _>")]
    pub allowed_origins: Vec<String>,
}

/// Which instance a call is for, when its credential does not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Instances {
    /// The instance of a call that names none.
    #[serde(deserialize_with = "text::<Id, _, _>")]
    pub default: Option<String>,
    /// The instance of each host name, without a port.
    #[serde(deserialize_with = "map::<Host, Checked<Id>, _, _>")]
    pub hosts: BTreeMap<String, String>,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Log {
    /// The least level that is logged, such as `info`, or a filter such as `info,feature_server=debug`.
    #[serde(deserialize_with = "text::<Filter, _, _>")]
    pub filter: String,
    /// The format of a line.
    pub format: LogFormat,
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

/// The listener for operators: metrics and probes, in clear text and without credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Metrics {
    /// Its address.
    pub listen: MetricsListen,
}

/// The address of the listener for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MetricsListen {
    /// There is none.
    Off,
    /// This one; port 0 picks a free one.
    At(SocketAddr),
}

impl TryFrom<String> for MetricsListen {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let allowed = "must be an IP address with a port, such as 127.0.0.1:9464, or \"off\"";
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At).map_err(|_| allowed) }
    }
}

impl From<MetricsListen> for String {
    fn from(listen: MetricsListen) -> Self {
        match listen {
            MetricsListen::Off => "off".to_owned(),
            MetricsListen::At(address) => address.to_string(),
        }
    }
}
