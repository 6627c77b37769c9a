//! When connections are refused and closed: tests on a paused clock, over streams in memory.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use super::support::*;
use crate::config::settings::{Limits, Settings};
use crate::middleware::stack::layers;
use crate::net::listener::{Accept, run};
use crate::net::shutdown::Drain;
use crate::net::workers::Workers;

const SECOND: Duration = Duration::from_secs(1);

/// A server with connections in memory.
pub struct Memory {
    connect: mpsc::UnboundedSender<(DuplexStream, SocketAddr)>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<usize>,
}

struct Incoming(mpsc::UnboundedReceiver<(DuplexStream, SocketAddr)>);

impl Accept for Incoming {
    type Socket = DuplexStream;
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        self.0.recv().await.ok_or_else(|| io::Error::other("the test is over"))
    }
}

impl Memory {
    pub fn start(limits: Limits) -> Self {
        let (connect, incoming) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let drain = Drain::new();
            let service = layers(service(), recogniser(), &limits, &[], drain.clone(), None);
            let shutdown = async { drop(stopped.await) };
            let settings = settings(limits);
            let workers = Workers::here(&settings.limits);
            run(Incoming(incoming), workers, service, None, &settings, drain, shutdown).await
        });
        Self { connect, stop, task }
    }

    pub fn connect(&self, address: &str) -> DuplexStream {
        let (client, server) = duplex(64 * 1024);
        self.connect.send((server, SocketAddr::new(address.parse().unwrap(), 1))).unwrap();
        client
    }
}

/// The seconds until the server closes the connection.
async fn closed_after(mut client: DuplexStream) -> u64 {
    let began = Instant::now();
    let _ = client.read_to_end(&mut Vec::new()).await;
    began.elapsed().as_secs()
}

pub fn limits() -> Limits {
    Limits { receive_timeout_ms: 5_000, idle_timeout_ms: 100_000, ..Settings::default().limits }
}

/// Settings with these limits and a grace period of ten seconds.
fn settings(limits: Limits) -> Settings {
    let mut settings = Settings { limits, ..Settings::default() };
    settings.server.shutdown_grace_ms = 10_000;
    settings
}

