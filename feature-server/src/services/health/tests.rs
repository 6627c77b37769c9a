//! Health in every state of the store and of the server.

use futures_util::FutureExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::*;

#[tokio::test]
async fn a_server_that_drains_is_not_serving_even_when_the_committer_is_gone() {
    let ((accepting, writes), (drain, draining)) = (watch::channel(true), watch::channel(false));
    let (reading, reads) = watch::channel(true);
    let service = service(StoreHealth { reads, writes }, draining).await;
    let until = async |name: &str, serving: bool| {
        let expected = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        let request = HealthCheckRequest { service: name.to_owned() };
        let mut client = HealthClient::new(service.clone());
        while client.check(request.clone()).await.unwrap().into_inner().status != expected as i32 {
            tokio::task::yield_now().await;
        }
    };
    until(WHOLE_SERVER, true).await;
    until(FEATURES, true).await;
    until(WRITES, true).await;
    accepting.send_replace(false);
    drop(accepting);
    until(WRITES, false).await;
    until(FEATURES, true).await;
    reading.send_replace(false);
    drop(reading);
    until(FEATURES, false).await;
    until(WHOLE_SERVER, true).await;
    drain.send_replace(true);
    tokio::time::timeout(std::time::Duration::from_secs(5), until(WHOLE_SERVER, false)).await.unwrap();
}

#[tokio::test]
async fn a_watch_gets_changes_of_its_own_name_only() {
    let ((accepting, writes), (drain, draining)) = (watch::channel(true), watch::channel(false));
    let (reading, reads) = watch::channel(true);
    let service = service(StoreHealth { reads, writes }, draining).await;
    let request = |name: &str| HealthCheckRequest { service: name.to_owned() };
    let mut client = HealthClient::new(service.clone());
    let mut watched = client.watch(request(WHOLE_SERVER)).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, ServingStatus::Serving as i32);
    let mut others = client.watch(request(FEATURES)).await.unwrap().into_inner();
    assert_eq!(others.message().await.unwrap().unwrap().status, ServingStatus::Serving as i32);
    for (serving, expected) in [(false, ServingStatus::NotServing), (true, ServingStatus::Serving)] {
        accepting.send_replace(serving);
        reading.send_replace(serving);
        assert_eq!(others.message().await.unwrap().unwrap().status, expected as i32);
        assert!(watched.message().now_or_never().is_none(), "the whole server is as it was");
    }
    drain.send_replace(true);
    assert_eq!(watched.message().await.unwrap().unwrap().status, ServingStatus::NotServing as i32);
}
