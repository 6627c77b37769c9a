//! Follows a stream of changes.

use std::sync::{Arc, MutexGuard, PoisonError};

use fastrand::Rng;
use feature_api::feature::v1::watch_changes_request::Start as Asked;
use feature_api::feature::v1::watch_changes_response::Event as Told;
use feature_api::feature::v1::{WatchChangesRequest, WatchChangesResponse};
use tonic::{Status, Streaming};

use super::Shared;
use super::line::{Client, Follower, Taken};
use crate::campaign::watch::hub::{Hub, Place};
use crate::campaign::watch::record::{ChangesRecord, ChangesSeen, End, Event, Start};

/// The tokens that a client has.
const TOKENS: usize = 8;

/// The client of a stream of changes.
pub struct ChangesFollower {
    record: Shared<ChangesRecord>,
    /// Learns the changes.
    hub: Option<Arc<Hub>>,
    era: usize,
    /// The last tokens with their revisions, the newest one last.
    tokens: Vec<(String, u64)>,
    /// Where it begins without a token.
    after: u64,
    start: Start,
    has_begun: bool,
}

impl ChangesFollower {
    pub fn new(record: Shared<ChangesRecord>, hub: Option<Arc<Hub>>) -> Self {
        Self { record, hub, era: 0, tokens: Vec::new(), after: 0, start: Start::After(0), has_begun: false }
    }

    fn record(&self) -> MutexGuard<'_, ChangesRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, seen: ChangesSeen) {
        self.record().seen.push(seen);
    }
}

impl Follower for ChangesFollower {
    type Message = WatchChangesResponse;

    async fn open(&mut self, client: &mut Client, rng: &mut Rng) -> Result<Streaming<Self::Message>, Status> {
        // Now and then a client has not kept its last token.
        let back = if rng.u8(..10) == 0 { rng.usize(..TOKENS) } else { 0 };
        let keep = self.tokens.len().saturating_sub(back).max(1);
        self.tokens.truncate(keep);
        let asked = match self.tokens.last() {
            Some((token, revision)) => {
                self.start = Start::Token(*revision);
                Asked::ResumeToken(token.clone())
            }
            None => {
                self.start = Start::After(self.after);
                Asked::AfterRevision(self.after)
            }
        };
        self.has_begun = false;
        let selection = self.record().selection.clone();
        let heartbeat = Some(prost_types::Duration { seconds: 1, nanos: 0 });
        let (parent, filter) = (selection.parent.clone(), selection.filter());
        let (grpc, request) = client.call(WatchChangesRequest { parent, filter, start: Some(asked), heartbeat });
        Ok(grpc.watch_changes(request).await?.into_inner())
    }

    fn began(&mut self, place: &Place) {
        (self.era, self.has_begun) = (place.era, true);
        self.see(ChangesSeen::Began { era: place.era, start: self.start });
    }

    fn take(&mut self, message: WatchChangesResponse) -> Taken {
        let WatchChangesResponse { revision, resume_token, event, .. } = message;
        let is_closing = matches!(event, Some(Told::Closing(_)));
        if let Some(Told::Changes(told)) = event {
            let events: Vec<_> = told.changes.iter().map(Event::new).collect();
            let changes = events.iter().map(|event| (event.revision, event.digest)).collect();
            self.see(ChangesSeen::Changes { revision, changes });
            if let Some(hub) = &self.hub {
                events.into_iter().for_each(|event| hub.learn(self.era, event));
            }
        } else {
            self.see(ChangesSeen::Nothing { revision });
        }
        if !resume_token.is_empty() {
            self.tokens.push((resume_token, revision));
            if self.tokens.len() > TOKENS {
                self.tokens.remove(0);
            }
        }
        Taken { revision: Some(revision), is_closing }
    }

    fn ended(&mut self, end: End) {
        match end {
            End::TakenBack => {
                self.tokens.clear();
                self.after = 0;
            }
            End::Compacted { oldest, .. } => {
                if !self.has_begun {
                    self.see(ChangesSeen::Refused { start: self.start });
                }
                self.tokens.clear();
                self.after = oldest - 1;
            }
            _ => {}
        }
        self.see(ChangesSeen::Ended(end));
    }
}
