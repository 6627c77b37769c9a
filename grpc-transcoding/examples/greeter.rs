//! A greeter, served over gRPC, gRPC-Web, Connect and REST, with its OpenAPI document, with deadlines and limits.
//!
//! Run it with `cargo run -p grpc-transcoding --example greeter`, and call it:
//!
//! ```sh
//! curl http://127.0.0.1:8090/v1/greetings/Ann
//! curl http://127.0.0.1:8090/v1/greetings/Ann:repeat?times=3
//! curl --json '{"name":"Ann"}' http://127.0.0.1:8090/greeter.v1.Greeter/Greet
//! curl http://127.0.0.1:8090/openapi.json
//! ```
//!
//! The argument is the address, if it is another one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use grpc_transcoding::openapi::{self, Api};
use grpc_transcoding::protocol::json_answer;
use grpc_transcoding::{DefaultHost, Protocols, Transcode, TranscodedBody};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use prost_reflect::DescriptorPool;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::server::Grpc;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use tonic_types::{ErrorDetails, StatusExt};
use tower::{ServiceExt, service_fn};

const ADDRESS: &str = "127.0.0.1:8090";

/// The most greetings of one call.
const MAX_TIMES: u32 = 100;

/// The largest message of a request, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// The longest duration of a call.
const MAX_DURATION: Duration = Duration::from_secs(60);

#[derive(Clone, PartialEq, prost::Message)]
struct GreetRequest {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    times: u32,
    #[prost(uint32, tag = "3")]
    pause_ms: u32,
    #[prost(int32, tag = "4")]
    error: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GreetResponse {
    #[prost(string, tag = "1")]
    text: String,
}

impl GreetRequest {
    fn greeting(&self) -> GreetResponse {
        GreetResponse { text: format!("Hello, {}!", self.name) }
    }

    async fn pause(&self) {
        if self.pause_ms > 0 {
            sleep(Duration::from_millis(self.pause_ms.into())).await;
        }
    }

    /// Fails with the error that the client asks for.
    fn check(&self) -> Result<(), Status> {
        match Code::from_i32(self.error) {
            Code::Ok => Ok(()),
            code => {
                let details = ErrorDetails::with_error_info("ASKED_FOR", "greeter.v1", HashMap::new());
                Err(Status::with_error_details(code, format!("no more greetings for {}", self.name), details))
            }
        }
    }
}

/// When a call has to end. It is an extension of the request.
#[derive(Clone, Copy)]
struct Deadline(Instant);

impl Deadline {
    fn of<T>(request: &tonic::Request<T>) -> Self {
        *request.extensions().get().expect("every request has a deadline")
    }

    async fn limit<T>(self, work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        timeout_at(self.0, work).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("the deadline has passed")))
    }
}

type Unary<T> = Result<tonic::Response<T>, Status>;
type Greetings = ReceiverStream<Result<GreetResponse, Status>>;

async fn greet(request: tonic::Request<GreetRequest>) -> Unary<GreetResponse> {
    let (deadline, request) = (Deadline::of(&request), request.into_inner());
    let greeting = async {
        request.pause().await;
        request.check()?;
        Ok(tonic::Response::new(request.greeting()))
    };
    deadline.limit(greeting).await
}

async fn repeat(request: tonic::Request<GreetRequest>) -> Unary<Greetings> {
    let (deadline, request) = (Deadline::of(&request), request.into_inner());
    if request.times > MAX_TIMES {
        return Err(Status::out_of_range(format!("at most {MAX_TIMES} times")));
    }
    Ok(stream(request.name.clone(), deadline, |greetings| async move {
        for _ in 0..request.times {
            send(&greetings, &request).await?;
        }
        request.check()
    }))
}

async fn greet_all(requests: tonic::Request<Streaming<GreetRequest>>) -> Unary<GreetResponse> {
    let (deadline, mut requests) = (Deadline::of(&requests), requests.into_inner());
    let all = async move {
        let mut texts = Vec::new();
        while let Some(request) = requests.message().await? {
            request.pause().await;
            request.check()?;
            texts.push(request.greeting().text);
        }
        Ok(tonic::Response::new(GreetResponse { text: texts.join(" ") }))
    };
    deadline.limit(all).await
}

async fn chat(requests: tonic::Request<Streaming<GreetRequest>>) -> Unary<Greetings> {
    let (deadline, mut requests) = (Deadline::of(&requests), requests.into_inner());
    Ok(stream("a chat".to_owned(), deadline, |greetings| async move {
        while let Some(request) = requests.message().await? {
            send(&greetings, &request).await?;
            request.check()?;
        }
        Ok(())
    }))
}

async fn wave(_: tonic::Request<()>) -> Unary<()> {
    Ok(tonic::Response::new(()))
}

