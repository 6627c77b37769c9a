//! What a call is told when there is nothing to read, and when nobody can write.

use std::num::NonZeroUsize;

use feature_api::zitadel::feature::v2::{
    GetInstanceFeaturesRequest, GetUserFeaturesRequest, SetInstanceFeaturesRequest,
};
use feature_store::{MemoryStore, Versioned};
use http::{Extensions, Uri};
use prost::Message;

use super::*;
use crate::auth::access::{CallParts, Instances, Rule};
use crate::auth::testing::{Who, metadata, schema};

/// An IAM_OWNER of the instance `demo` calls a method of a service over an empty store.
async fn call(method: &str, message: &impl Message, closed: bool) -> Failure {
    let store = Versioned::new(Arc::new(MemoryStore::default()));
    let answers = Answers::new(store.clone(), 1 << 20);
    let committer = Arc::new(Committer::start(store.clone(), NonZeroUsize::MIN).unwrap());
    if closed {
        committer.close().await.unwrap();
    }
    let readers = Arc::new(Readers::start(store, NonZeroUsize::MIN, NonZeroUsize::MIN).unwrap());
    let service = FeatureService::new(Arc::new(schema()), readers, committer, answers);
    let method = service.method(&format!("/zitadel.feature.v2.FeatureService/{method}")).unwrap();
    let rule = Arc::new(Rule::new(method.access.as_ref().unwrap(), method.level()));
    let principal = Who { instance: "demo", roles: "IAM_OWNER", ..Who::default() }.principal();
    let (headers, uri) = (metadata(&[]), Uri::from_static("/"));
    let parts = CallParts { headers: &headers, uri: &uri };
    let caller = Caller::admit(principal, rule, &Instances::default(), parts).unwrap();
    service.call(method, &caller, &RequestId::of(&Extensions::new()), &message.encode_to_vec()).await.unwrap_err()
}

#[tokio::test]
async fn a_level_without_features_is_named() {
    let user = GetUserFeaturesRequest { user_id: "ann".to_owned(), inheritance: false };
    let of_instance = call("GetInstanceFeatures", &GetInstanceFeaturesRequest::default(), false).await;
    let of_user = call("GetUserFeatures", &user, false).await;
    for (failure, expected) in [(of_instance, ("instance", "demo")), (of_user, ("user", "ann"))] {
        let Failure::NoFeaturesSet { level, resource } = failure else { panic!("{failure}") };
        assert_eq!((level, resource.as_str()), expected);
    }
}

#[tokio::test]
async fn without_a_committer_the_store_is_not_available() {
    let set = SetInstanceFeaturesRequest { actions: Some(true), ..SetInstanceFeaturesRequest::default() };
    let failure = call("SetInstanceFeatures", &set, true).await;
    assert!(matches!(failure, Failure::StoreUnavailable), "{failure}");
}
