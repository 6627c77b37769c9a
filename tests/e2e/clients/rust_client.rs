//! The published crate `zitadel`, on the levels of system and instance, which its types support.

use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use zitadel::api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;
use zitadel::api::zitadel::feature::v2::{
    FeatureFlag, GetInstanceFeaturesRequest, GetSystemFeaturesRequest, LoginV2, ResetInstanceFeaturesRequest,
    SetInstanceFeaturesRequest, SetSystemFeaturesRequest, Source,
};

use crate::support::harness::{Bearer, Server};

type Client = FeatureServiceClient<InterceptedService<Channel, Bearer>>;

#[tokio::test(flavor = "multi_thread")]
async fn zitadel_crate_sets_reads_and_resets() {
    let server = Server::new();
    let mut system = client(&server, "--role SYSTEM_OWNER").await;
    let mut instance = client(&server, "--role IAM_OWNER --instance demo").await;
    assert_eq!(inherited(&mut instance).await, flag(false, Source::Unspecified));

    let request = SetSystemFeaturesRequest { login_default_org: Some(true), ..Default::default() };
    let set = system.set_system_features(request).await.expect("system set").into_inner();
    let details = set.details.expect("a write answers with details");
    assert_eq!((details.sequence, details.resource_owner.as_str()), (1, "SYSTEM"));
    let read = instance.get_system_features(GetSystemFeaturesRequest {}).await.expect("system get").into_inner();
    assert_eq!(read.login_default_org, Some(flag(true, Source::System)));
    assert_eq!(inherited(&mut instance).await, flag(true, Source::System));

    let request = SetInstanceFeaturesRequest { login_default_org: Some(false), ..Default::default() };
    instance.set_instance_features(request).await.expect("instance set");
    assert_eq!(inherited(&mut instance).await, flag(false, Source::Instance));
    let reset = instance.reset_instance_features(ResetInstanceFeaturesRequest {}).await.expect("instance reset");
    assert_eq!(reset.into_inner().details.expect("details").sequence, 2);
    assert_eq!(inherited(&mut instance).await, flag(true, Source::System));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn zitadel_crate_reads_the_details_of_errors() {
    let server = Server::new();
    let mut viewer = client(&server, "--role IAM_OWNER_VIEWER --instance demo").await;
    let mut instance = client(&server, "--role IAM_OWNER --instance demo").await;

    let unset = viewer.get_instance_features(GetInstanceFeaturesRequest { inheritance: false }).await;
    check(unset.expect_err("nothing is set"), Code::NotFound, "NO_FEATURES_SET", None);
    let change = SetInstanceFeaturesRequest { actions: Some(true), ..Default::default() };
    let refused = viewer.set_instance_features(change).await;
    check(refused.expect_err("a viewer writes"), Code::PermissionDenied, "PERMISSION_MISSING", None);
    let login_v2 = Some(LoginV2 { required: true, base_uri: Some("ftp://example.com".into()) });
    let bad = instance.set_instance_features(SetInstanceFeaturesRequest { login_v2, ..Default::default() }).await;
    check(bad.expect_err("a bad address"), Code::InvalidArgument, "FIELD_INVALID", Some("login_v2.base_uri"));
    server.stop();
}

async fn client(server: &Server, token: &str) -> Client {
    FeatureServiceClient::with_interceptor(server.channel().await, Bearer::new(&server.token(token)))
}

async fn inherited(client: &mut Client) -> FeatureFlag {
    let read = client.get_instance_features(GetInstanceFeaturesRequest { inheritance: true }).await;
    read.expect("instance get").into_inner().login_default_org.expect("every feature is in an inheriting answer")
}

fn flag(enabled: bool, source: Source) -> FeatureFlag {
    FeatureFlag { enabled, source: source.into() }
}

fn check(status: Status, code: Code, reason: &str, field: Option<&str>) {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!((status.code(), info.reason.as_str(), info.domain.as_str()), (code, reason, "zitadel.feature.v2"));
    assert!(details.request_info().is_some_and(|request| !request.request_id.is_empty()), "no request id: {status:?}");
    let violations = details.bad_request().map(|request| request.field_violations.as_slice()).unwrap_or_default();
    assert_eq!(violations.first().map(|violation| violation.field.as_str()), field, "{status:?}");
}