/// A stream of the greetings that `work` sends, until the deadline. The log shows `name`.
fn stream<W>(
    name: String,
    deadline: Deadline,
    work: impl FnOnce(Sender<Result<GreetResponse, Status>>) -> W,
) -> tonic::Response<Greetings>
where
    W: Future<Output = Result<(), Status>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(1);
    let work = work(sender.clone());
    tokio::spawn(async move {
        let has_gone = tokio::select! {
            result = deadline.limit(work) => match result {
                Ok(()) => false,
                Err(status) => sender.send(Err(status)).await.is_err(),
            },
            () = sender.closed() => true,
        };
        if has_gone {
            println!("{name}: the client has cancelled the stream");
        }
    });
    tonic::Response::new(ReceiverStream::new(receiver))
}

async fn send(greetings: &Sender<Result<GreetResponse, Status>>, request: &GreetRequest) -> Result<(), Status> {
    greetings.send(Ok(request.greeting())).await.map_err(|_| Status::cancelled("the client has gone"))?;
    request.pause().await;
    Ok(())
}

/// The gRPC service. A real one would be generated by tonic-prost-build.
async fn greeter(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let moods = request.headers().iter().filter(|(name, _)| ["mood", "mood-bin"].contains(&name.as_str()));
    let moods: HeaderMap = moods.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut grpc = Grpc::new(ProstCodec::<GreetResponse, GreetRequest>::default());
    let mut response = match request.uri().path() {
        "/greeter.v1.Greeter/Greet" => grpc.unary(service_fn(greet), request).await,
        "/greeter.v1.Greeter/Repeat" => grpc.server_streaming(service_fn(repeat), request).await,
        "/greeter.v1.Greeter/GreetAll" => grpc.client_streaming(service_fn(greet_all), request).await,
        "/greeter.v1.Greeter/Chat" => grpc.streaming(service_fn(chat), request).await,
        "/greeter.v1.Greeter/Wave" => Grpc::new(ProstCodec::<(), ()>::default()).unary(service_fn(wave), request).await,
        _ => {
            drain(request.into_body()).await;
            Status::unimplemented("there is no such method").into_http()
        }
    };
    response.headers_mut().extend(moods.clone());
    Ok(response.map(|body| {
        Body::new(body.map_frame(move |mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                trailers.extend(moods.clone());
            }
            frame
        }))
    }))
}

/// Answers a request in its protocol.
async fn answer<B>(protocols: &Protocols, mut request: Request<B>) -> Response<TranscodedBody<Body>>
where
    B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
{
    let refusal = match protocols.recognise(&request) {
        Err(error) => protocols.answer_no_call(&error, &error.status(), request.method()),
        Ok(protocol) => match protocol.timeout(request.headers()) {
            Err(error) => protocol.refuse(&error.status()),
            Ok(timeout) => {
                let timeout = timeout.unwrap_or(MAX_DURATION).min(MAX_DURATION);
                request.extensions_mut().insert(Deadline(Instant::now() + timeout));
                request.extensions_mut().insert(DefaultHost { message_bytes: MAX_MESSAGE_BYTES });
                let calls = Transcode::<_, DefaultHost>::new(service_fn(greeter));
                let Ok(response) = calls.oneshot((protocol, request.map(Body::new))).await;
                return response;
            }
        },
    };
    drain(request.into_body()).await;
    refusal.map(TranscodedBody::Translated)
}

/// Reads the rest of a request: over HTTP/1.1 a client that cannot send all of it may not read the answer.
async fn drain(body: impl http_body::Body<Error: Into<StdError>>) {
    let _ = Limited::new(body, MAX_MESSAGE_BYTES).collect().await;
}

/// The descriptors of the greeter and of error details. A real service would have them from its build script.
fn descriptors() -> Result<DescriptorPool, Box<dyn Error>> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([crate_folder.join("examples"), crate_folder.join("../proto")])?;
    compiler.include_imports(true).include_source_info(true).open_file("greeter.proto")?;
    let mut pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice())?;
    pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)?;
    Ok(pool)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = descriptors()?;
    let api = Api {
        title: "Greeter",
        description: "Greets people.",
        version: "1",
        license: "Apache-2.0",
        headers: &[],
        error_details: &["google.rpc.ErrorInfo", "google.rpc.BadRequest"],
        authentication: None,
        refine_text: |_, _| (),
    };
    let document = openapi::document(&pool, &api).to_string();
    let protocols = Arc::new(Protocols::new(pool)?);
    let service = service_fn(move |request: Request<_>| {
        let (protocols, document) = (Arc::clone(&protocols), document.clone());
        async move {
            Ok::<_, Infallible>(match request.uri().path() {
                "/openapi.json" => json_answer(StatusCode::OK, document.into()).map(TranscodedBody::Translated),
                _ => answer(&protocols, request).await,
            })
        }
    });
    let address = std::env::args().nth(1).unwrap_or_else(|| ADDRESS.to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/openapi.json", listener.local_addr()?);
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = server.serve_connection(TokioIo::new(connection), service).await {
                eprintln!("a connection failed: {error}");
            }
        });
    }
}
