//! Streams of values: a snapshot, then what differs, and heartbeats.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use feature_api::feature::v1::WatchValuesRequest;
use feature_api::feature::v1::watch_values_response::Event;
use feature_store::FeatureStore;
use futures_util::FutureExt;
use prost::Message;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use super::lifetime::{End, Lifetime};
use super::resume_token::{ResumeToken, digest_of};
use super::state::{State, frame};
use super::topic::{Key, Topic};
use super::topics::Topics;
use super::{Messages, Source, closing, heartbeat};
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::Call;
use crate::services::request::resource::Resource;
use crate::services::response_cache::Frame;
use crate::services::settings::{check_parent, name};

/// A stream of values.
struct Watch {
    topics: Arc<Topics>,
    topic: Arc<Topic>,
    states: Receiver<Option<Result<Arc<State>, Failure>>>,
    /// The digest of what the client has from an earlier stream.
    resumed: Option<u64>,
    /// The state that the client has, after the messages that are left.
    shown: Option<Arc<State>>,
    left: Arc<[Frame]>,
    next_of_left: usize,
    heartbeat: Duration,
    next_heartbeat: Instant,
    lifetime: Lifetime,
    /// What the stream ends with, once it is over.
    end: Option<Failure>,
}

/// Begins a stream.
pub(super) async fn watch(topics: Arc<Topics>, call: Call<'_>) -> Result<Messages, Failure> {
    let mut request: WatchValuesRequest = call.request()?;
    let heartbeat = heartbeat(request.heartbeat.take())?;
    let resume_token = std::mem::take(&mut request.resume_token);
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
    let resumed = match &*resume_token {
        "" => None,
        text => {
            let token = ResumeToken::read(text, &*backend.log, digest_of(&[&key.request]))?;
            backend.reach(token.revision).await;
            let newest = backend.store.revision();
            if token.revision > newest {
                return Err(OwnFeatureFailure::RevisionUnknown { revision: token.revision, newest }.into());
            }
            Some(token.digest)
        }
    };
    let topic = topics.open(key, scopes, request.features);
    let lifetime = Lifetime::of(call, &backend);
    let watch = Watch {
        states: topic.states(),
        topics,
        topic,
        resumed,
        shown: None,
        left: Arc::from([]),
        next_of_left: 0,
        heartbeat,
        next_heartbeat: Instant::now() + heartbeat,
        lifetime,
        end: None,
    };
    Ok(watch.messages())
}

impl Source for Watch {
    async fn next(&mut self) -> Result<Frame, Failure> {
        let told = self.tell().await?;
        self.next_heartbeat = Instant::now() + self.heartbeat;
        Ok(told)
    }
}

impl Watch {
    async fn tell(&mut self) -> Result<Frame, Failure> {
        loop {
            if let Some(end) = self.end.take() {
                return Err(end);
            }
            // A stream that always has something to send ends, too.
            if let Some(end) = self.lifetime.over().now_or_never() {
                return self.end_with(end);
            }
            if let Some(frame) = self.left.get(self.next_of_left) {
                self.next_of_left += 1;
                return Ok(frame.clone());
            }
            let newest = self.states.borrow_and_update().clone().transpose()?;
            if let Some(state) = newest
                && !self.shown.as_ref().is_some_and(|shown| shown.is(&state))
            {
                let is_what_it_has = self.resumed.take() == Some(state.digest);
                if self.shown.is_none() && is_what_it_has {
                    let heartbeat = self.topic.heartbeat(&state, true, self.topics.backend());
                    self.shown = Some(state);
                    return Ok(heartbeat);
                }
                self.left = state.messages(self.shown.as_deref());
                (self.next_of_left, self.shown) = (0, Some(state));
                continue;
            }
            tokio::select! {
                end = self.lifetime.over() => return self.end_with(end),
                () = sleep_until(self.next_heartbeat) => {
                    let backend = self.topics.backend();
                    if self.topic.unchanged_up_to(backend).is_none() {
                        self.topics.resolve_soon(&self.topic);
                    }
                    if let Some(shown) = &self.shown {
                        return Ok(self.topic.heartbeat(shown, false, backend));
                    }
                    self.next_heartbeat = Instant::now() + self.heartbeat;
                }
                // The topic lives as long as the stream.
                Ok(()) = self.states.changed() => {}
            }
        }
    }

    fn end_with(&mut self, end: End) -> Result<Frame, Failure> {
        match end {
            End::Credential(error) => Err(error.into()),
            End::Leaving => {
                self.end = Some(Failure::ShuttingDown);
                Ok(match &self.shown {
                    Some(shown) => shown.closing(),
                    None => frame(0, String::new(), Event::Closing(closing()), false, false),
                })
            }
        }
    }
}
