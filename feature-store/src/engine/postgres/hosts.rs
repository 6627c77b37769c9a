//! The hosts of a database: which one takes writes, and when all connections have to look for it again.
//!
//! All connections of an engine share one generation and lead to one host. One that fails leaves the host for all of
//! them. The search then begins with the next host, so that a host that accepts connections and never answers costs
//! the others no time.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Config;
use tokio_postgres::config::{self, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::link::Lost;

#[cfg(test)]
mod tests;

/// The longest time for one address: TCP, TLS, login and the settings of the session. Half of a call's deadline, so
/// that behind a host that does not answer there is time for another one.
const ADDRESS_DEADLINE: Duration = Duration::from_secs(1);

/// The longest time that what was sent may go unacknowledged. It ends connections that no call waits for; calls have
/// a shorter deadline.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(3);

/// Idle connections notice after some seconds that their host is gone: a probe after this time, then three more, a
/// second apart.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEPALIVE_RETRIES: u32 = 3;

/// The hosts of a database, and the one that connections lead to.
pub(super) struct Hosts {
    hosts: Vec<Host>,
    tls: MakeRustlsConnect,
    search: Mutex<Search>,
}

/// A host, and how to connect to it.
pub(super) struct Host {
    name: config::Host,
    port: u16,
    /// Everything but the address.
    config: Config,
}

/// An address of a host: the host's index in the URL, and the address's index among those of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    host: usize,
    address: usize,
}

#[derive(Debug, Clone, Copy)]
struct Search {
    /// Connections of an earlier generation are given up.
    generation: u64,
    /// Where the next connection is tried first.
    begin: Place,
    /// Where the connections of this generation lead, if one was made.
    found: Option<Place>,
    /// What follows `found`, or `begin` without it.
    next: Place,
}

/// A search under way.
struct Attempt {
    generation: u64,
    end: Instant,
    /// Why the addresses so far have failed.
    reasons: Vec<String>,
}

impl Hosts {
    pub(super) fn new(hosts: Vec<Host>, tls: MakeRustlsConnect) -> Self {
        let first = Place { host: 0, address: 0 };
        Self { hosts, tls, search: Mutex::new(Search { generation: 0, begin: first, found: None, next: first }) }
    }

    pub(super) fn generation(&self) -> u64 {
        self.search().generation
    }

    /// Gives up the host of this generation, if that is the current one.
    pub(super) fn leave(&self, generation: u64) {
        let mut search = self.search();
        if search.generation == generation {
            let next = search.next;
            *search = Search { generation: generation + 1, begin: next, found: None, next };
        }
    }

    /// Connects to a host that takes writes: tries one address after the other until `end`. Returns what `open` makes
    /// of an address, and its generation.
    pub(super) async fn connect<T>(
        &self,
        end: Instant,
        open: impl AsyncFn(&Config, &MakeRustlsConnect) -> Result<T, Lost>,
    ) -> Result<(T, u64), Lost> {
        let Search { generation, begin, .. } = *self.search();
        let mut attempt = Attempt { generation, end, reasons: Vec::new() };
        for step in 0..self.hosts.len() {
            let host = (begin.host + step) % self.hosts.len();
            let first = Place { host, address: if step == 0 { begin.address } else { 0 } };
            if let Some(opened) = self.connect_host(&mut attempt, first, &open).await {
                return Ok(opened);
            }
        }
        Err(Lost::NotConnected(attempt.reasons.join("; ")))
    }