#[tokio::test(start_paused = true)]
async fn silent_and_slow_clients_are_closed() {
    let server = Memory::start(limits());
    let table: [(&[u8], u64); 5] = [
        // sent, closed after seconds
        (b"", 5),
        (b"P", 10),
        (b"PRI * HTTP/2.0", 10),
        // hyper's own timeout begins with the first byte that is not HTTP/2.
        (b"GET / HTTP/1.1\r\nhost: half a header", 5),
        // An HTTP/2 client that does not answer pings.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 80),
    ];
    for (sent, seconds) in table {
        let mut client = server.connect("10.0.0.1");
        client.write_all(sent).await.unwrap();
        assert_eq!(closed_after(client).await, seconds, "{:?}", String::from_utf8_lossy(sent));
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let server = Memory::start(limits());
    let mut client = h2(server.connect("10.0.0.1")).await;
    let mut busy = h2(server.connect("10.0.0.1")).await;
    let stream = busy.send_request(with_message(grpc(WATCH))).await.unwrap();

    sleep(90 * SECOND).await;
    let answer = Answer::read(client.send_request(with_message(grpc(CHECK))).await.unwrap()).await;
    assert_eq!(answer.code(), Code::Ok);
    sleep(90 * SECOND).await;
    client.ready().await.expect("a call makes the idle time begin again");
    sleep(11 * SECOND).await;
    client.ready().await.expect_err("idle for 100 seconds");

    sleep(1000 * SECOND).await;
    busy.ready().await.expect("a call is under way");
    drop(stream);
    sleep(101 * SECOND).await;
    busy.ready().await.expect_err("idle since the stream was dropped");
}

#[tokio::test(start_paused = true)]
async fn connections_over_the_limits_are_closed_at_once() {
    let server = Memory::start(Limits { connections: 3, connections_per_address: 2, ..limits() });
    let first = server.connect("10.0.0.1");
    let _second = server.connect("10.0.0.1");
    assert_eq!(closed_after(server.connect("10.0.0.1")).await, 0, "two from one address");
    let _third = server.connect("10.0.0.2");
    assert_eq!(closed_after(server.connect("10.0.0.3")).await, 0, "three in all");
    drop(first);
    let last = server.connect("10.0.0.3");
    assert_eq!(closed_after(last).await, 5, "there is room again, so it is closed for its silence only");
}

#[tokio::test(start_paused = true)]
async fn streams_over_the_limit_wait_and_large_headers_are_refused() {
    let server = Memory::start(Limits { streams_per_connection: 1, header_bytes: 1000, ..limits() });
    let mut client = h2(server.connect("10.0.0.1")).await;
    let stream = client.send_request(with_message(grpc(WATCH))).await.unwrap();
    let mut waiting = Box::pin(client.send_request(with_message(grpc(CHECK))));
    assert!(timeout(SECOND, waiting.as_mut()).await.is_err());
    drop(stream);
    assert_eq!(Answer::read(waiting.await.unwrap()).await.code(), Code::Ok);

    let large = with_message(grpc(CHECK).header("x-large", "x".repeat(1000)));
    assert_eq!(client.send_request(large).await.unwrap().status(), 431);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off() {
    let server = Memory::start(limits());
    let mut client = h2(server.connect("10.0.0.1")).await;
    let _unread = client.send_request(with_message(grpc("/test/Flood"))).await.unwrap();
    let began = Instant::now();
    server.stop.send(()).unwrap();
    assert_eq!(server.task.await.unwrap(), 1);
    assert_eq!(began.elapsed().as_secs(), 11);
}

#[tokio::test(start_paused = true)]
async fn half_a_request_does_not_keep_a_server_from_stopping() {
    let server = Memory::start(Limits { receive_timeout_ms: 60_000, ..limits() });
    let mut half = server.connect("10.0.0.1");
    half.write_all(b"POST / HTTP/1.1\r\nhost: half a header").await.unwrap();
    sleep(SECOND).await;
    let began = Instant::now();
    server.stop.send(()).unwrap();
    assert_eq!(server.task.await.unwrap(), 0);
    assert!(began.elapsed() <= 5 * SECOND, "{:?}", began.elapsed());
}

/// A listener without file descriptors.
struct Exhausted(Arc<AtomicUsize>);

impl Accept for Exhausted {
    type Socket = DuplexStream;
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(io::Error::from_raw_os_error(24))
    }
}

#[tokio::test(start_paused = true)]
async fn the_accept_loop_waits_when_there_are_no_file_descriptors() {
    let tries = Arc::new(AtomicUsize::new(0));
    let drain = Drain::new();
    let service = layers(service(), recogniser(), &limits(), &[], drain.clone(), None);
    let shutdown = sleep(10 * SECOND);
    run(Exhausted(tries.clone()), Workers::here(&limits()), service, None, &settings(limits()), drain, shutdown).await;
    let tries = tries.load(Ordering::Relaxed);
    assert!((10..20).contains(&tries), "{tries} tries in 10 seconds");
}

#[tokio::test]
async fn real_connections_do_not_wait_to_fill_packets() {
    let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = Accept::accept(&mut listener).await.unwrap();
    assert!(stream.nodelay().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_connection_stays_usable_when_a_call_is_refused_before_its_body_is_here() {
    let server = Memory::start(Limits::default());
    let head = "POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n";
    let answered = async |client: &mut DuplexStream| {
        let mut answer = [0; 4096];
        let length = client.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).contains(" 404 ")
    };

    let mut client = server.connect("127.0.0.1");
    for _ in 0..3 {
        client.write_all(head.as_bytes()).await.unwrap();
        assert!(answered(&mut client).await, "the answer does not wait for the body");
        client.write_all(b"body").await.unwrap();
    }

    // A body that does not arrive ends the connection.
    client.write_all(head.as_bytes()).await.unwrap();
    assert!(answered(&mut client).await);
    assert_eq!(timeout(2 * SECOND, client.read(&mut [0; 16])).await.unwrap().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_header_block_that_does_not_end_is_not_waited_for() {
    let server = Memory::start(limits());
    let mut client = server.connect("10.0.0.1");
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // HEADERS of stream 1 without END_HEADERS.
    client.write_all(b"\0\0\x01\x01\0\0\0\0\x01\x83").await.unwrap();
    assert_eq!(closed_after(client).await, 80);
}

#[tokio::test(start_paused = true)]
async fn too_many_headers_are_refused() {
    let server = Memory::start(limits());
    let many = |request: http::request::Builder, count| {
        with_message((0..count).fold(request, |request, n| request.header(format!("x-{n}"), "1")))
    };
    let mut client = h2(server.connect("10.0.0.1")).await;
    for (more, status) in [(0, 200), (101, 431), (0, 200)] {
        // hyper closes a connection of HTTP/1.1 after too many headers.
        let mut browser = h1(server.connect("10.0.0.1")).await;
        assert_eq!(client.send_request(many(grpc(CHECK), more)).await.unwrap().status(), status);
        let answer = Answer::read(browser.send_request(many(web(CHECK), more)).await.unwrap()).await;
        assert_eq!(answer.http, status);
    }
}
