//! Streams of changes: every one, in order. What is not in memory any more is read from the history, at the pace of the
//! reader.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use feature_api::feature::v1::watch_changes_request::Start;
use feature_api::feature::v1::watch_changes_response::Event as Told;
use feature_api::feature::v1::{Change, Changes, WatchChangesRequest, WatchChangesResponse};
use feature_core::Event;
use feature_store::{Found, Order, ReadError, StoreError};
use futures_util::{FutureExt, StreamExt, stream};
use prost::Message;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::lifetime::{End, Lifetime};
use super::open_stream::OpenStream;
use super::resume_token::{ResumeToken, digest_of};
use super::{MESSAGE_BYTES, Messages, closing, heartbeat, now, sign_of_life};
use crate::error::{Failure, OwnFeatureFailure};
use crate::monitoring::watch_counters::{Kind, MessageType};
use crate::services::backend::{Backend, Call};
use crate::services::history::{Place, change};
use crate::services::request::moment::check_revision;
use crate::services::response_cache::Frame;

/// The most changes of a message.
const CHANGES_MAX: usize = 100;

/// So many events are looked at for one message.
const EXAMINED_MAX: usize = 1_000;

/// The stream of a client that leaves messages untaken for so long ends.
const STALL_MAX: Duration = Duration::from_secs(30);

/// The pause after a read for which there was no room.
const RETRY: Duration = Duration::from_millis(100);

/// A stream of changes.
struct Watch {
    backend: Arc<Backend>,
    place: Arc<Place>,
    request: u64,
    /// All changes up to this one were told.
    revision: u64,
    /// The digest of that change, or 0 when it is not known.
    digest: u64,
    heartbeat: Duration,
    next_heartbeat: Instant,
    newest: watch::Receiver<u64>,
    lifetime: Pin<Box<Lifetime>>,
    /// When the last message was taken to be sent.
    last_sent: Instant,
    /// Whether the last message is sent; the status is not.
    is_closing: bool,
    open: OpenStream,
}

/// What a look into the history has found.
struct Look {
    changes: Vec<Change>,
    revision: u64,
    digest: u64,
    /// Whether the message has room for no more.
    is_full: bool,
}

/// Begins a stream.
pub(super) async fn watch(backend: Arc<Backend>, call: Call<'_>) -> Result<Messages, Failure> {
    let request: WatchChangesRequest = call.request()?;
    let WatchChangesRequest { parent, filter, start, heartbeat: asked } = request;
    let heartbeat = heartbeat(asked)?;
    let place = Arc::new(Place::new(call.caller, &parent, &filter)?);
    let request = digest_of(&[place.name().as_bytes(), filter.as_bytes()]);
    // Subscribed before the first look, so that no change is missed.
    let newest = backend.store.revisions();
    let token = match start {
        Some(Start::ResumeToken(text)) => Some(ResumeToken::read(&text, &*backend.log, request)?),
        Some(Start::AfterRevision(revision)) => Some(ResumeToken::new(&*backend.log, revision, 0, request)),
        None => None,
    };
    if let Some(token) = &token {
        backend.reach(token.revision).await;
    }
    let of_reader = Arc::clone(&place);
    let begin = move |backend: &Backend, _: &mut _| {
        of_reader.check(backend)?;
        let Some(ResumeToken { revision, digest, .. }) = token else {
            let newest = backend.log.newest();
            return Ok((newest, digest_at(backend, newest)?));
        };
        check_revision(backend, revision)?;
        let there = digest_at(backend, revision)?;
        // A change that is not kept any more proves nothing.
        if digest != 0 && there != 0 && digest != there {
            return Err(Failure::HistoryChanged { revision });
        }
        Ok((revision, there))
    };
    let ((revision, digest), _) = backend.read(call.context, begin).await?;
    let (lifetime, open) = (Box::pin(Lifetime::of(call, &backend)), OpenStream::new(call.context, Kind::Changes));
    let now = Instant::now();
    let watch = Watch {
        backend,
        place,
        request,
        revision,
        digest,
        heartbeat,
        // The first message comes at once.
        next_heartbeat: now,
        newest,
        lifetime,
        last_sent: now,
        is_closing: false,
        open,
    };
    Ok(watch.messages())
}

impl Watch {
    /// All messages, up to the first failure.
    fn messages(self) -> Messages {
        let next = |watch: Option<Self>| async {
            let mut watch = watch?;
            let message = watch.next().await.inspect_err(|failure| watch.open.ends_with(failure));
            let goes_on = message.is_ok();
            Some((message, goes_on.then_some(watch)))
        };
        stream::unfold(Some(self), next).boxed()
    }

    /// The next message.
    async fn next(&mut self) -> Result<Frame, Failure> {
        if self.is_closing {
            return Err(Failure::ShuttingDown);
        }
        // The stream is polled when the client has room for another message.
        if self.last_sent.elapsed() > STALL_MAX + self.heartbeat && *self.newest.borrow() > self.revision {
            return Err(OwnFeatureFailure::WatchTooSlow.into());
        }
        let told = self.tell().await?;
        self.last_sent = Instant::now();
        self.next_heartbeat = self.last_sent + self.heartbeat;
        Ok(told)
    }

