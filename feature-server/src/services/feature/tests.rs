//! Answers without a record, without a committer, and about the organization of a user.

use feature_api::schema::{Access, Exemption};
use feature_api::zitadel::feature::v2::{
    GetInstanceFeaturesRequest, GetUserFeaturesRequest, GetUserFeaturesResponse, ResetUserFeaturesRequest,
    SetInstanceFeaturesRequest, SetUserFeatureRequest,
};
use feature_store::{Committer, MemoryStore};
use prost::Message;

use super::*;
use crate::middleware::auth::rules::rule;
use crate::services::testing::{Who, backend, caller};

/// A service over an empty store.
fn service() -> (FeatureService, Arc<Committer>) {
    let store = Arc::new(MemoryStore::default());
    let backend = backend(store.clone(), store, 1 << 20);
    (FeatureService::new(Arc::clone(&backend)), Arc::clone(&backend.committer))
}

/// Calls a method, naming an organization if any, with the access of its option or with another one.
async fn call(
    service: &FeatureService,
    method: &str,
    access: Option<&Access>,
    who: Who,
    organization: &str,
    message: &[u8],
) -> Result<Frame, Failure> {
    let method = service.backend.schema.method(&format!("/zitadel.feature.v2.FeatureService/{method}")).unwrap();
    let caller = caller(who, rule(access.or(method.access.as_ref()).unwrap(), method.level()), organization).unwrap();
    let reply = service
        .call(method, &caller, &CallContext::for_tests(), (&HeaderMap::new(), &Extensions::new()), message)
        .await;
    reply.map(|reply| reply.frame)
}

const OWNER: Who = Who { instance: "demo", organization: "", user: "", roles: "IAM_OWNER" };

#[tokio::test]
async fn a_level_without_features_is_named() {
    let user = GetUserFeaturesRequest { user_id: "ann".to_owned(), inheritance: false }.encode_to_vec();
    let (service, _) = service();
    let instance = GetInstanceFeaturesRequest::default().encode_to_vec();
    let of_instance = call(&service, "GetInstanceFeatures", None, OWNER, "", &instance).await;
    let of_user = call(&service, "GetUserFeatures", None, OWNER, "", &user).await;
    for (answer, expected) in [(of_instance, ("instance", "demo")), (of_user, ("user", "ann"))] {
        let Err(Failure::NoFeaturesSet { level, resource }) = answer else { panic!("{answer:?}") };
        assert_eq!((level, resource.as_str()), expected);
    }
}

#[tokio::test]
async fn without_a_committer_the_store_is_not_available() {
    let set =
        SetInstanceFeaturesRequest { actions: Some(true), ..SetInstanceFeaturesRequest::default() }.encode_to_vec();
    let (service, committer) = service();
    committer.close().await.unwrap();
    let answer = call(&service, "SetInstanceFeatures", None, OWNER, "", &set).await;
    assert!(matches!(answer, Err(Failure::StoreUnavailable)), "{answer:?}");
}

#[tokio::test]
async fn answers_about_oneself_name_only_the_organization_of_the_token() {
    let ann = Who { instance: "demo", organization: "acme", user: "ann", roles: "" };
    // No method of the protos lets users write their own features. If a rule does, the answer must not show more than a
    // read.
    let themself = Access::Permission { name: "user.feature.write".to_owned(), exception: Some(Exemption::SelfAccess) };
    let user_id = || "ann".to_owned();
    let set = |actions| {
        SetUserFeatureRequest { user_id: user_id(), actions: Some(actions), ..Default::default() }.encode_to_vec()
    };
    let check = |actions| {
        SetUserFeatureRequest { user_id: user_id(), actions: Some(actions), validate_only: true, ..Default::default() }
            .encode_to_vec()
    };
    let get = GetUserFeaturesRequest { user_id: user_id(), inheritance: true }.encode_to_vec();
    let reset = ResetUserFeaturesRequest { user_id: user_id() }.encode_to_vec();
    #[rustfmt::skip]
    let table = [
        // who    named    method               message      owner (recorded: 'other')
        (OWNER, "other", "SetUserFeatures",   set(true),   "other"),
        (ann,   "",      "GetUserFeatures",   get.clone(), "acme"),
        (ann,   "acme",  "GetUserFeatures",   get.clone(), "acme"),
        (ann,   "",      "SetUserFeatures",   check(false), "acme"),
        (ann,   "",      "SetUserFeatures",   set(true),   "acme"),
        (ann,   "",      "SetUserFeatures",   set(false),  "acme"),
        (OWNER, "",      "GetUserFeatures",   get.clone(), "other"),
        (ann,   "",      "ResetUserFeatures", reset,       "acme"),
        (OWNER, "",      "GetUserFeatures",   get,         "other"),
    ];
    let (service, _) = service();
    for (index, (who, named, method, message, owner)) in table.into_iter().enumerate() {
        let answer = call(&service, method, Some(&themself), who, named, &message).await;
        // All answers have their details in the same field.
        let answer = GetUserFeaturesResponse::decode(answer.unwrap().message()).unwrap();
        assert_eq!(answer.details.unwrap().resource_owner, owner, "row {index}: {method}");
    }
}
