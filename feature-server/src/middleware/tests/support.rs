//! A small gRPC service, the layers around it with and without sockets, and helpers that read answers.

use std::convert::Infallible;
use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost_reflect::DescriptorPool;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_health::server::{HealthReporter, HealthService};
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Service, ServiceExt, service_fn};

use crate::call_context::deadline::Deadline;
use crate::call_context::{CallContext, Client};
use crate::config::settings::Settings;
use crate::middleware::browsers::AllowedHosts;
use crate::middleware::recognise::{MessageBytes, Recogniser};
use crate::middleware::response_body::CallBody;
use crate::middleware::stack::{layers, serve};
use crate::monitoring::call_counters::CallCounters;
use crate::net::shutdown::Drain;
use crate::net::workers::Workers;
use crate::pages::Pages;
use crate::permit::Permit;

/// The prefix of an empty gRPC message, which is also an empty health check.
pub const EMPTY: &[u8] = &[0; 5];
pub const CHECK: &str = "/grpc.health.v1.Health/Check";
pub const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// tonic's health service, and paths with faulty behaviour.
pub fn service()
-> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static {
    // Outlives the service: a watch ends when the reporter is dropped.
    static HEALTH: LazyLock<HealthReporter> = LazyLock::new(HealthReporter::new);
    let health = HealthService::from_health_reporter(HEALTH.clone());
    let health = tonic_health::pb::health_server::HealthServer::new(health)
        .max_decoding_message_size(100)
        .accept_compressed(CompressionEncoding::Gzip);
    let health = Routes::new(health);
    service_fn(move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        assert_ne!(path, "/test/PanicAtOnce", "this call panics before it has a future");
        let health = health.clone();
        async move {
            // Like the layer in front of the real services.
            if request.headers().contains_key("authorization")
                && let Err(failure) = Permit::of(request.extensions()).unwrap().authenticate(Default::default())
            {
                return Ok(failure.status(CallContext::of(request.extensions()).request_id()).into_http());
            }
            match path.as_str() {
                "/test/Never" => pending().await,
                "/test/Panic" => panic!("this call panics"),
                "/test/Context" => Ok(context(&request)),
                "/test/Flood" => Ok(stream(usize::MAX, Then::Wait)),
                "/test/OneThenPanic" => Ok(stream(1, Then::Panic)),
                "/test/One" => Ok(stream(1, Then::Succeed)),
                "/test/OneThenError" => Ok(stream(1, Then::Fail)),
                _ => health.oneshot(request).await,
            }
        }
    })
}

/// Answers with what a service sees of its request.
fn context(request: &Request<Body>) -> Response<Body> {
    let mut response = Status::ok("").into_http::<Body>();
    let deadline = request.extensions().get::<Deadline>().expect("every request has a deadline");
    response.headers_mut().insert("explicit", deadline.stream.is_some().to_string().parse().unwrap());
    response.headers_mut().insert("version", format!("{:?}", request.version()).parse().unwrap());
    let context = CallContext::of(request.extensions());
    response.headers_mut().insert("seen-id", context.request_id().parse().unwrap());
    response
}

enum Then {
    Wait,
    Panic,
    Fail,
    Succeed,
}

/// A stream of messages of the same size. They are large, because h2's client takes many small ones for an attack.
struct Messages(usize, Then);

/// A message of 4096 zeros.
static MESSAGE: [u8; 5 + 4096] = {
    let mut message = [0; 5 + 4096];
    message[3] = 0x10;
    message
};

fn stream(messages: usize, then: Then) -> Response<Body> {
    let mut response = Response::new(Body::new(Messages(messages, then)));
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    response
}

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.0 > 0 {
            self.0 -= 1;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&MESSAGE)))));
        }
        match self.1 {
            Then::Wait => Poll::Pending,
            Then::Panic => panic!("this stream panics"),
            Then::Succeed => {
                self.1 = Then::Wait;
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                trailers.insert("cost", HeaderValue::from_static("237"));
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Then::Fail => Poll::Ready(Some(Err(Status::data_loss("this stream fails")))),
        }
    }
}

