//! Lists changes. They never change, so all pages of a list show one state.

use feature_api::feature::v1::{Change, ListChangesRequest, ListChangesResponse};
use feature_auth::access::NamedCaller;
use feature_core::Event;
use feature_store::{EventLog, Found, Order, StoreError};
use prost::Message;

use super::HistoryService;
use super::message::change;
use super::place::Place;
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{Backend, Call};
use crate::services::request::page_token::{PAGE_BYTES, PageToken, hash_of, page_size};

/// A page looks at so many events at most, and asks the index so often.
const EXAMINED_MAX: usize = 10_000;
const SEARCHES_MAX: usize = 100;

/// So many events are read at once.
const READ_AT_ONCE: usize = 100;

/// Which changes a list has, and which page of them.
struct Listing {
    place: Place,
    order: Order,
    of_request: u64,
    token: Option<PageToken>,
    page_size: usize,
}

impl HistoryService {
    pub(super) async fn list(&self, call: Call<'_>) -> Result<ListChangesResponse, Failure> {
        let listing = Listing::new(call.caller, call.request()?)?;
        if let Some(token) = &listing.token {
            self.backend.reach(token.state).await;
        }
        let read = self.backend.read(call.context, move |backend, _| {
            listing.place.check(backend)?;
            listing.page(backend)
        });
        Ok(read.await?.0)
    }
}

impl Listing {
    fn new(caller: &NamedCaller, request: ListChangesRequest) -> Result<Self, Failure> {
        let ListChangesRequest { parent, page_size: size, page_token, filter: text, order_by } = request;
        let place = Place::new(caller, &parent, &text)?;
        let order = match order_by.split_whitespace().collect::<Vec<_>>()[..] {
            [] | ["revision", "desc"] => Order::NewestFirst,
            ["revision"] => Order::OldestFirst,
            _ => return Err(Failure::field("order_by", "must be 'revision' or 'revision desc'")),
        };
        let of_request = hash_of((place.name(), &text, order == Order::NewestFirst));
        let (token, page_size) = (PageToken::read(&page_token, of_request)?, page_size(size)?);
        Ok(Self { place, order, of_request, token, page_size })
    }

    /// The page, with the token of the next one.
    fn page(&self, backend: &Backend) -> Result<ListChangesResponse, Failure> {
        let log = &*backend.log;
        // The newest revision that the list shows, and where the page begins.
        let (newest, mut at) = match &self.token {
            None if self.order == Order::NewestFirst => (log.newest(), log.newest()),
            None => (log.newest(), log.oldest()?),
            Some(token) => {
                let at = token.after.first().and_then(|at| at.parse().ok()).ok_or_else(PageToken::wrong)?;
                (token.state, at)
            }
        };
        let oldest = log.oldest()?;
        if self.token.is_some() && self.order == Order::OldestFirst && at < oldest {
            return Err(OwnFeatureFailure::Compacted { oldest, newest: log.newest() }.into());
        }
        let (mut changes, mut bytes, mut examined): (Vec<Change>, _, _) = (Vec::new(), 0, 0);
        for _ in 0..SEARCHES_MAX {
            let Found { revisions, next } = log.find(self.place.terms(), at, self.order)?;
            for part in revisions.chunks(READ_AT_ONCE) {
                for event in self.read(log, part)?.into_iter().filter(|event| event.revision <= newest) {
                    at = event.revision;
                    if self.place.includes(&event) {
                        let change = change(&event, backend);
                        bytes += change.encoded_len();
                        if changes.len() == self.page_size || (bytes > PAGE_BYTES && !changes.is_empty()) {
                            return Ok(self.answer(changes, newest, Some(at)));
                        }
                        changes.push(change);
                    }
                }
                examined += part.len();
                if examined >= EXAMINED_MAX {
                    let next = match self.order {
                        Order::NewestFirst => at.checked_sub(1),
                        Order::OldestFirst => Some(at + 1),
                    };
                    return Ok(self.answer(changes, newest, next.filter(|next| (oldest..=newest).contains(next))));
                }
            }
            match next.filter(|next| *next <= newest) {
                Some(next) => at = next,
                None => return Ok(self.answer(changes, newest, None)),
            }
        }
        Ok(self.answer(changes, newest, Some(at)))
    }

    /// The events with these revisions, in the order of the list.
    fn read(&self, log: &dyn EventLog, revisions: &[u64]) -> Result<Vec<Event>, StoreError> {
        let mut revisions = revisions.to_vec();
        revisions.sort_unstable();
        let (mut events, mut left) = (Vec::new(), &revisions[..]);
        while !left.is_empty() {
            let read = log.events_at(left)?;
            let Some(last) = read.last().map(|last| last.revision) else { break };
            events.extend(read);
            left = &left[left.partition_point(|revision| *revision <= last)..];
        }
        if self.order == Order::NewestFirst {
            events.reverse();
        }
        Ok(events)
    }

    fn answer(&self, changes: Vec<Change>, newest: u64, next: Option<u64>) -> ListChangesResponse {
        let token = |next: u64| PageToken::new(self.of_request, newest, vec![next.to_string()]).to_text();
        ListChangesResponse { changes, next_page_token: next.map(token).unwrap_or_default() }
    }
}
