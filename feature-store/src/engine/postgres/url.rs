//! The URL of a database: what it may say, and which of its hosts are called over TLS.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// The parameters that a URL may have. libpq knows more; where they make sense, the server has a setting for them.
const PARAMETERS: [&str; 7] = ["channel_binding", "dbname", "host", "options", "port", "sslmode", "user"];

/// The parameters that the server sets itself, as they would break its deadlines or its choice of the host.
const SET_BY_SERVER: [&str; 9] = [
    "application_name",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// Where a database is, such as `postgres://feature@db1,db2:5433/feature?sslmode=require`. It holds no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    text: String,
    config: Config,
    ssl_mode: Option<SslMode>,
}

/// What is wrong with the URL of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostgresUrlError {
    /// Another scheme.
    #[error("must be a URL such as postgres://USER@HOST/DATABASE")]
    Scheme,
    /// The driver does not understand it.
    #[error("cannot be read: {0}")]
    Malformed(String),
    /// It would be printed wherever the URL is.
    #[error("holds a password, which would be shown with the URL: use store.password_file or the variable PGPASSWORD")]
    Password,
    /// The driver would take the name of this process's user.
    #[error("names no user: write postgres://USER@HOST/DATABASE")]
    NoUser,
    /// The driver would take the name of the user.
    #[error("names no database: write postgres://USER@HOST/DATABASE")]
    NoDatabase,
    /// No host, or an empty one between commas.
    #[error("names no host, or an empty one: write postgres://USER@HOST/DATABASE or …@HOST1,HOST2:PORT/…")]
    NoHost,
    /// Neither one port nor one for each host.
    #[error("has {ports} ports for {hosts} hosts: write each port behind its host")]
    Ports {
        /// The number of ports.
        ports: usize,
        /// The number of hosts.
        hosts: usize,
    },
    /// The server has reasons for its own value.
    #[error("sets {0}, which this server sets itself: leave it out")]
    SetByServer(String),
    /// Another parameter.
    #[error("has the parameter {name}, and may have only {}", PARAMETERS.join(", "), name = .0)]
    Parameter(String),
    /// Another mode than those of this server.
    #[error(
        "has sslmode={0}, which must be disable, prefer, require or verify-full: the certificate is always checked"
    )]
    SslMode(String),
    /// A host on another machine without TLS.
    #[error("has no TLS to {0}, so that others read along: leave sslmode out, or set store.allow_cleartext")]
    Cleartext(String),
}

impl FromStr for PostgresUrl {
    type Err = PostgresUrlError;

    fn from_str(text: &str) -> Result<Self, PostgresUrlError> {
        let schemes = ["postgres://", "postgresql://"];
        let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)).ok_or(PostgresUrlError::Scheme)?;
        // It comes first: no other error may quote a part of a password.
        if rest.split_once('@').is_some_and(|(credentials, _)| credentials.contains(':')) {
            return Err(PostgresUrlError::Password);
        }
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut ssl_mode, mut known) = (None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("sslmode", value) => ssl_mode = Some(ssl_mode_of(value)?),
                ("password", _) => return Err(PostgresUrlError::Password),
                (name, _) if SET_BY_SERVER.contains(&name) => {
                    return Err(PostgresUrlError::SetByServer(name.to_owned()));
                }
                (name, _) if !PARAMETERS.contains(&name) => return Err(PostgresUrlError::Parameter(name.to_owned())),
                _ => known.push(parameter),
            }
        }
        let malformed = |error| PostgresUrlError::Malformed(super::link::describe(&error));
        let config: Config = format!("{place}?{}", known.join("&")).parse().map_err(malformed)?;
        let url = Self { text: text.to_owned(), config, ssl_mode };
        url.check()?;
        Ok(url)
    }
}

impl PostgresUrl {
    fn check(&self) -> Result<(), PostgresUrlError> {
        let is_missing = |name: Option<&str>| name.is_none_or(str::is_empty);
        let is_empty = |host: &Host| matches!(host, Host::Tcp(name) if name.is_empty());
        let (hosts, ports) = (self.config.get_hosts(), self.config.get_ports().len());
        if is_missing(self.config.get_user()) {
            Err(PostgresUrlError::NoUser)
        } else if is_missing(self.config.get_dbname()) {
            Err(PostgresUrlError::NoDatabase)
        } else if hosts.is_empty() || hosts.iter().any(is_empty) {
            Err(PostgresUrlError::NoHost)
        } else if ports > 1 && ports != hosts.len() {
            Err(PostgresUrlError::Ports { ports, hosts: hosts.len() })
        } else {
            Ok(())
        }
    }

    /// Whether all hosts are on this machine: loopback addresses, `localhost` and Unix sockets.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.config.get_hosts().iter().all(is_local)
    }

    /// Whether a host is called over TLS, so that root certificates are needed.
    ///
    /// # Errors
    /// [`PostgresUrlError::Cleartext`]: the URL forbids TLS to another machine, which needs `allow_cleartext`.
    pub fn uses_tls(&self, allow_cleartext: bool) -> Result<bool, PostgresUrlError> {
        let hosts = self.hosts(allow_cleartext)?;
        Ok(hosts.iter().any(|(_, _, ssl_mode)| *ssl_mode != SslMode::Disable))
    }

    /// The hosts, their ports and whether they are called over TLS.
    pub(super) fn hosts(&self, allow_cleartext: bool) -> Result<Vec<(Host, u16, SslMode)>, PostgresUrlError> {
        let ports = self.config.get_ports();
        let with_port = |(index, host): (usize, &Host)| {
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            Ok((host.clone(), port, self.ssl_mode_of_host(host, allow_cleartext)?))
        };
        self.config.get_hosts().iter().enumerate().map(with_port).collect()
    }

    fn ssl_mode_of_host(&self, host: &Host, allow_cleartext: bool) -> Result<SslMode, PostgresUrlError> {
        match (host, self.ssl_mode) {
            // PostgreSQL has no TLS there.
            (Host::Unix(_), _) => Ok(SslMode::Disable),
            (_, Some(SslMode::Require)) => Ok(SslMode::Require),
            (host, _) if is_local(host) => Ok(SslMode::Disable),
            (_, mode) if allow_cleartext => Ok(mode.unwrap_or(SslMode::Disable)),
            (Host::Tcp(name), Some(SslMode::Disable)) => Err(PostgresUrlError::Cleartext(name.clone())),
            _ => Ok(SslMode::Require),
        }
    }

    /// All but the hosts: the user, the database and how to log in.
    pub(super) fn login(&self) -> Config {
        let mut login = Config::new();
        login.user(self.user()).dbname(self.database()).channel_binding(self.config.get_channel_binding());
        if let Some(options) = self.config.get_options() {
            login.options(options);
        }
        login
    }

    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    pub(super) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn ssl_mode_of(value: &str) -> Result<SslMode, PostgresUrlError> {
    match value {
        "disable" => Ok(SslMode::Disable),
        "prefer" => Ok(SslMode::Prefer),
        "require" | "verify-full" => Ok(SslMode::Require),
        _ => Err(PostgresUrlError::SslMode(value.to_owned())),
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name.parse().map_or_else(|_| name == "localhost", |ip: IpAddr| ip.to_canonical().is_loopback())
        }
    }
}