/// An empty gRPC request.
pub fn grpc(path: &str) -> http::request::Builder {
    Request::post(format!("http://server{path}"))
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// An empty gRPC-Web request.
pub fn web(path: &str) -> http::request::Builder {
    Request::post(path).header("host", "server").header("content-type", "application/grpc-web+proto")
}

pub fn with_message(request: http::request::Builder) -> Request<Body> {
    request.body(Body::new(Full::from(EMPTY))).unwrap()
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub http: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub async fn read<B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>>(response: Response<B>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        Self { http: head.status, headers: head.headers, body: body.to_bytes(), trailers }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The status from the trailers or the headers.
    pub fn status(&self) -> Status {
        let headers = self.trailers.as_ref().unwrap_or(&self.headers);
        Status::from_header_map(headers).unwrap_or_else(|| panic!("no status: {self:?}"))
    }

    pub fn code(&self) -> Code {
        self.status().code()
    }

    pub fn details(&self) -> ErrorDetails {
        self.status().get_error_details()
    }

    /// The reason, after a check of what every failure carries.
    pub fn reason(&self) -> String {
        let details = self.details();
        let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo: {self:?}"));
        assert_eq!(info.domain, crate::error::ERROR_DOMAIN);
        let request_id = &details.request_info().expect("a failure has a RequestInfo").request_id;
        assert_eq!(Some(request_id.as_str()), self.header("x-request-id"));
        info.reason.clone()
    }
}

/// Recognises all calls, for a server that listens on all addresses and so has any name.
pub fn recogniser() -> Recogniser {
    let mut settings = Settings::default();
    settings.server.listen = ([0, 0, 0, 0], 8080).into();
    recogniser_of(crate::services::descriptors::pool(), AllowedHosts::new(&settings))
}

/// Recognises calls of the services in `pool`, under the names in `hosts`.
pub fn recogniser_of(pool: DescriptorPool, hosts: AllowedHosts) -> Recogniser {
    let pages = Pages::new(&pool, ([127, 0, 0, 1], 8080).into(), false);
    let message_bytes = MessageBytes { default: 1 << 20, of_services: (&["grpc.health.v1.Health"], 100) };
    Recogniser::new(pool, message_bytes, pages, hosts, Arc::default()).unwrap()
}

/// More methods than any pool in these tests has.
const METHODS: usize = 64;

/// A request as the connection of a client with this address passes it on.
pub fn sent_by(address: IpAddr, mut request: Request<Body>) -> Request<Body> {
    let context = CallContext::from_request(
        &request,
        Client { address, ..Client::default() },
        Arc::new(CallCounters::new(METHODS)),
    );
    request.extensions_mut().insert(context);
    request
}

/// Calls the service through the layers, without a connection.
pub async fn call(settings: &Settings, request: Request<Body>) -> Answer {
    Answer::read(call_with(settings, Drain::new(), request).await).await
}

/// The same up to the beginning of the answer.
pub async fn call_with(settings: &Settings, drain: Drain, request: Request<Body>) -> Response<CallBody> {
    let service = layers(service(), recogniser(), &settings.limits, &settings.cors.allowed_origins, drain, None);
    let Ok(response) = service.oneshot(sent_by(Ipv4Addr::LOCALHOST.into(), request)).await;
    response
}

/// A server that listens on a free port of this machine.
pub struct Server {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<usize>,
}

impl Server {
    pub async fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let shutdown = async { drop(stopped.await) };
            let (workers, entry) = (Workers::here(&settings.limits), (recogniser(), None));
            serve(listener, workers, service(), entry, None, &settings, shutdown).await
        });
        Self { address, stop, task }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Tells the server to stop; the returned task ends when it has stopped, with the number of connections cut off.
    pub fn stop(self) -> JoinHandle<usize> {
        let _ = self.stop.send(());
        self.task
    }
}

pub async fn h1(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> http1::SendRequest<Body> {
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub async fn h2(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> http2::SendRequest<Body> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    sender
}
