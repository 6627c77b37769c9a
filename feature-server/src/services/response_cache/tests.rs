//! A service with a cache answers like one without, after any writes.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use feature_api::schema::Schema;
use feature_api::zitadel::feature::v2::*;
use feature_store::{Batch, MemoryStore, Selected, Selection};
use http::{Extensions, HeaderMap};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::runtime::Builder;
use tokio::sync::Notify;

use super::*;
use crate::call_context::CallContext;
use crate::middleware::auth::rules::rule;
use crate::services::backend::Backend;
use crate::services::feature::FeatureService;
use crate::services::testing::{Who, backend, caller};

/// Two services over one store, one of them with a cache.
struct Services {
    schema: Arc<Schema>,
    answers: Answers,
    remembering: FeatureService,
    forgetful: FeatureService,
}

/// A call and its caller.
#[derive(Debug, Clone)]
struct Call {
    method: &'static str,
    message: Vec<u8>,
    who: Who,
    organization: &'static str,
}

impl Services {
    fn over(store: Arc<dyn FeatureStore>) -> Self {
        let remembering = backend(store, Arc::new(MemoryStore::default()), 1 << 20);
        let forgetful = Arc::new(Backend {
            schema: remembering.schema.clone(),
            readers: remembering.readers.clone(),
            committer: remembering.committer.clone(),
            store: remembering.store.clone(),
            log: remembering.log.clone(),
            authenticator: None,
            answers: Answers::new(remembering.store.clone(), 0),
            catalogues: remembering.catalogues.clone(),
            consistency: None,
            limits: remembering.limits.clone(),
            deleted: Notify::new(),
        });
        let (schema, answers) = (remembering.schema.clone(), remembering.answers.clone());
        Self {
            schema,
            answers,
            remembering: FeatureService::new(remembering),
            forgetful: FeatureService::new(forgetful),
        }
    }

    async fn call(&self, service: &FeatureService, call: &Call) -> Result<Frame, String> {
        let method = self.schema.method(&format!("/zitadel.feature.v2.FeatureService/{}", call.method)).unwrap();
        let caller = caller(call.who, rule(method.access.as_ref().unwrap(), method.level()), call.organization);
        let caller = caller.map_err(|failure| failure.to_string())?;
        let answer = service
            .call(method, &caller, &CallContext::for_tests(), (&HeaderMap::new(), &Extensions::new()), &call.message)
            .await;
        answer.map(|reply| reply.frame).map_err(|failure| failure.to_string())
    }
}

const ALL: Who = Who { instance: "", organization: "", user: "", roles: "SYSTEM_OWNER" };
const OF_ACME: Who = Who { instance: "demo", organization: "acme", user: "", roles: "ORG_OWNER@acme" };
const ANN: Who = Who { instance: "demo", organization: "acme", user: "ann", roles: "" };

fn get(inheritance: bool, organization_id: &str, user_id: &str) -> Vec<(&'static str, Vec<u8>)> {
    let (organization_id, user_id) = (organization_id.to_owned(), user_id.to_owned());
    vec![
        ("GetSystemFeatures", GetSystemFeaturesRequest {}.encode_to_vec()),
        ("GetInstanceFeatures", GetInstanceFeaturesRequest { inheritance }.encode_to_vec()),
        ("GetOrganizationFeatures", GetOrganizationFeaturesRequest { organization_id, inheritance }.encode_to_vec()),
        ("GetUserFeatures", GetUserFeaturesRequest { user_id, inheritance }.encode_to_vec()),
    ]
}

fn set(actions: bool, organization_id: &str, user_id: &str) -> Vec<(&'static str, Vec<u8>)> {
    let (actions, organization_id, user_id) = (Some(actions), organization_id.to_owned(), user_id.to_owned());
    let of_organization = SetOrganizationFeaturesRequest { organization_id, actions, ..Default::default() };
    vec![
        ("SetSystemFeatures", SetSystemFeaturesRequest { actions, ..Default::default() }.encode_to_vec()),
        ("SetInstanceFeatures", SetInstanceFeaturesRequest { actions, ..Default::default() }.encode_to_vec()),
        ("SetOrganizationFeatures", of_organization.encode_to_vec()),
        ("SetUserFeatures", SetUserFeatureRequest { user_id, actions, ..Default::default() }.encode_to_vec()),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let organizations = || select(vec!["acme", "other"]);
    let who = select(vec![ALL, OF_ACME, ANN]);
    let parts = (any::<bool>(), any::<bool>(), 0..4usize, organizations(), select(vec!["ann", "bob"]));
    (parts, organizations(), who).prop_map(|((reads, flag, level, context, user), organization, who)| {
        let (method, message) =
            if reads { get(flag, context, user) } else { set(flag, context, user) }.swap_remove(level);
        Call { method, message, who, organization }
    })
}

proptest! {
    // Fewer cases than usual, because each has threads of its own.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_cached_answer_equals_a_fresh_one(calls in vec(call(), 1..60)) {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let services = Services::over(Arc::new(MemoryStore::default()));
            for call in calls {
                let answer = services.call(&services.remembering, &call).await;
                if call.method.starts_with("Get") {
                    prop_assert_eq!(answer, services.call(&services.forgetful, &call).await, "{:?}", call);
                }
            }
            Ok(())
        })?;
    }
}

