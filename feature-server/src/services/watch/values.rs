//! Streams of values: a snapshot, then what differs, and heartbeats.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use feature_api::feature::v1::WatchValuesRequest;
use feature_api::feature::v1::watch_values_response::Event;
use feature_store::FeatureStore;
use futures_util::{Stream, StreamExt};
use pin_project_lite::pin_project;
use prost::Message;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep, sleep_until};

use super::lifetime::{End, Lifetime};
use super::open_stream::OpenStream;
use super::resume_token::{ResumeToken, digest_of};
use super::state::{State, frame};
use super::topic::{Key, Topic};
use super::topics::Topics;
use super::{Messages, closing, heartbeat};
use crate::error::{Failure, OwnFeatureFailure};
use crate::monitoring::watch_counters::{Kind, MessageType};
use crate::services::backend::Call;
use crate::services::request::resource::Resource;
use crate::services::response_cache::Frame;
use crate::services::settings::{FeatureFilter, check_parent, name};

pin_project! {
    /// A stream of values. It is polled by hand, since each future that waits is made once and not for each message.
    struct Watch {
        topics: Arc<Topics>,
        topic: Arc<Topic>,
        // Notified when the topic has a new state.
        streams: Arc<Notify>,
        #[pin]
        changed: OwnedNotified,
        // The digest of what the client has from an earlier stream.
        resumed: Option<u64>,
        // The stream has said that it shows everything up to this revision. The next message does not go back.
        told: u64,
        // The state that the client has, after the messages that are left.
        shown: Option<Arc<State>>,
        left: Arc<[Frame]>,
        next_of_left: usize,
        left_type: MessageType,
        heartbeat: Duration,
        next_heartbeat: Instant,
        // Ends at the next heartbeat or before it: a message does not set it again.
        #[pin]
        timer: Sleep,
        #[pin]
        lifetime: Lifetime,
        phase: Phase,
        open: OpenStream,
    }
}

/// The time until a look at a topic whose state is older than what the client has.
const BEHIND: Duration = Duration::from_millis(5);

/// How far a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Its last message is sent; its status is not.
    Closing,
    Ended,
}

/// Begins a stream.
pub(super) async fn watch(topics: Arc<Topics>, call: Call<'_>) -> Result<Messages, Failure> {
    let mut request: WatchValuesRequest = call.request()?;
    let heartbeat = heartbeat(request.heartbeat.take())?;
    let resume_token = std::mem::take(&mut request.resume_token);
    let filter = FeatureFilter::new(&request.features, &request.labels)?;
    if request.names.is_empty() {
        return Err(Failure::field("names", "must have the name of settings"));
    }
    let named = request.names.iter().enumerate().map(|(index, text)| {
        let field = format!("names[{index}]");
        let (caller, resource) = Resource::named(call.caller, &name(&field, text)?)?;
        check_parent(call.caller, &request.parent, &resource, &field)?;
        Ok((caller, resource))
    });
    let scopes: Vec<_> = named.collect::<Result<_, Failure>>()?;
    let mut seen = HashSet::new();
    if let Some(index) = scopes.iter().position(|(_, resource)| !seen.insert(resource.scope())) {
        return Err(Failure::field(format!("names[{index}]"), "is the same as an earlier one"));
    }
    drop(seen);
    let backend = Arc::clone(topics.backend());
    let key = Key { caller: call.caller.clone(), request: Bytes::from(request.encode_to_vec()) };
    let (resumed, told) = match &*resume_token {
        "" => (None, 0),
        text => {
            let token = ResumeToken::read(text, &*backend.log, digest_of(&[&key.request]))?;
            backend.reach(token.revision).await;
            let newest = backend.store.revision();
            if token.revision > newest {
                return Err(OwnFeatureFailure::RevisionUnknown { revision: token.revision, newest }.into());
            }
            (Some(token.digest), token.revision)
        }
    };
    let topic = topics.open(key, scopes, filter);
    let (lifetime, open) = (Lifetime::of(call, &backend), OpenStream::new(call.context, Kind::Values));
    let streams = topic.changed(topics.wakers());
    let next_heartbeat = Instant::now() + heartbeat;
    let watch = Watch {
        topics,
        topic,
        changed: Arc::clone(&streams).notified_owned(),
        streams,
        resumed,
        told,
        shown: None,
        left: Arc::from([]),
        next_of_left: 0,
        left_type: MessageType::Snapshot,
        heartbeat,
        next_heartbeat,
        timer: sleep_until(Instant::now()),
        lifetime,
        phase: Phase::Open,
        open,
    };
    Ok(watch.boxed())
}

