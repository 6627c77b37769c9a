//! One client of one server, which records its calls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use tokio::time::sleep;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use super::{PATIENCE, Shared, Target};
use crate::fleet::check::History;
use crate::fleet::database::session::until;
use crate::fleet::record::{Answer, Asks, NEVER, Place, ReadCall, Record, WriteCall};
use crate::workload::client::{Client, Read};
use crate::workload::feature::Scope;
use crate::workload::write::Write;

/// The shortest and the longest deadline of a write. A short one leaves its outcome unknown in a failover, and a long
/// one outlasts it.
const WRITE_MS: std::ops::Range<u64> = 800..6_000;

/// The deadline of a read. Nothing of the database is on its way, so it never takes long.
const READ: Duration = Duration::from_secs(3);

/// The longest pause between two calls.
const PAUSE_US: u64 = 20_000;

/// How a server begins that could not reach the database, and has written nothing.
const REFUSED: &str = "the store is not available";

/// A client, and what it has sent and seen.
pub struct Caller {
    pub shared: Arc<Shared>,
    pub rng: Rng,
    pub record: Record,
    client: Client,
    server: usize,
}

impl Caller {
    /// A client of this server. It connects at its first call.
    pub fn new(shared: Arc<Shared>, target: &Target, server: usize, rng: Rng) -> Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{}", target.addresses[server]))?.connect_lazy();
        let client = Client::new(channel, &target.token)?;
        Ok(Self { shared, rng, record: Record::default(), client, server })
    }

    /// Pauses, and says whether to go on.
    pub async fn goes_on(&mut self) -> bool {
        sleep(Duration::from_micros(self.rng.u64(..PAUSE_US))).await;
        !self.shared.is_stopping()
    }

    /// Sends a write, and records its answer.
    pub async fn write(&mut self, scope: &Scope, write: Write) -> &Answer {
        let id = self.shared.next_id();
        let deadline = Duration::from_millis(self.rng.u64(WRITE_MS));
        let metadata = id.parse().expect("an id is ASCII");
        self.client.set_terms(deadline, vec![("x-request-id", metadata)]);
        let begin = self.shared.now();
        let answer = self.client.write(scope, &write).await;
        let (mut end, place) = (self.shared.now(), self.place());
        let answer = match answer {
            Ok(details) => {
                self.shared.acknowledged[self.server].fetch_add(1, Ordering::Relaxed);
                self.shared.note(place);
                Answer::Acknowledged(details, place)
            }
            Err(status) => refusal(&status),
        };
        if let Answer::Unknown(_) = answer {
            end = NEVER;
        }
        let call = WriteCall { id, server: self.server, scope: scope.clone(), write, begin, end, answer };
        self.record.writes.push(call);
        &self.record.writes.last().expect("it was just added").answer
    }

    /// Reads, and records what it sees.
    pub async fn read(&mut self, scope: &Scope, mut asks: Asks) -> Option<&Read> {
        let asked = match &asks {
            Asks::AtLeast(place) => Some(place.to_string()),
            Asks::Latest => Some("latest".to_owned()),
            _ => None,
        };
        let asked = asked.map(|asked| ("feature-min-revision", asked.parse().expect("a revision is ASCII")));
        self.client.set_terms(READ, asked.into_iter().collect());
        let begin = self.shared.now();
        let answer = self.client.read(scope).await.map_err(|status| status.to_string());
        let (end, server) = (self.shared.now(), self.server);
        let place = if answer.is_ok() { self.place() } else { None };
        if asks == Asks::Ready && !self.shared.is_ready(server) {
            asks = Asks::Any;
        }
        self.record.reads.push(ReadCall { server, scope: scope.clone(), begin, end, asks, answer, place });
        self.record.reads.last()?.answer.as_ref().ok()
    }

    /// How a reader asks that expects nothing but health.
    pub fn expects(&self) -> Asks {
        if self.shared.is_ready(self.server) { Asks::Ready } else { Asks::Any }
    }

    /// Waits until the server shows a scope as the log has it. Not recorded.
    pub async fn converge(&mut self, scope: &Scope, history: &History) -> Result<()> {
        self.client.set_terms(READ, Vec::new());
        let mut seen = String::new();
        let client = &mut self.client;
        let shows = async || {
            let read = client.read(scope).await;
            seen = format!("{read:?}");
            Ok(read.is_ok_and(|read| history.ends_with(scope, &read)))
        };
        let waited = until("a server shows the end of the log", PATIENCE, shows).await;
        waited.with_context(|| format!("server {}, {scope:?}: {seen}", self.server))
    }

    fn place(&self) -> Option<Place> {
        self.client.revision().and_then(Place::parse)
    }
}

fn refusal(status: &Status) -> Answer {
    match status.code() {
        Code::Aborted => match actual(status.message()) {
            Some(actual) => Answer::Mismatch(actual),
            None => Answer::Refused(status.to_string()),
        },
        // The server's own words, and not those of a connection that broke.
        Code::Unavailable if status.message().starts_with(REFUSED) => Answer::Refused(status.to_string()),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal => {
            Answer::Unknown(status.to_string())
        }
        _ => Answer::Refused(status.to_string()),
    }
}

/// The sequence in `expected_sequence is 5, but the sequence is 7: …`.
fn actual(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("but the sequence is ")?;
    rest.split(':').next()?.parse().ok()
}