    /// Tries all addresses of a host, from the first one on.
    async fn connect_host<T>(
        &self,
        attempt: &mut Attempt,
        first: Place,
        open: &impl AsyncFn(&Config, &MakeRustlsConnect) -> Result<T, Lost>,
    ) -> Option<(T, u64)> {
        let host = &self.hosts[first.host];
        if Instant::now() >= attempt.end {
            attempt.reasons.push(format!("{host}: not tried in time"));
            return None;
        }
        let configs = match within(attempt.end, host.resolve()).await {
            Ok(configs) => configs,
            Err(lost) => {
                self.pass_over(attempt, first, self.after(first.host), &lost);
                return None;
            }
        };
        for address in (first.address..first.address + configs.len()).map(|address| address % configs.len()) {
            if Instant::now() >= attempt.end {
                break;
            }
            let place = Place { address, ..first };
            let is_last = address + 1 == configs.len();
            let next = if is_last { self.after(first.host) } else { Place { address: address + 1, ..first } };
            match within(attempt.end, open(&configs[address], &self.tls)).await {
                Ok(opened) => return Some((opened, self.found(attempt.generation, place, next))),
                Err(lost) => self.pass_over(attempt, place, next, &lost),
            }
        }
        None
    }

    /// The first address of the host after this one.
    fn after(&self, host: usize) -> Place {
        Place { host: (host + 1) % self.hosts.len(), address: 0 }
    }

    /// An address has failed: the next search begins behind it.
    ///
    /// Where others of this generation have connected, a refusal may be about this connection alone, such as one too
    /// many. Without an answer theirs are given up as well.
    fn pass_over(&self, attempt: &mut Attempt, place: Place, next: Place, lost: &Lost) {
        attempt.reasons.push(format!("{}: {lost}", self.hosts[place.host]));
        let mut search = self.search();
        if search.generation != attempt.generation {
            return;
        }
        if search.found.is_none() {
            (search.begin, search.next) = (next, next);
        } else if search.found == Some(place) && matches!(lost, Lost::TooLate(_)) {
            attempt.generation += 1;
            *search = Search { generation: attempt.generation, begin: next, found: None, next };
        }
    }

    /// A connection was made. Returns its generation, a new one if others of this generation lead elsewhere.
    fn found(&self, generation: u64, place: Place, next: Place) -> u64 {
        let mut search = self.search();
        if search.generation == generation {
            let is_elsewhere = search.found.is_some_and(|found| found != place);
            let generation = if is_elsewhere { generation + 1 } else { generation };
            *search = Search { generation, begin: place, found: Some(place), next };
            return generation;
        }
        // Another connection has left meanwhile. This one serves one call and is given up as well.
        generation
    }

    fn search(&self) -> MutexGuard<'_, Search> {
        self.search.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    /// `login`: a configuration without hosts.
    pub(super) fn new(login: &Config, name: config::Host, port: u16, ssl_mode: SslMode) -> Self {
        let mut config = login.clone();
        config
            .port(port)
            .ssl_mode(ssl_mode)
            .application_name("feature-server")
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
        Self { name, port, config }
    }

    /// A configuration for each address of the host. Addresses are sorted, so that each keeps its index.
    async fn resolve(&self) -> Result<Vec<Config>, Lost> {
        let name = match &self.name {
            config::Host::Unix(folder) => return Ok(vec![self.config.clone().host_path(folder).clone()]),
            config::Host::Tcp(name) => name,
        };
        let found = lookup_host((name.as_str(), self.port)).await;
        let found = found.map_err(|error| Lost::NotConnected(error.to_string()))?;
        let addresses: BTreeSet<IpAddr> = found.map(|address| address.ip()).collect();
        Ok(addresses.into_iter().map(|address| self.config.clone().host(name).hostaddr(address).clone()).collect())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            config::Host::Tcp(name) => write!(formatter, "{name}:{}", self.port),
            config::Host::Unix(folder) => write!(formatter, "{}:{}", folder.display(), self.port),
        }
    }
}

/// Waits until `end`, and no longer than one address may take.
async fn within<T>(end: Instant, attempt: impl Future<Output = Result<T, Lost>>) -> Result<T, Lost> {
    let now = Instant::now();
    let end = end.min(now + ADDRESS_DEADLINE);
    timeout_at(end, attempt).await.unwrap_or_else(|_| Err(Lost::TooLate(end.saturating_duration_since(now))))
}
