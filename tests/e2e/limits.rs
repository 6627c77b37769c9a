//! Limits of the real server on what a client can use, so that other clients are still served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use feature_api::zitadel::feature::v2::GetInstanceFeaturesRequest;
use feature_api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;
use prost::Message;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_types::StatusExt;

use crate::support::harness::{Bearer, Folder, Server};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_token_cannot_block_others() {
    let server = Folder::new("[limits]\nunauthenticated_calls = 64\n").serve();
    let mut health = HealthClient::new(server.channel().await);
    let request = || HealthCheckRequest { service: String::new() };
    let mut watches = Vec::new();
    for _ in 0..8 {
        watches.push(health.watch(request()).await.expect("there is a place"));
    }
    let refused = health.watch(request()).await.expect_err("there is no place left");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.get_error_details().retry_info().is_some(), "{refused:?}");

    health.check(request()).await.expect("a check needs no place");
    let token = server.token("--role IAM_OWNER --instance demo");
    let mut features = FeatureServiceClient::with_interceptor(server.channel().await, Bearer::new(&token));
    let read = features.get_instance_features(GetInstanceFeaturesRequest { inheritance: true }).await;
    read.expect("a call with a token has its own place");
    let channel = server.channel().await;
    let mut health = HealthClient::with_interceptor(channel.clone(), Bearer::new(&token));
    let watch = health.watch(request()).await.expect("so has a stream of a public service");
    let mut reflection = ServerReflectionClient::with_interceptor(channel.clone(), Bearer::new(&token));
    let asked = || tonic::codegen::tokio_stream::once(ServerReflectionRequest::default());
    reflection.server_reflection_info(asked()).await.expect("and one in which the client streams");
    let mut reflection = ServerReflectionClient::with_interceptor(channel, Bearer::new("no token"));
    let refused = reflection.server_reflection_info(asked()).await.expect_err("a bad token is worth no place");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop((watches, watch));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_public_services_are_small_in_every_protocol() {
    const CHECK: &str = "/grpc.health.v1.Health/Check";
    const WATCH: &str = "/grpc.health.v1.Health/Watch";
    let server = Server::new();
    let gzip = |content: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).expect("memory can be written to");
        encoder.finish().expect("memory can be written to")
    };
    let framed = |message: Vec<u8>| {
        let length = u32::try_from(message.len()).expect("it is short").to_be_bytes();
        [&[1][..], &length, &message].concat()
    };
    let json = |bytes: usize| format!(r#"{{"service":"{}"}}"#, "x".repeat(bytes - 14)).into_bytes();
    let proto = |bytes: usize| HealthCheckRequest { service: "x".repeat(bytes - 3) }.encode_to_vec();
    let zeros = |_| format!(r#"{{"unknown":[0{}]}}"#, ",0".repeat(524_000)).into_bytes();
    let (too_large, unknown_service) = ("MESSAGE_TOO_LARGE", "NOT_FOUND");
    type Message<'m> = &'m dyn Fn(usize) -> Vec<u8>;
    #[rustfmt::skip]
    let table: [(&str, &str, &str, &str, Message<'_>, bool); 6] = [
        // name, path, content type, header of the encoding, message of a given size, framed
        ("Connect JSON", CHECK, "application/json", "content-encoding", &json, false),
        ("Connect proto", CHECK, "application/proto", "content-encoding", &proto, false),
        ("Connect JSON stream", WATCH, "application/connect+json", "connect-content-encoding", &json, true),
        ("Connect proto stream", WATCH, "application/connect+proto", "connect-content-encoding", &proto, true),
        ("gRPC-Web", CHECK, "application/grpc-web+proto", "grpc-encoding", &proto, true),
        ("a list in JSON", CHECK, "application/json", "content-encoding", &zeros, false),
    ];
    for (what, path, content_type, encoding, message, is_framed) in table {
        for (bytes, expected) in [(16_384, unknown_service), (16_385, too_large)] {
            let is_small = bytes == 16_384;
            if is_small && (what == "a list in JSON" || path == WATCH) {
                continue;
            }
            let body = gzip(&message(bytes));
            assert!(body.len() < 2_000, "{what}: it is small as it is sent");
            let body = if is_framed { framed(body) } else { body };
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n{encoding}: gzip\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let mut connection = TcpStream::connect(server.address()).expect("the server accepts a connection");
            connection.write_all(&[head.as_bytes(), &body].concat()).expect("the server reads");
            let mut answer = Vec::new();
            connection.read_to_end(&mut answer).expect("the server answers");
            let answer = String::from_utf8_lossy(&answer);
            // gRPC-Web has the code in plain text, but the reason in its base64 details.
            let told = match expected {
                "NOT_FOUND" => ["not_found", "grpc-status: 5", "grpc-status:5"],
                _ => ["MESSAGE_TOO_LARGE", "grpc-status: 11", "grpc-status:11"],
            };
            assert!(told.iter().any(|told| answer.contains(told)), "{what}, {bytes} bytes: {answer}");
        }
    }
    let channel = server.channel().await;
    let mut health = HealthClient::new(channel).send_compressed(CompressionEncoding::Gzip);
    for (bytes, code) in [(16_384, Code::NotFound), (16_385, Code::OutOfRange)] {
        let request = HealthCheckRequest { service: "x".repeat(bytes - 3) };
        assert_eq!(health.check(request).await.expect_err("no such service").code(), code, "gRPC, {bytes} bytes");
    }
    server.stop();
}

#[test]
fn a_call_with_a_token_counts_until_it_is_answered() {
    let server = Folder::new("[limits]\ncalls = 1\nreceive_timeout_ms = 1000\n").serve();
    let token = server.token("--role IAM_OWNER --instance demo");
    let call = |verb: &str, length: usize| {
        let mut connection = TcpStream::connect(server.address()).expect("the server accepts a connection");
        let head = format!(
            "{verb} /v2/features/instance?inheritance=true HTTP/1.1\r\nhost: localhost\r\n\
             authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        let head = if verb == "PUT" { head.replace("?inheritance=true", "") } else { head };
        connection.write_all(head.as_bytes()).expect("the server reads");
        connection
    };
    let answer = |mut connection: TcpStream| {
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("the answer is text");
        answer
    };
    // The call without a body takes the only slot until its timeout, unless the read gets the slot first.
    let deadline = Instant::now() + 20 * SECOND;
    let slow = loop {
        let slow = call("PUT", 2);
        let answer = answer(call("GET", 0));
        if answer.starts_with("HTTP/1.1 429") {
            assert!(answer.contains("google.rpc.RetryInfo") && answer.contains("OVERLOADED"), "{answer}");
            break slow;
        }
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(Instant::now() < deadline, "the place is taken");
    };
    while !answer(call("GET", 0)).starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < deadline, "the place comes back");
    }
    let given_up = answer(slow);
    assert!(given_up.starts_with("HTTP/1.1 504") && given_up.contains("REQUEST_TOO_SLOW"), "{given_up}");
    server.stop();
}

#[test]
fn without_file_descriptors_it_waits_and_recovers() {
    let server = Server::new();
    let process = Pid::from_raw(server.process() as i32).expect("a process has an id");
    // The server has the test's own hard limit. A lower soft limit does not close open files.
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = |current| {
        let before = prlimit(Some(process), Resource::Nofile, Rlimit { current, maximum });
        before.expect("the limit of a process of ours can be set").current
    };
    let normal = limit(Some(1));
    let waiting = TcpStream::connect(server.address()).expect("the system accepts it for the server");
    // The first failure is logged. The processor time counts from there.
    server.wait_for_log("cannot accept connections", 1);
    let (began, used_before) = (Instant::now(), processor_time(server.process()));
    server.wait_for_log("cannot accept connections", 5);
    let (waited, used) = (began.elapsed(), processor_time(server.process()) - used_before);
    assert!(waited > SECOND, "it tries seldom: five times in {waited:?}");
    assert!(used < waited / 10, "it used {used:?} of {waited:?}");

    limit(normal);
    assert!(is_served(waiting), "the connection that waited is served");
    server.stop();
}

fn is_served(mut connection: TcpStream) -> bool {
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    connection.write_all(request).and_then(|()| connection.read_to_string(&mut answer)).expect("it is answered");
    answer.starts_with("HTTP/1.1 200")
}

/// The processor time of all threads of a process so far.
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let after_name = stat.rsplit_once(')').expect("the name is in parentheses").1;
    let ticks: Vec<u64> =
        after_name.split_whitespace().skip(11).take(2).map(|n| n.parse().expect("a number")).collect();
    Duration::from_millis(ticks.iter().sum::<u64>() * 1000 / rustix::param::clock_ticks_per_second())
}
