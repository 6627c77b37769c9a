//! The task that watches: one connection and one stream after another.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

use crate::client::Options;
use crate::client::retry::{Next, StreamEnd};
use crate::client::shared::Shared;
use crate::client::state::{Sign, State};
use crate::client::values::{Assembly, SETTINGS};
use crate::feature::v1::WatchValuesRequest;
use crate::feature::v1::watch_service_client::WatchServiceClient;
use crate::feature::v1::watch_values_response::Event;

/// One HTTP/2 ping in this time, which the server never minds.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// How long to wait for a connection, if the endpoint does not say it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A scope is never split, and all values of a watch have up to 16 MiB in the server.
const MESSAGE_MAX_BYTES: usize = 32 * 1024 * 1024;

/// Returns the current bearer token.
pub(super) type TokenSource = Box<dyn Fn() -> String + Send + Sync>;

/// The task's own state.
pub(super) struct Watcher {
    endpoint: Endpoint,
    token: TokenSource,
    options: Options,
    shared: Arc<Shared>,
    assembly: Assembly,
    /// How many streams have ended since the last message with all values.
    attempts: u32,
}

impl Watcher {
    pub(super) fn new(endpoint: Endpoint, token: TokenSource, options: Options, shared: Arc<Shared>) -> Self {
        let connect_timeout = endpoint.get_connect_timeout().unwrap_or(CONNECT_TIMEOUT);
        let endpoint = endpoint.http2_keep_alive_interval(PING_INTERVAL).connect_timeout(connect_timeout);
        Self { endpoint, token, options, shared, assembly: Assembly::default(), attempts: 0 }
    }

    /// Watches until a failure that no repetition mends.
    pub(super) async fn run(mut self) {
        loop {
            let Err(end) = self.watch().await;
            self.assembly.drop_pieces();
            let (next, pause) = (end.next(), end.pause(self.attempts, fastrand::f64()));
            self.shared.ended(end);
            match next {
                Next::Continue => {}
                Next::BeginAnew => self.assembly.forget_token(),
                Next::Stop => return self.shared.stop(),
            }
            self.attempts = self.attempts.saturating_add(1);
            self.shared.wait(sleep(pause)).await;
        }
    }

    /// Reads one stream to its end. It has a connection of its own: the last one may be dead without a sign.
    async fn watch(&mut self) -> Result<Infallible, StreamEnd> {
        let channel = self.step(self.endpoint.connect()).await?;
        let mut client = WatchServiceClient::new(channel).max_decoding_message_size(MESSAGE_MAX_BYTES);
        let mut messages = self.step(client.watch_values(self.request()?)).await?.into_inner();
        loop {
            let message = self.step(messages.message()).await?;
            let Some(message) = message else {
                return Err(StreamEnd::Connection("the stream ends without a status".to_owned()));
            };
            let closing = match &message.event {
                Some(Event::Closing(closing)) => Some(closing.retry_after.and_then(|after| after.try_into().ok())),
                _ => None,
            };
            if message.synced {
                self.attempts = 0;
            }
            let applied = self.assembly.apply(message);
            let sign = applied.sign;
            self.shared.show(&self.assembly, applied);
            if let Some(retry_after) = closing {
                return Err(StreamEnd::Closing { retry_after });
            }
            // A heartbeat that came too late, as after a suspend. The next stream begins with a synced message.
            if matches!(sign, Sign::Unchanged { .. }) && self.shared.state() != State::Ready {
                return Err(StreamEnd::Silence);
            }
        }
    }

    /// Waits for the server, as long as it may be silent.
    async fn step<T, E>(&self, step: impl Future<Output = Result<T, E>>) -> Result<T, StreamEnd>
    where
        StreamEnd: From<E>,
    {
        let result = self.shared.wait(timeout(self.options.silence(), step)).await;
        result.map_err(|_| StreamEnd::Silence)?.map_err(StreamEnd::from)
    }

    fn request(&self) -> Result<Request<WatchValuesRequest>, Status> {
        let Options { scopes, features, labels, organization, heartbeat, .. } = &self.options;
        let mut request = Request::new(WatchValuesRequest {
            parent: String::new(),
            names: scopes.iter().map(|scope| format!("{scope}{SETTINGS}")).collect(),
            features: features.clone(),
            resume_token: self.assembly.resume_token().to_owned(),
            heartbeat: (*heartbeat).try_into().ok(),
            labels: labels.clone(),
        });
        let metadata = request.metadata_mut();
        let token = (self.token)();
        if !token.is_empty() {
            let bearer = format!("Bearer {token}").parse::<MetadataValue<_>>();
            let mut bearer = bearer.map_err(|_| Status::unauthenticated("the token does not fit into a header"))?;
            bearer.set_sensitive(true);
            metadata.insert("authorization", bearer);
        }
        if let Some(organization) = organization {
            let id = organization.parse();
            let id = id.map_err(|_| Status::invalid_argument("the organization does not fit into a header"))?;
            metadata.insert("x-zitadel-orgid", id);
        }
        Ok(request)
    }
}
