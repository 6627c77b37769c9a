//! The values of a topic at a moment, and the messages that lead to them: a snapshot, or what differs.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use feature_api::feature::v1::watch_values_response::Event;
use feature_api::feature::v1::{ResolvedValue, ScopeValues, Values, WatchValuesResponse};
use prost::Message;

use super::resume_token::digest_of;
use super::{MESSAGE_BYTES, closing, now};
use crate::services::response_cache::Frame;

/// The values of a topic at a moment.
pub(super) struct State {
    /// Each state has one more than the one before.
    pub(super) number: u64,
    pub(super) revision: u64,
    pub(super) digest: u64,
    token: String,
    pub(super) scopes: Vec<ScopeValues>,
    /// What differs from the state before.
    delta: Arc<[Frame]>,
    snapshot: OnceLock<Arc<[Frame]>>,
}

impl State {
    /// The digest of the values: equal values have an equal one.
    pub(super) fn digest_of(scopes: &[ScopeValues]) -> u64 {
        let encoded: Vec<_> = scopes.iter().map(Message::encode_to_vec).collect();
        digest_of(&encoded.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// `before`: the state that is shown until now.
    pub(super) fn new(
        number: u64,
        revision: u64,
        digest: u64,
        token: String,
        scopes: Vec<ScopeValues>,
        before: Option<&State>,
    ) -> Self {
        let delta = Arc::from([]);
        let mut state = Self { number, revision, digest, token, scopes, delta, snapshot: OnceLock::new() };
        if let Some(before) = before {
            state.delta = state.since(before);
        }
        state
    }

    /// The messages that lead to this state.
    ///
    /// `shown`: the state that the client has.
    pub(super) fn messages(&self, shown: Option<&State>) -> Arc<[Frame]> {
        match shown {
            None => Arc::clone(self.snapshot.get_or_init(|| self.snapshot_as_of(self.revision, &self.token))),
            Some(shown) if shown.number + 1 == self.number => Arc::clone(&self.delta),
            // The client was too slow for the states between.
            Some(shown) => self.since(shown),
        }
    }

    /// All of this state, as that of a later revision, up to which nothing has changed.
    pub(super) fn snapshot_as_of(&self, revision: u64, token: &str) -> Arc<[Frame]> {
        pieces(self.scopes.clone(), Event::Snapshot, revision, token)
    }

    /// The end of a stream that shows this state, and has said that it shows everything up to a revision.
    pub(super) fn closing(&self, told: u64) -> Frame {
        frame(self.revision.max(told), self.token.clone(), Event::Closing(closing()), false, false)
    }

    /// Whether it is the same state as another one of the topic.
    pub(super) fn is(&self, other: &State) -> bool {
        self.number == other.number
    }

    /// What differs from another state.
    fn since(&self, other: &State) -> Arc<[Frame]> {
        let pairs = self.scopes.iter().zip(&other.scopes);
        let differences = pairs.filter(|(new, old)| new.values != old.values).map(|(new, old)| ScopeValues {
            settings: new.settings.clone(),
            values: differing(&new.values, &old.values),
            removed: old.values.keys().filter(|key| !new.values.contains_key(*key)).cloned().collect(),
        });
        pieces(differences.collect(), Event::Delta, self.revision, &self.token)
    }
}

/// One message, or several when it is large.
fn pieces(scopes: Vec<ScopeValues>, event: fn(Values) -> Event, revision: u64, token: &str) -> Arc<[Frame]> {
    let (mut pieces, mut piece, mut bytes) = (Vec::new(), Vec::new(), 0);
    for scope in scopes {
        bytes += scope.encoded_len();
        piece.push(scope);
        if bytes >= MESSAGE_BYTES {
            pieces.push(std::mem::take(&mut piece));
            bytes = 0;
        }
    }
    if !piece.is_empty() || pieces.is_empty() {
        pieces.push(piece);
    }
    let last = pieces.len() - 1;
    let frames = pieces.into_iter().enumerate().map(|(index, scopes)| {
        // A client that has a part of a state cannot continue from it.
        let token = if index == last { token.to_owned() } else { String::new() };
        frame(revision, token, event(Values { scopes }), index < last, index == last)
    });
    frames.collect()
}

/// The values that another map does not have.
fn differing(
    new: &BTreeMap<String, ResolvedValue>,
    old: &BTreeMap<String, ResolvedValue>,
) -> BTreeMap<String, ResolvedValue> {
    let differs = |(key, value): &(&String, &ResolvedValue)| old.get(*key) != Some(value);
    new.iter().filter(differs).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A message of a stream.
pub(super) fn frame(revision: u64, resume_token: String, event: Event, partial: bool, synced: bool) -> Frame {
    Frame::of(&WatchValuesResponse { revision, resume_token, time: now(), event: Some(event), partial, synced })
}
