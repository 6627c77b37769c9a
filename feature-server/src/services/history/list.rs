//! Lists changes. They never change, so all pages of a list show one state.

use feature_api::feature::v1::{Change, Level as LevelName, ListChangesRequest, ListChangesResponse};
use feature_api::filter::{Field, FieldType, Filter};
use feature_api::resource_name::SettingsName;
use feature_auth::access::NamedCaller;
use feature_core::{Event, InstanceId, Scope};
use feature_store::{EventLog, Found, Order, StoreError, Term};
use prost::Message;

use super::message::{change, kind};
use super::{HistoryService, check_user};
use crate::error::{Failure, OwnFeatureFailure};
use crate::services::backend::{Backend, Call};
use crate::services::page_token::{PAGE_BYTES, PageToken, hash_of, page_size};
use crate::services::resource::{Resource, owner};

/// A page looks at so many events at most, and asks the index so often.
const EXAMINED_MAX: usize = 10_000;
const SEARCHES_MAX: usize = 100;

/// So many events are read at once.
const READ_AT_ONCE: usize = 100;

const LEVELS: [&str; 4] = ["LEVEL_SYSTEM", "LEVEL_INSTANCE", "LEVEL_ORGANIZATION", "LEVEL_USER"];
const KINDS: [&str; 3] = ["CHANGE_KIND_SET", "CHANGE_KIND_RESET", "CHANGE_KIND_DEFINITION"];

/// What a filter can compare.
const FIELDS: [(&str, FieldType<'static>); 7] = [
    ("feature", FieldType::Keys),
    ("actor", FieldType::Text),
    ("kind", FieldType::Enum(&KINDS)),
    ("level", FieldType::Enum(&LEVELS)),
    ("create_time", FieldType::Time),
    ("request_id", FieldType::Text),
    ("comment", FieldType::Text),
];

/// Which changes a list has, and which page of them.
struct Listing {
    within: Within,
    filter: Filter,
    terms: Vec<Term>,
    order: Order,
    of_request: u64,
    token: Option<PageToken>,
    page_size: usize,
}

/// What has changed.
enum Within {
    Everything,
    /// An instance, and all scopes in it.
    Instance(InstanceId),
    /// One scope.
    Settings(Resource),
}

impl HistoryService {
    pub(super) async fn list(&self, call: Call<'_>) -> Result<ListChangesResponse, Failure> {
        let listing = Listing::new(call.caller, call.request()?)?;
        if let Some(token) = &listing.token {
            self.backend.reach(token.state).await;
        }
        let read = self.backend.read(call.context, move |backend, _| {
            if let Within::Settings(resource) = &listing.within {
                // A caller of an organization may reach some users only.
                check_user(backend, resource)?;
            }
            listing.page(backend)
        });
        Ok(read.await?.0)
    }
}

impl Listing {
    fn new(caller: &NamedCaller, request: ListChangesRequest) -> Result<Self, Failure> {
        let ListChangesRequest { parent, page_size: size, page_token, filter: text, order_by } = request;
        let parent = SettingsName::of_changes(&parent).map_err(|error| Failure::field("parent", error.to_string()))?;
        let within = match parent {
            None => Within::of_owner(owner(caller, None)?),
            Some(SettingsName::Instance(instance)) => Within::of_owner(owner(caller, Some(&instance))?),
            Some(settings) => Within::Settings(Resource::named(caller, &settings)?.1),
        };
        let term = match &within {
            Within::Everything => None,
            Within::Instance(instance) => Some(Term::instance(instance)),
            Within::Settings(resource) => Some(Term::scope(resource.scope())),
        };
        let filter = Filter::parse(&text, &FIELDS).map_err(|error| Failure::field("filter", error.to_string()))?;
        let order = match order_by.split_whitespace().collect::<Vec<_>>()[..] {
            [] | ["revision", "desc"] => Order::NewestFirst,
            ["revision"] => Order::OldestFirst,
            _ => return Err(Failure::field("order_by", "must be 'revision' or 'revision desc'")),
        };
        let of_request = hash_of((&term, &text, order == Order::NewestFirst));
        let by_filter = [filter.required("feature").map(Term::feature), filter.required("actor").map(Term::actor)];
        Ok(Self {
            within,
            filter,
            terms: term.into_iter().chain(by_filter.into_iter().flatten()).collect(),
            order,
            of_request,
            token: PageToken::read(&page_token, of_request)?,
            page_size: page_size(size)?,
        })
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
            let Found { revisions, next } = log.find(&self.terms, at, self.order)?;
            for part in revisions.chunks(READ_AT_ONCE) {
                for event in self.read(log, part)?.into_iter().filter(|event| event.revision <= newest) {
                    at = event.revision;
                    if self.includes(&event) {
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

    /// Whether an event is one of the list. The index finds others, too.
    fn includes(&self, event: &Event) -> bool {
        self.within.has(&event.scope)
            && self.filter.matches(|field| match field {
                "feature" => Field::Texts(keys(event)),
                "actor" => Field::Text(&event.actor),
                "kind" => Field::Text(kind(event).as_str_name()),
                "level" => Field::Text(LevelName::from(event.scope.level()).as_str_name()),
                "create_time" => Field::Time(event.time),
                "request_id" => Field::Text(&event.request_id),
                _ => Field::Text(&event.comment),
            })
    }
}

impl Within {
    fn of_owner(instance: Option<InstanceId>) -> Self {
        instance.map_or(Self::Everything, Self::Instance)
    }

    fn has(&self, scope: &Scope) -> bool {
        match self {
            Self::Everything => true,
            Self::Instance(instance) => scope.instance() == Some(instance),
            Self::Settings(resource) => scope == resource.scope(),
        }
    }
}

/// The keys of the features that an event concerns.
fn keys(event: &Event) -> Vec<&str> {
    match &event.scope {
        Scope::Definition(_, key) => vec![key.key().as_str()],
        _ => event.changes.iter().map(|change| change.key.as_str()).collect(),
    }
}
