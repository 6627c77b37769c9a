//! A collector in the test, in clear text or with TLS and a key that its clients have to send.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server as GrpcServer, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::tls::authority::Leaf;

/// The header with the key.
pub const KEY_HEADER: &str = "x-api-key";

/// A collector that keeps what it receives.
#[derive(Clone, Default)]
pub struct Collector {
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    /// What the header with the key must be; empty: it takes all.
    key: &'static str,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let keys: Vec<_> = request.metadata().get_all(KEY_HEADER).iter().collect();
        if !self.key.is_empty() && keys != [self.key] {
            // A collector may well say what it got.
            return Err(Status::unauthenticated(format!("not the key: {keys:?}")));
        }
        self.requests.lock().expect("no code panics with the requests").push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts a collector. Returns it with its URL.
    pub async fn start() -> (Self, String) {
        let (collector, address) = Self::default().serve(GrpcServer::builder()).await;
        (collector, format!("http://{address}"))
    }

    /// The same with TLS, for clients that send this key.
    pub async fn start_secured(leaf: &Leaf, key: &'static str) -> (Self, String) {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(leaf.pem(), leaf.key()));
        let server = GrpcServer::builder().tls_config(tls).expect("the certificate is valid");
        let (collector, address) = Self { key, ..Self::default() }.serve(server).await;
        (collector, format!("https://{address}"))
    }

    async fn serve(self, mut server: GrpcServer) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let service = TraceServiceServer::new(self.clone());
        tokio::spawn(server.add_service(service).serve_with_incoming(TcpIncoming::from(listener)));
        (self, address.to_string())
    }

    pub fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.requests.lock().expect("no code panics with the requests").clone()
    }

    /// All spans of a trace.
    pub fn spans_of(&self, trace: &str) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        let spans = resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
        spans.filter(|span| hex(&span.trace_id) == trace).collect()
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
