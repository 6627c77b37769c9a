//! Restarts, kills and stops: acknowledged writes survive, and open streams do not delay the end.

use feature_api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;
use feature_api::zitadel::feature::v2::{
    GetSystemFeaturesRequest, GetUserFeaturesRequest, GetUserFeaturesResponse, ResetUserFeaturesRequest,
    SetSystemFeaturesRequest, SetUserFeatureRequest, Source,
};
use feature_api::zitadel::object::v2::Details;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::harness::{Bearer, Folder, Server};

type Client = FeatureServiceClient<InterceptedService<Channel, Bearer>>;

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_write_survives_kill_9() {
    let mut server = Server::new();
    for round in 1..=4 {
        let enabled = round % 2 == 0;
        let written = set_user(&mut client(&server).await, enabled).await;
        assert_eq!(written.sequence, round, "a change adds one, across restarts");
        server = server.kill().serve();
        let read = user(&mut client(&server).await).await;
        let flag = read.login_default_org.expect("an inheriting answer has every feature");
        assert_eq!((flag.enabled, flag.source()), (enabled, Source::User));
        assert_eq!(read.details, Some(written), "sequence, dates and owner are those acknowledged");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_sequences_survive_a_restart() {
    let server = Server::new();
    let mut before = client(&server).await;
    let request = SetSystemFeaturesRequest { user_schema: Some(true), ..Default::default() };
    before.set_system_features(request).await.expect("system set");
    set_user(&mut before, true).await;
    before.reset_user_features(ResetUserFeaturesRequest { user_id: "ada".into() }).await.expect("user reset");
    let (system_before, user_before) = (system(&mut before).await, user(&mut before).await);
    assert_eq!(user_before.details.as_ref().map(|details| details.sequence), Some(2));

    let server = server.stop().serve();
    let mut after = client(&server).await;
    assert_eq!(system(&mut after).await, system_before);
    assert_eq!(user(&mut after).await, user_before);
    assert_eq!(set_user(&mut after, true).await.sequence, 3, "the count goes on after a reset and a restart");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_watch_does_not_delay_the_end() {
    let server = Folder::new("[server]\nshutdown_grace_ms = 500\n").serve();
    let mut health = HealthClient::new(server.channel().await);
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = health.watch(request).await.expect("a watch starts").into_inner();
    let first = watch.message().await.expect("a watch answers").expect("at once");
    assert_eq!(first.status(), ServingStatus::Serving);
    // The stream is still open: `stop` fails if the server waits for it or exits with an error.
    server.stop();
    while let Ok(Some(answer)) = watch.message().await {
        assert_ne!(answer.status(), ServingStatus::Serving, "while it ends a server is not serving");
    }
}

async fn client(server: &Server) -> Client {
    let token = server.token("--role SYSTEM_OWNER --instance demo");
    FeatureServiceClient::with_interceptor(server.channel().await, Bearer::new(&token))
}

async fn set_user(client: &mut Client, enabled: bool) -> Details {
    let user_id = "ada".into();
    let request = SetUserFeatureRequest { user_id, login_default_org: Some(enabled), ..Default::default() };
    let response = client.set_user_features(request).await.expect("user set");
    response.into_inner().details.expect("a write answers with details")
}

async fn user(client: &mut Client) -> GetUserFeaturesResponse {
    let request = GetUserFeaturesRequest { user_id: "ada".into(), inheritance: true };
    client.get_user_features(request).await.expect("user get").into_inner()
}

async fn system(client: &mut Client) -> impl PartialEq + std::fmt::Debug + use<> {
    client.get_system_features(GetSystemFeaturesRequest {}).await.expect("system get").into_inner()
}