/// A store that counts reads, and whose reads fail while it is out of order.
#[derive(Default)]
struct Counted {
    inner: MemoryStore,
    reads: AtomicUsize,
    refuses: AtomicBool,
}

impl FeatureStore for Counted {
    fn record(&self, scope: &Scope) -> Result<Record, StoreError> {
        self.reads.fetch_add(1, SeqCst);
        self.inner.record(scope)
    }

    fn select(&self, selection: Selection<'_>, after: Option<&Scope>, limit: usize) -> Result<Selected, StoreError> {
        self.inner.select(selection, after, limit)
    }

    fn revision(&self) -> u64 {
        self.inner.revision()
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        if self.refuses.load(SeqCst) {
            return Err(StoreError::WrongRevision { expected: 0, actual: 1 });
        }
        self.inner.append(batch)
    }

    fn write_failure(&self) -> Option<StoreError> {
        self.inner.write_failure()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

#[tokio::test]
async fn a_record_is_read_again_only_after_it_may_have_changed() {
    let store = Arc::new(Counted::default());
    let services = Services::over(store.clone());
    let call = |(method, message): (&'static str, Vec<u8>)| Call { method, message, who: ALL, organization: "acme" };
    let reading = call(get(true, "acme", "ann").swap_remove(3));
    let read = async || {
        let before = store.reads.load(SeqCst);
        let answer = services.call(&services.remembering, &reading).await.unwrap();
        (answer, store.reads.load(SeqCst) > before)
    };
    let (mut answer, _) = read().await;
    #[rustfmt::skip]
    let table = [
        // (what is written, refused, a read looks into the store, its answer is another one)
        (None,                                            false, false, false),
        (Some(set(true, "acme", "ann").swap_remove(0)),   false, true,  true),
        (None,                                            false, false, false),
        (Some(set(true, "acme", "ann").swap_remove(1)),   false, true,  true),
        (Some(set(true, "acme", "ann").swap_remove(2)),   false, true,  true),
        (Some(set(true, "other", "ann").swap_remove(2)),  false, false, false),
        (Some(set(true, "acme", "bob").swap_remove(3)),   false, false, false),
        (Some(set(true, "acme", "ann").swap_remove(3)),   false, true,  true),
        (Some(set(false, "acme", "ann").swap_remove(3)),  true,  true,  false),
        (None,                                            true,  false, false),
    ];
    for (row, (write, refused, looks, differs)) in table.into_iter().enumerate() {
        store.refuses.store(refused, SeqCst);
        if let Some(write) = write {
            assert_eq!(services.call(&services.remembering, &call(write)).await.is_err(), refused, "row {row}");
        }
        let (next, looked) = read().await;
        assert_eq!((looked, next != answer), (looks, differs), "row {row}");
        answer = next;
    }
}

#[test]
fn a_frame_is_the_message_behind_its_length() {
    let (frame, message) = (Frame::of(&"ab".to_owned()), "ab".to_owned().encode_to_vec());
    assert_eq!((frame.message(), frame.size()), (message.clone().into(), PREFIX + message.len()));
    assert_eq!(frame.into_bytes(), [&[0, 0, 0, 0, 4], &message[..]].concat());
}

#[tokio::test]
async fn memory_is_bounded_and_failures_are_not_kept() {
    let services = Services::over(Arc::new(MemoryStore::default()));
    let cache = services.answers.given.clone().unwrap();
    let missing = Call {
        method: "GetUserFeatures",
        message: get(false, "", "ann").swap_remove(3).1,
        who: ALL,
        organization: "acme",
    };
    services.call(&services.remembering, &missing).await.unwrap_err();
    assert_eq!(cache.len(), 0);
    for user in 0..5_000 {
        let message = get(true, "", &format!("user-{user}")).swap_remove(3).1;
        services.call(&services.remembering, &Call { message, ..missing.clone() }).await.unwrap();
    }
    assert!((100..=1024).contains(&cache.len()), "{}", cache.len());
}