    async fn tell(&mut self) -> Result<Frame, Failure> {
        loop {
            self.newest.mark_unchanged();
            while self.revision < *self.newest.borrow() {
                // A stream that always has something to send ends, too.
                if let Some(end) = (&mut self.lifetime).now_or_never() {
                    return self.end_with(end);
                }
                let Look { changes, revision, digest, .. } = self.look().await?;
                (self.revision, self.digest) = (revision, digest);
                if !changes.is_empty() {
                    return Ok(self.message(Told::Changes(Changes { changes })));
                }
                if Instant::now() >= self.next_heartbeat {
                    break;
                }
            }
            if self.next_heartbeat <= Instant::now() {
                return Ok(self.message(Told::Heartbeat(sign_of_life(&self.backend))));
            }
            let wake_at = self.next_heartbeat.min(self.lifetime.look_at());
            tokio::select! {
                // First the lifetime, which sets when to look at it again.
                biased;
                end = &mut self.lifetime => return self.end_with(end),
                () = sleep_until(wake_at) => {}
                // The store ends with the server.
                Ok(()) = self.newest.changed() => {}
            }
        }
    }

    fn end_with(&mut self, end: End) -> Result<Frame, Failure> {
        match end {
            End::Credential(error) => Err(error.into()),
            End::Leaving => {
                self.is_closing = true;
                Ok(self.message(Told::Closing(closing())))
            }
        }
    }

    /// Looks at the next events.
    async fn look(&mut self) -> Result<Look, Failure> {
        // A user may be out of reach by now, which only a read tells.
        if !self.place.is_user()
            && let Some(events) = self.backend.store.recent_events(self.revision, EXAMINED_MAX)
        {
            return Ok(Look::at(&self.place, &self.backend, self.revision, &events));
        }
        loop {
            let (place, backend, after) = (Arc::clone(&self.place), Arc::clone(&self.backend), self.revision);
            match self.backend.readers.read(move |_| Look::into_history(&place, &backend, after)).await {
                Ok(look) => return look,
                Err(ReadError::QueueFull) => sleep(RETRY).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn message(&self, event: Told) -> Frame {
        self.open.sent(match event {
            Told::Changes(_) => MessageType::Changes,
            Told::Heartbeat(_) => MessageType::Heartbeat,
            Told::Closing(_) => MessageType::Closing,
        });
        let token = ResumeToken::new(&*self.backend.log, self.revision, self.digest, self.request);
        Frame::of(&WatchChangesResponse {
            revision: self.revision,
            resume_token: token.to_text(),
            time: now(),
            event: Some(event),
        })
    }
}

impl Look {
    /// Looks at these events, which come after a revision.
    fn at(place: &Place, backend: &Backend, after: u64, events: &[Event]) -> Self {
        let mut look = Self { changes: Vec::new(), revision: after, digest: 0, is_full: false };
        let mut bytes = 0;
        for event in events {
            look.revision = event.revision;
            if place.includes(event) {
                let change = change(event, backend);
                bytes += change.encoded_len();
                look.changes.push(change);
                if look.changes.len() == CHANGES_MAX || bytes >= MESSAGE_BYTES {
                    look.is_full = true;
                    break;
                }
            }
        }
        let last = events.iter().take_while(|event| event.revision <= look.revision).last();
        look.digest = last.map_or(0, digest_of_event);
        look
    }

    /// Looks for events in the history.
    fn into_history(place: &Place, backend: &Backend, after: u64) -> Result<Self, Failure> {
        let log = &*backend.log;
        place.check(backend)?;
        // Read before the search, which may see more.
        let newest = log.newest();
        let Found { mut revisions, next } = log.find(place.terms(), after + 1, Order::OldestFirst)?;
        let end = if revisions.len() > CHANGES_MAX {
            revisions[CHANGES_MAX - 1]
        } else {
            next.map_or(newest, |next| next - 1)
        };
        revisions.truncate(CHANGES_MAX);
        let events = if revisions.is_empty() { Vec::new() } else { log.events_at(&revisions)? };
        let is_cut = events.len() < revisions.len();
        // Afterwards, since events may be dropped at any time.
        let oldest = log.oldest()?;
        if after + 1 < oldest {
            return Err(OwnFeatureFailure::Compacted { oldest, newest: log.newest() }.into());
        }
        let mut look = Self::at(place, backend, after, &events);
        if !look.is_full && !is_cut && end > look.revision {
            (look.revision, look.digest) = (end, digest_at(backend, end)?);
        }
        Ok(look)
    }
}

/// The digest of the change with this revision; 0 when it is not there.
fn digest_at(backend: &Backend, revision: u64) -> Result<u64, StoreError> {
    let event = if revision == 0 { None } else { backend.log.events_at(&[revision])?.pop() };
    Ok(event.map_or(0, |event| digest_of_event(&event)))
}

/// An erasure may take out the rest of an event.
fn digest_of_event(event: &Event) -> u64 {
    let (revision, time) = (event.revision.to_be_bytes(), event.time.unix_nanos().to_be_bytes());
    digest_of(&[&revision, &time, event.request_id.as_bytes()])
}
