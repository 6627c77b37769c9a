//! Connections whose clients read nothing, and connections that get old: tests on a paused clock, over streams in
//! memory.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use super::connections::{Memory, limits};
use super::support::*;
use crate::config::settings::Limits;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut_off() {
    let server = Memory::start(Limits { send_timeout_ms: 8_000, ..limits() });
    // Over HTTP/2 the window is full, or stays at zero.
    let mut client = h2(server.connect("10.0.0.1")).await;
    let _unread = client.send_request(with_message(grpc("/test/Flood"))).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(0);
    let (mut windowless, connection) = builder.handshake(TokioIo::new(server.connect("10.0.0.1"))).await.unwrap();
    tokio::spawn(connection);
    let _untaken = windowless.send_request(with_message(grpc(CHECK))).await.unwrap();
    // Over HTTP/1.1 the socket is full.
    let mut browser = server.connect("10.0.0.1");
    let head = "POST /test/Flood HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\n";
    browser.write_all(format!("{head}content-length: 5\r\n\r\n\0\0\0\0\0").as_bytes()).await.unwrap();

    sleep(7 * SECOND).await;
    for cut in [&mut client, &mut windowless] {
        cut.ready().await.expect("they have time");
    }
    sleep(10 * SECOND).await;
    for cut in [&mut client, &mut windowless] {
        cut.ready().await.expect_err("they had their time");
    }
    let mut taken = Vec::new();
    timeout(SECOND, browser.read_to_end(&mut taken)).await.expect("it had its time, too").unwrap();
    assert!(!taken.ends_with(b"0\r\n\r\n"), "the answer was cut off, and looks complete");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_time_is_not_cut_off() {
    let server = Memory::start(Limits { send_timeout_ms: 8_000, ..limits() });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(8 * 1024);
    let (mut client, connection) = builder.handshake(TokioIo::new(server.connect("10.0.0.1"))).await.unwrap();
    tokio::spawn(connection);
    let mut flood = client.send_request(with_message(grpc("/test/Flood"))).await.unwrap();
    for _ in 0..100 {
        sleep(SECOND / 4).await;
        flood.body_mut().frame().await.unwrap().expect("it is served as slowly as it reads");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_nothing_to_say_is_not_cut_off() {
    let server = Memory::start(Limits { send_timeout_ms: 8_000, connection_age_ms: 86_400_000, ..limits() });
    let mut client = h2(server.connect("10.0.0.1")).await;
    let mut watch = client.send_request(with_message(grpc(WATCH))).await.unwrap();
    assert!(watch.body_mut().frame().await.unwrap().unwrap().is_data());
    sleep(1000 * SECOND).await;
    client.ready().await.expect("nothing waits for the client");
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_ends_after_its_calls() {
    let server = Memory::start(Limits { connection_age_ms: 20_000, ..limits() });
    let mut client = h2(server.connect("10.0.0.1")).await;
    let began = Instant::now();
    let request = || with_message(grpc("/test/Never").header("grpc-timeout", "23S"));
    let calls: Vec<_> = (0..10).map(|_| tokio::spawn(client.send_request(request()))).collect();
    let mut stream = client.send_request(with_message(grpc(WATCH))).await.unwrap();
    sleep(17 * SECOND).await;
    let check = client.send_request(with_message(grpc(CHECK))).await.unwrap();
    assert_eq!(Answer::read(check).await.code(), Code::Ok, "it is not old yet");
    // The client gets a GOAWAY between 18 and 22 seconds. Calls that it has started by then continue.
    for call in calls {
        let answer = Answer::read(call.await.unwrap().expect("no call is lost")).await;
        assert_eq!(answer.code(), Code::DeadlineExceeded);
    }
    assert_eq!(began.elapsed().as_secs(), 23);
    client.send_request(with_message(grpc(CHECK))).await.expect_err("it was told");
    while stream.body_mut().frame().await.is_some_and(|frame| frame.is_ok()) {}
    let cut = began.elapsed();
    assert!((78 * SECOND..83 * SECOND).contains(&cut), "what does not end is cut off after {cut:?}");
}

#[tokio::test(start_paused = true)]
async fn no_call_is_lost_when_connections_get_old() {
    let server = Memory::start(Limits { connection_age_ms: 500, ..limits() });
    let mut connections = 0;
    let mut answered = 0;
    while answered < 400 {
        let mut client = h2(server.connect("10.0.0.1")).await;
        connections += 1;
        let mut calls = Vec::new();
        while answered + calls.len() < 400 && client.ready().await.is_ok() {
            calls.push(tokio::spawn(client.send_request(with_message(grpc(CHECK)))));
            sleep(SECOND / 200).await;
        }
        for call in calls {
            match call.await.unwrap() {
                Ok(answer) => {
                    assert_eq!(Answer::read(answer).await.code(), Code::Ok);
                    answered += 1;
                }
                // The call was not sent, or the server said that it did not process it, so the client can repeat it.
                Err(error) => assert!(never_made(&error), "{error:?}"),
            }
        }
    }
    assert!(connections > 1, "{connections}");
}

/// Whether an error means that the server has not seen the call: GOAWAY names the last call that it has seen.
fn never_made(error: &hyper::Error) -> bool {
    error.is_canceled() || error.is_closed() || format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)")
}