impl Stream for Watch {
    type Item = Result<Frame, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = match self.phase {
            Phase::Ended => return Poll::Ready(None),
            Phase::Closing => Err(Failure::ShuttingDown),
            Phase::Open => ready!(self.as_mut().poll_message(cx)),
        };
        let this = self.project();
        *this.next_heartbeat = Instant::now() + *this.heartbeat;
        Poll::Ready(Some(match message {
            Ok((message, frame)) => {
                this.open.sent(message);
                Ok(frame)
            }
            Err(failure) => {
                *this.phase = Phase::Ended;
                this.open.ends_with(&failure);
                Err(failure)
            }
        }))
    }
}

impl Watch {
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(MessageType, Frame), Failure>> {
        let mut this = self.project();
        loop {
            // A stream that always has something to send ends, too.
            if let Poll::Ready(end) = this.lifetime.as_mut().poll(cx) {
                return Poll::Ready(match end {
                    End::Credential(error) => Err(error.into()),
                    End::Leaving => {
                        *this.phase = Phase::Closing;
                        // A state of which pieces are left is not what the client has: its last token is an older one.
                        let is_whole = this.left.get(*this.next_of_left).is_none();
                        let last = match this.shown {
                            Some(shown) if is_whole => shown.closing(*this.told),
                            _ => frame(0, String::new(), Event::Closing(closing()), false, false),
                        };
                        Ok((MessageType::Closing, last))
                    }
                });
            }
            if let Some(frame) = this.left.get(*this.next_of_left) {
                *this.next_of_left += 1;
                return Poll::Ready(Ok((*this.left_type, frame.clone())));
            }
            let has_changed = this.changed.as_mut().poll(cx).is_ready();
            if has_changed {
                // Before the look, so that no state is missed.
                this.changed.set(Arc::clone(this.streams).notified_owned());
            }
            if let Some(state) = this.topic.newest().transpose()?
                && !this.shown.as_ref().is_some_and(|shown| shown.is(&state))
            {
                let mut as_of = state.revision;
                if this.shown.is_none() && as_of < *this.told {
                    // The client has more from another server, or the topic is not resolved yet: nothing older follows.
                    as_of = this.topic.is_right_up_to(&state, this.topics.backend()).unwrap_or_default();
                    if as_of < *this.told {
                        this.topics.resolve_soon(this.topic);
                        this.timer.as_mut().reset(Instant::now() + BEHIND);
                        ready!(this.timer.as_mut().poll(cx));
                        continue;
                    }
                }
                let is_what_it_has = this.resumed.take() == Some(state.digest);
                if this.shown.is_none() && is_what_it_has {
                    let (heartbeat, told) = this.topic.heartbeat(&state, true, *this.told, this.topics.backend());
                    (*this.shown, *this.told) = (Some(state), told);
                    return Poll::Ready(Ok((MessageType::Heartbeat, heartbeat)));
                }
                *this.left_type = if this.shown.is_none() { MessageType::Snapshot } else { MessageType::Delta };
                *this.left = match as_of > state.revision {
                    true => state.snapshot_as_of(as_of, &this.topic.token_of(&state, as_of, this.topics.backend())),
                    false => state.messages(this.shown.as_deref()),
                };
                *this.told = as_of;
                (*this.next_of_left, *this.shown) = (0, Some(state));
                continue;
            }
            if has_changed {
                continue;
            }
            ready!(this.timer.as_mut().poll(cx));
            if *this.next_heartbeat <= Instant::now() {
                let backend = this.topics.backend();
                if this.topic.unchanged_up_to(backend).is_none() {
                    this.topics.resolve_soon(this.topic);
                }
                if let Some(shown) = this.shown {
                    let (heartbeat, told) = this.topic.heartbeat(shown, false, *this.told, backend);
                    *this.told = told;
                    return Poll::Ready(Ok((MessageType::Heartbeat, heartbeat)));
                }
                *this.next_heartbeat = Instant::now() + *this.heartbeat;
            }
            let wake_at = this.lifetime.look_at().min(*this.next_heartbeat);
            this.timer.as_mut().reset(wake_at);
        }
    }
}
