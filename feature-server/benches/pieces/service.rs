//! A whole Get within the service: remembered, and made anew with the hop to a reader's thread and back.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;

use criterion::Criterion;
use feature_api::schema::Schema;
use feature_api::zitadel::feature::v2::GetUserFeaturesRequest;
use feature_auth::access::{Caller, MethodRules};
use feature_auth::config::Auth;
use feature_auth::keys::KeyFolder;
use feature_auth::{Authentication, Authenticator, Timestamp};
use feature_server::call_context::{CallContext, Client};
use feature_server::config::Settings;
use feature_server::middleware::auth::rules;
use feature_server::monitoring::call_counters::CallCounters;
use feature_server::services::backend::Backend;
use feature_server::services::catalogue::Catalogues;
use feature_server::services::feature::FeatureService;
use feature_server::services::response_cache::Answers;
use feature_store::{Committer, FeatureStore, MemoryStore, Readers, Versioned};
use http::Request;
use http::{Extensions, HeaderMap};
use prost::Message;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::domain::{every_flag, user, write};
use crate::tokens;

const GET: &str = "/zitadel.feature.v2.FeatureService/GetUserFeatures";

pub fn measure(criterion: &mut Criterion, runtime: &Runtime) {
    let schema = Arc::new(Schema::new(feature_api::descriptor_pool()).unwrap());
    let (caller, of_schema) = (caller(&schema), Arc::clone(&schema));
    let context = CallContext::from_request(&Request::new(()), Client::default(), Arc::new(CallCounters::new(64)));
    let message = GetUserFeaturesRequest { user_id: "ann".to_owned(), inheritance: true }.encode_to_vec();
    let remembered = Settings::default().limits.answer_cache_bytes;
    for (name, bytes) in [("Get within the service, remembered", remembered), ("Get within the service, made anew", 0)]
    {
        // In memory: what sled costs is measured by itself.
        let log = Arc::new(MemoryStore::default());
        let versioned = Versioned::new(Arc::clone(&log) as Arc<dyn FeatureStore>);
        let answers = Answers::new(Arc::clone(&versioned), bytes);
        let store: Arc<dyn FeatureStore> = versioned.clone();
        let many = NonZeroUsize::new(1024).unwrap();
        let readers = Arc::new(Readers::start(Arc::clone(&store), NonZeroUsize::MIN, many).unwrap());
        let committer = Arc::new(Committer::start(store, many).unwrap());
        runtime.block_on(committer.commit(write(user(), every_flag(true), &schema))).unwrap();
        let catalogues = Arc::new(Catalogues::new(Arc::clone(&versioned), &schema));
        let (store, schema, consistency) = (versioned, Arc::clone(&schema), None);
        let limits = Settings::default().own_features;
        let backend = Backend {
            schema,
            readers,
            committer,
            store,
            log,
            authenticator: None,
            answers,
            catalogues,
            consistency,
            limits,
            deleted: Notify::new(),
        };
        let service = FeatureService::new(Arc::new(backend));
        let method = of_schema.method(GET).unwrap();
        criterion.bench_function(name, |bencher| {
            let (metadata, extensions) = (HeaderMap::new(), Extensions::new());
            bencher.iter(|| {
                let call = service.call(method, &caller, &context, (&metadata, &extensions), black_box(&message));
                runtime.block_on(call).unwrap()
            });
        });
    }
}

/// A caller who may read all users of an instance.
fn caller(schema: &Schema) -> Caller {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFolder::open_or_create(folder.path()).unwrap();
    let token = tokens::token(&keys);
    let authenticator = Authenticator::new(&Auth::default(), &tokens::roles(), keys, Timestamp::now()).unwrap();
    let Authentication::Ready(Ok(principal)) = authenticator.authenticate(&token, Timestamp::now()) else {
        panic!("the token is valid");
    };
    let Ok(Some(MethodRules::One(rule))) = rules::of(schema, &Settings::default().server).find(GET) else {
        panic!("the method is not public, and of one level");
    };
    Caller::admit(principal, rule, &()).unwrap()
}
