//! Follows a stream of values, by the rules of docs/sdk.md.

use std::mem;
use std::sync::{MutexGuard, PoisonError};

use fastrand::Rng;
use feature_api::feature::v1::watch_values_response::Event as Told;
use feature_api::feature::v1::{ScopeValues, WatchValuesRequest, WatchValuesResponse};
use tonic::{Status, Streaming};

use super::Shared;
use super::line::{Client, Follower, Taken};
use crate::campaign::watch::hub::Place;
use crate::campaign::watch::record::{End, Value, Values, ValuesRecord, ValuesSeen};

/// The client of a stream of values.
pub struct ValuesFollower {
    record: Shared<ValuesRecord>,
    /// The last token with its revision.
    token: Option<(String, u64)>,
    pieces: Vec<ScopeValues>,
}

impl ValuesFollower {
    pub fn new(record: Shared<ValuesRecord>) -> Self {
        Self { record, token: None, pieces: Vec::new() }
    }

    fn record(&self) -> MutexGuard<'_, ValuesRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, seen: ValuesSeen) {
        self.record().seen.push(seen);
    }
}

impl Follower for ValuesFollower {
    type Message = WatchValuesResponse;

    async fn open(&mut self, client: &mut Client, _: &mut Rng) -> Result<Streaming<Self::Message>, Status> {
        let (names, features) = {
            let record = self.record();
            (record.names.clone(), record.features.clone())
        };
        let resume_token = self.token.as_ref().map(|(token, _)| token.clone()).unwrap_or_default();
        let heartbeat = Some(prost_types::Duration { seconds: 1, nanos: 0 });
        let message = WatchValuesRequest { names, features, resume_token, heartbeat, ..Default::default() };
        let (grpc, request) = client.call(message);
        Ok(grpc.watch_values(request).await?.into_inner())
    }

    fn began(&mut self, place: &Place) {
        self.pieces.clear();
        let resumed = self.token.as_ref().map(|(_, revision)| *revision);
        self.see(ValuesSeen::Began { era: place.era, resumed });
    }

    fn take(&mut self, message: WatchValuesResponse) -> Taken {
        let WatchValuesResponse { revision, resume_token, event, partial, synced, .. } = message;
        let is_closing = matches!(event, Some(Told::Closing(_)));
        let (told, is_snapshot) = match event {
            Some(Told::Snapshot(told)) => (Some(told), true),
            Some(Told::Delta(told)) => (Some(told), false),
            _ => (None, false),
        };
        if partial && (synced || !resume_token.is_empty() || told.is_none()) {
            self.see(ValuesSeen::Ended(End::Other(format!("a piece at {revision} is one of a whole state"))));
        }
        let is_state = told.is_some();
        self.pieces.extend(told.into_iter().flat_map(|told| told.scopes));
        if partial {
            return Taken { revision: None, is_closing };
        }
        if is_state {
            if !synced {
                self.see(ValuesSeen::Ended(End::Other(format!("a whole state at {revision} is not synced"))));
            }
            let (values, removed) = fold(mem::take(&mut self.pieces));
            self.see(match is_snapshot {
                true => ValuesSeen::Snapshot { revision, values },
                false => ValuesSeen::Delta { revision, values, removed },
            });
        } else if !resume_token.is_empty() {
            self.see(ValuesSeen::Nothing { revision });
        }
        if !resume_token.is_empty() {
            self.token = Some((resume_token, revision));
        }
        Taken { revision: Some(revision), is_closing }
    }

    fn ended(&mut self, end: End) {
        if end == End::TakenBack {
            self.token = None;
        }
        self.see(ValuesSeen::Ended(end));
    }
}

/// The values of scopes, and what has none any more.
pub fn fold(scopes: Vec<ScopeValues>) -> (Values, Vec<(String, String)>) {
    let (mut values, mut removed) = (Values::new(), Vec::new());
    for ScopeValues { settings, values: of_scope, removed: gone } in scopes {
        let own = of_scope.iter().map(|(key, value)| ((settings.clone(), key.clone()), Value::from(value)));
        values.extend(own);
        removed.extend(gone.into_iter().map(|key| (settings.clone(), key)));
    }
    (values, removed)
}
