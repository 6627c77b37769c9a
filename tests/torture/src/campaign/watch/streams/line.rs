//! The line of a client to the server: it connects, reads at its pace, is cut off, and comes again.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use feature_api::feature::v1::watch_service_client::WatchServiceClient;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use super::end::end_of;
use crate::campaign::watch::hub::{Hub, LOOK, PATIENCE, Phase, Place, Reached};
use crate::campaign::watch::record::End;

/// The room for messages that the client has not read. A slow one soon stalls the server.
const WINDOW_BYTES: u32 = 65_535;

/// The largest message that a client takes.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// The longest pause of a slow reader, in milliseconds.
const SLOW_MS: u64 = 400;

/// The longest pause before a client comes again, in milliseconds.
const AGAIN_MS: u64 = 30;

/// How a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it can, and cut off now and then.
    Fast,
    /// With pauses in which its messages pile up.
    Slow,
    /// Cut off after a few messages.
    Cut,
    /// Away for up to so many changes after it was cut off.
    Absent(u64),
}

/// A client that follows a stream.
pub trait Follower: Send + 'static {
    /// A message of the stream.
    type Message: Send;

    /// Begins a stream, with the token if there is one.
    fn open(
        &mut self,
        client: &mut Client,
        rng: &mut Rng,
    ) -> impl Future<Output = Result<Streaming<Self::Message>, Status>> + Send;

    /// The stream has begun.
    fn began(&mut self, place: &Place);

    /// Takes a message.
    fn take(&mut self, message: Self::Message) -> Taken;

    /// The stream has ended, or did not begin.
    fn ended(&mut self, end: End);
}

/// What a message says beside its contents.
pub struct Taken {
    /// The revision up to which the client has everything; `None` for a piece.
    pub revision: Option<u64>,
    pub is_closing: bool,
}

/// A client of the service with a token.
pub struct Client {
    grpc: WatchServiceClient<Channel>,
    token: String,
}

/// The line of a client.
pub struct Line {
    hub: Arc<Hub>,
    place: watch::Receiver<Option<Place>>,
    phase: watch::Receiver<Phase>,
    pace: Pace,
    rng: Rng,
    reached: Arc<Reached>,
}

impl Client {
    /// The client, and a request for it.
    pub fn call<T>(&mut self, message: T) -> (&mut WatchServiceClient<Channel>, Request<T>) {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.token).parse().expect("a token is ASCII");
        request.metadata_mut().insert("authorization", bearer);
        (&mut self.grpc, request)
    }
}

/// Follows a stream until all is over.
pub async fn follow(mut line: Line, mut follower: impl Follower) {
    while let Some(place) = line.next_place().await {
        line.visit(&place, &mut follower).await;
    }
}

impl Line {
    pub fn new(
        hub: &Arc<Hub>,
        place: watch::Receiver<Option<Place>>,
        (pace, rng): (Pace, Rng),
        reached: Arc<Reached>,
    ) -> Self {
        Self { hub: hub.clone(), place, phase: hub.phase(), pace, rng, reached }
    }

    /// Waits until there is a server, and for the time that the client is away. `None` when all is over.
    async fn next_place(&mut self) -> Option<Place> {
        if let Pace::Absent(changes) = self.pace {
            let back = self.hub.acknowledged() + self.rng.u64(..=changes);
            while self.hub.acknowledged() < back && self.is_chaos() {
                sleep(LOOK).await;
            }
        }
        loop {
            if *self.phase.borrow() == Phase::Over {
                return None;
            }
            if let Some(place) = self.place.borrow_and_update().clone() {
                return Some(place);
            }
            tokio::select! {
                _ = self.phase.changed() => {}
                changed = self.place.changed() => if changed.is_err() { return None },
            }
        }
    }

    async fn visit(&mut self, place: &Place, follower: &mut impl Follower) {
        let Some(mut client) = self.connect(place).await else { return self.pause().await };
        let opened = timeout(PATIENCE, follower.open(&mut client, &mut self.rng)).await;
        let mut stream = match opened {
            Ok(Ok(stream)) => stream,
            Ok(Err(status)) => {
                follower.ended(end_of(&status, false, false));
                return self.pause().await;
            }
            Err(_) => return follower.ended(End::Other("no stream begins".to_owned())),
        };
        follower.began(place);
        let mut is_closing = false;
        // A stream is never silent for longer than its heartbeat.
        while *self.phase.borrow() != Phase::Over {
            self.read_slowly().await;
            match timeout(PATIENCE, stream.message()).await {
                Ok(Ok(Some(message))) => {
                    let taken = follower.take(message);
                    is_closing = taken.is_closing;
                    if let Some(revision) = taken.revision {
                        self.reached.set(place.life, revision);
                    }
                }
                Ok(Ok(None)) => return follower.ended(End::Other("it ended with OK".to_owned())),
                Ok(Err(status)) => {
                    follower.ended(end_of(&status, true, is_closing));
                    return self.pause().await;
                }
                Err(_) => return follower.ended(End::Other("it is silent".to_owned())),
            }
            if self.is_cut_off() {
                break;
            }
        }
        follower.ended(End::Broken);
    }

    async fn connect(&mut self, place: &Place) -> Option<Client> {
        // A stream continues on any server of a fleet.
        let address = &place.addresses[self.rng.usize(..place.addresses.len())];
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        let endpoint = endpoint.initial_stream_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        let channel = timeout(PATIENCE, endpoint.connect()).await.ok()?.ok()?;
        let grpc = WatchServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
        Some(Client { grpc, token: self.hub.token.clone() })
    }

    fn is_chaos(&self) -> bool {
        *self.phase.borrow() == Phase::Chaos
    }

    /// A slow reader stops now and then.
    async fn read_slowly(&mut self) {
        if self.pace == Pace::Slow && self.is_chaos() && self.rng.u8(..8) == 0 {
            sleep(Duration::from_millis(self.rng.u64(..SLOW_MS))).await;
        }
    }

    fn is_cut_off(&mut self) -> bool {
        let messages = match self.pace {
            Pace::Fast => 400,
            Pace::Slow => 100,
            Pace::Cut | Pace::Absent(_) => 25,
        };
        self.is_chaos() && self.rng.u32(..messages) == 0
    }

    async fn pause(&mut self) {
        sleep(Duration::from_millis(self.rng.u64(..AGAIN_MS))).await;
    }
}
