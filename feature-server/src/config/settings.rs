//! The settings of the server with their defaults: what the configuration file may say, and nothing about reading it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that can be configured. Keys in the file are the fields' names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where and how the server runs.
    pub server: Server,
    /// What a client may use up.
    pub limits: Limits,
    /// Encrypted connections.
    pub tls: Tls,
    /// Browsers of other origins.
    pub cors: Cors,
    /// Which instance a call is for.
    pub instances: Instances,
    /// Who may call.
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
    /// How long calls that are under way may go on after the server was told to stop, in milliseconds.
    pub shutdown_grace_ms: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data: PathBuf::from("./feature-data"),
            allow_cleartext: false,
            allowed_hosts: Vec::new(),
            shutdown_grace_ms: 10_000,
        }
    }
}

/// What a client may use up. Nothing here can be without a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest request message, in bytes.
    pub message_bytes: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// Streams at once on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// Calls at once in all whose callers have shown a valid token; more are refused.
    pub calls: usize,
    /// Calls a second of one identity, in the long run; for a moment twice as many may come at once.
    pub calls_per_second_per_identity: u32,
    /// Calls at once in all whose callers have not shown a valid token and that have to wait or are streams; more are
    /// refused.
    pub unauthenticated_calls: usize,
    /// How many of those may come from one address.
    pub unauthenticated_calls_per_address: usize,
    /// What a caller without a valid token may send in one call, in bytes.
    pub unauthenticated_bytes: usize,
    /// What the requests of all calls under way may have in memory, as they were sent, in bytes; more is refused.
    pub request_bytes: usize,
    /// How much of memory the answers to reads may take that are kept for the next time, in bytes; 0 keeps none.
    pub answer_cache_bytes: usize,
    /// Writes that wait for the disk at once; more are refused.
    pub queued_writes: usize,
    /// Reads that wait for the disk at once; more are refused.
    pub queued_reads: usize,
    /// The largest header block of a request, in bytes; at least 8,192, because over HTTP/1.1 less cannot be enforced.
    pub header_bytes: u32,
    /// The most headers of a request.
    pub headers: usize,
    /// How long the handshake of a TLS connection may take, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// How long a new connection may stay silent, in milliseconds. With TLS this begins after the handshake.
    pub first_byte_timeout_ms: u64,
    /// How long a client may take to send the header of an HTTP/1.1 request, the wait for it included, in milliseconds.
    pub header_timeout_ms: u64,
    /// How long a client may take to send the body of a request that is answered when all of it is here, in
    /// milliseconds.
    pub body_timeout_ms: u64,
    /// How long a client may leave what was sent to it untaken, in milliseconds.
    pub send_timeout_ms: u64,
    /// How long a connection may stay without a call, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How old a connection may get before its client is told to open another one, in milliseconds; up to a tenth more
    /// or less, so that those opened together don't end together.
    pub connection_age_ms: u64,
    /// How long the calls on a connection that is too old may go on, in milliseconds.
    pub connection_age_grace_ms: u64,
    /// How often an HTTP/2 client that sends nothing is asked whether it is still there, in milliseconds.
    pub keepalive_interval_ms: u64,
    /// How long such a client may take to answer, in milliseconds.
    pub keepalive_timeout_ms: u64,
    /// The deadline of a call whose client names none, in milliseconds.
    pub default_deadline_ms: u64,
    /// The longest deadline that a client can ask for, in milliseconds. Streams may go on longer.
    pub max_deadline_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1024 * 1024,
            connections: 10_000,
            connections_per_address: 1_000,
            streams_per_connection: 100,
            calls: 4_096,
            calls_per_second_per_identity: 10_000,
            unauthenticated_calls: 1_024,
            unauthenticated_calls_per_address: 128,
            unauthenticated_bytes: 64 * 1024,
            request_bytes: 64 * 1024 * 1024,
            answer_cache_bytes: 64 * 1024 * 1024,
            queued_writes: 4_096,
            queued_reads: 4_096,
            header_bytes: 16 * 1024,
            headers: 100,
            handshake_timeout_ms: 10_000,
            first_byte_timeout_ms: 10_000,
            header_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            send_timeout_ms: 30_000,
            idle_timeout_ms: 300_000,
            connection_age_ms: 1_800_000,
            connection_age_grace_ms: 60_000,
            keepalive_interval_ms: 60_000,
            keepalive_timeout_ms: 20_000,
            default_deadline_ms: 10_000,
            max_deadline_ms: 60_000,
        }
    }
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

/// Who may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// How far the clocks of issuers may be off, in seconds; at most 30.
    pub leeway_s: u64,
    /// The longest lifetime of a token that is accepted or minted, in seconds.
    pub max_token_lifetime_s: u64,
    /// The claim with a plain list of roles.
    pub roles_claim: String,
    /// The file that lists revoked tokens.
    pub revocation_file: Option<PathBuf>,
    /// How long an issuer's last good keys are believed when no newer ones can be had, in seconds.
    pub jwks_max_stale_s: u64,
    /// Verified tokens that are remembered; with 0 every call's token is verified anew.
    pub token_cache_entries: usize,
    /// Issuers whose tokens are accepted beside the server's own.
    pub issuers: Vec<Issuer>,
    /// Clients that are known by their certificates.
    pub certificates: Vec<Certificate>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            leeway_s: 10,
            max_token_lifetime_s: 24 * 60 * 60,
            roles_claim: "roles".to_owned(),
            revocation_file: None,
            jwks_max_stale_s: 24 * 60 * 60,
            token_cache_entries: 16_384,
            issuers: Vec::new(),
            certificates: Vec::new(),
        }
    }
}

/// An OIDC issuer. Exactly one of `jwks_file` and `jwks_url` is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` that its tokens must hold.
    pub audience: String,
    /// The instance that its tokens are bound to; without it they are bound to none, and may have roles over everything.
    #[serde(default)]
    pub instance: Option<String>,
    /// A file with its keys, as a JSON Web Key Set.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// An https URL with its keys, as a JSON Web Key Set.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// A file with PEM certificates that the URL's certificate is checked against, instead of the machine's own.
    #[serde(default)]
    pub jwks_ca_file: Option<PathBuf>,
}

/// A client that is known by its certificate. Exactly one of `uri` and `subject` is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// A URI among the certificate's alternative names.
    #[serde(default)]
    pub uri: Option<String>,
    /// The certificate's whole subject, as RFC 4514 spells it.
    #[serde(default)]
    pub subject: Option<String>,
    /// The client's roles.
    pub roles: Vec<String>,
    /// The instance that the client belongs to.
    #[serde(default)]
    pub instance: Option<String>,
    /// The organization of its user, in which its roles are granted.
    #[serde(default)]
    pub organization: Option<String>,
    /// The user that the client is.
    #[serde(default)]
    pub user: Option<String>,
}

/// A role: what its holders may do, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSettings {
    /// How far the role reaches.
    pub bound_to: Bound,
    /// The permissions, such as `org.feature.write`.
    pub permissions: Vec<String>,
}

/// How far a role reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Everywhere.
    Everything,
    /// The credential's instance.
    Instance,
    /// The organization that the role was granted in.
    Organization,
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
