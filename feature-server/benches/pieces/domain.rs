//! Messages and domain: decoding a request, building a patch, deciding a write, resolving, encoding an answer.

use std::hint::black_box;

use criterion::Criterion;
use feature_api::request::Request;
use feature_api::response;
use feature_api::schema::{Operation, Schema};
use feature_api::zitadel::feature::v2::{GetUserFeaturesRequest, SetUserFeatureRequest};
use feature_auth::OWN_ISSUER;
use feature_core::{
    Credential, InstanceId, Layer, Level, Operation as WriteOperation, Placement, Record, Scope, Timestamp, UserId,
    Value, Write, decide, resolve,
};
use feature_server::services::response_cache::Frame;
use prost::Message;

/// The user whom all pieces are about.
pub fn user() -> Scope {
    Scope::User(InstanceId::new("demo").unwrap(), UserId::new("ann").unwrap())
}

/// A write that sets these.
pub fn write(scope: Scope, set: SetUserFeatureRequest, schema: &Schema) -> Write {
    let method = schema.methods().find(|method| method.operation == Some((Operation::Set, Level::User))).unwrap();
    let request = Request::decode(&method.request, &set.encode_to_vec()).unwrap();
    Write {
        scope,
        operation: WriteOperation::Set(request.patch(schema.level(Level::User)).unwrap()),
        expected_sequence: None,
        placement: Placement::Keep,
        validate_only: false,
        actor: "operator".to_owned(),
        credential: Some(Credential::Token { issuer: OWN_ISSUER.to_owned() }),
        request_id: "3f1c2b9d6f10-1".to_owned(),
        comment: String::new(),
        requires: Vec::new(),
        idempotency_key: None,
    }
}

/// A request that switches every flag of a user.
pub fn every_flag(on: bool) -> SetUserFeatureRequest {
    let on = Some(on);
    SetUserFeatureRequest {
        login_default_org: on,
        oidc_trigger_introspection_projections: on,
        oidc_legacy_introspection: on,
        user_schema: on,
        oidc_token_exchange: on,
        actions: on,
        web_key: on,
        debug_oidc_parent_error: on,
        oidc_single_v1_session_termination: on,
        disable_user_token_event: on,
        enable_back_channel_logout: on,
        permission_check_v2: on,
        console_use_v2_user_api: on,
        enable_relational_tables: on,
        ..Default::default()
    }
}

pub fn measure(criterion: &mut Criterion) {
    let schema = Schema::new(feature_api::descriptor_pool()).unwrap();
    let features = schema.level(Level::User);
    let method =
        |operation| schema.methods().find(|method| method.operation == Some((operation, Level::User))).unwrap();
    let (get, set) = (method(Operation::Get), method(Operation::Set));

    let message = GetUserFeaturesRequest { user_id: "ann".to_owned(), inheritance: true }.encode_to_vec();
    criterion.bench_function("request of a Get, decoded", |bencher| {
        bencher.iter(|| Request::decode(&get.request, black_box(&message)).unwrap().inheritance());
    });
    let message =
        SetUserFeatureRequest { user_id: "ann".to_owned(), actions: Some(true), ..Default::default() }.encode_to_vec();
    criterion.bench_function("request of a Set, decoded and made a patch", |bencher| {
        bencher.iter(|| Request::decode(&set.request, black_box(&message)).unwrap().patch(features).unwrap());
    });

    let layer: Layer = features.set.keys().map(|key| (key.clone(), Value::Flag(true))).collect();
    let record = Record { layer, sequence: 16, ..Record::default() };
    let write = write(user(), SetUserFeatureRequest { actions: Some(false), ..Default::default() }, &schema);
    criterion.bench_function("write of one feature, decided", |bencher| {
        bencher.iter(|| decide(black_box(&write), &record, Timestamp::from_unix_nanos(1), 1).unwrap());
    });

    let levels = [Level::System, Level::Instance, Level::Organization, Level::User];
    criterion.bench_function("four levels with all features, resolved", |bencher| {
        bencher.iter(|| resolve(levels.map(|level| (level, black_box(&record.layer)))).len());
    });
    let resolved = resolve([(Level::User, &record.layer)]);
    let details = record.details(&user(), None);
    criterion.bench_function("answer to a Get, made of resolved features and encoded", |bencher| {
        bencher.iter(|| Frame::of(&response::features(&get.response, features, &details, &resolved, true)));
    });
}
