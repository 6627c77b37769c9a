//! Health in every state of the store and of the server.

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
