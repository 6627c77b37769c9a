//! How streams and servers end.

use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use tokio::time::{Instant, advance, timeout};
use tonic::Code;

use super::support::*;
use crate::config::settings::Settings;
use crate::middleware::response_body::CallBody;
use crate::net::shutdown::{Drain, Phase};

const SECOND: Duration = Duration::from_secs(1);

/// Opens a stream and reads its first message.
async fn open(path: &str, grpc_timeout: Option<&str>, drain: &Drain) -> Response<CallBody> {
    let request = grpc_timeout.iter().fold(grpc(path), |request, timeout| request.header("grpc-timeout", *timeout));
    let mut response = call_with(&Settings::default(), drain.clone(), with_message(request)).await;
    for _ in 0..if path == WATCH { 1 } else { 3 } {
        assert!(response.body_mut().frame().await.unwrap().unwrap().is_data());
    }
    response
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_the_clients_deadline() {
    let began = Instant::now();
    let waiting = open(WATCH, Some("90S"), &Drain::new()).await;
    let ended = Answer::read(waiting).await;
    assert_eq!((ended.code(), ended.reason().as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert!(ended.trailers.is_some());
    assert_eq!(began.elapsed().as_secs(), 90);

    let flood = open("/test/Flood", Some("90S"), &Drain::new()).await;
    advance(90 * SECOND).await;
    assert_eq!(Answer::read(flood).await.code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_deadline_goes_on() {
    let mut stream = open(WATCH, None, &Drain::new()).await;
    assert!(timeout(1000 * SECOND, stream.body_mut().frame()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn streams_end_with_the_drain_period() {
    for path in [WATCH, "/test/Flood"] {
        let drain = Drain::new();
        let mut stream = open(path, None, &drain).await;
        drain.advance(Phase::Draining);
        if path == WATCH {
            assert!(timeout(SECOND, stream.body_mut().frame()).await.is_err(), "draining does not end a stream");
        }
        drain.advance(Phase::Ended);
        let ended = Answer::read(stream).await;
        assert_eq!((ended.code(), ended.reason().as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"), "{path}");
        assert!(ended.details().retry_info().is_some());
    }
}

#[tokio::test]
async fn a_server_ends_what_is_left_after_the_grace_period() {
    let mut settings = Settings::default();
    settings.server.shutdown_grace_ms = 50;
    let server = Server::start(settings).await;
    let mut client = h2(server.connect().await).await;
    let mut browser = h1(server.connect().await).await;
    let stream = client.send_request(with_message(grpc(WATCH))).await.unwrap();
    let stream_web = browser.send_request(with_message(web(WATCH))).await.unwrap();
    let unanswered = tokio::spawn(client.send_request(with_message(grpc("/test/Never"))));

    let stopped = server.stop();
    let ended = Answer::read(stream).await;
    assert_eq!((ended.code(), ended.reason().as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    let ended_web = Answer::read(stream_web).await;
    let trailers = b"grpc-status:14";
    assert!(ended_web.body.windows(trailers.len()).any(|part| part == trailers), "{ended_web:?}");
    let answered = Answer::read(unanswered.await.unwrap().unwrap()).await;
    assert_eq!((answered.code(), answered.reason().as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    assert_eq!(stopped.await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_lets_calls_end_and_then_stops_at_once() {
    let mut settings = Settings::default();
    settings.server.shutdown_grace_ms = 60_000;
    let server = Server::start(settings).await;
    let address = server.address;
    let mut client = h2(server.connect().await).await;
    let _idle = h1(server.connect().await).await;
    let _silent = server.connect().await;
    let mut stream = client.send_request(with_message(grpc(WATCH))).await.unwrap();

    let stopped = server.stop();
    // The client receives the GOAWAY, and no new client is accepted, while the stream continues.
    while client.send_request(with_message(grpc(CHECK))).await.is_ok() {}
    tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert!(stream.body_mut().frame().await.unwrap().unwrap().is_data());
    assert!(!stopped.is_finished());
    drop(stream);
    let stopped = timeout(10 * SECOND, stopped).await.expect("nothing is under way any more").unwrap();
    assert_eq!(stopped, 0);
}
