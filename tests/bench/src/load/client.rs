//! One connection that makes calls. It does little, since it shares the machine with the server.

use std::future::poll_fn;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::response::Parts;
use http::{Request, StatusCode};
use tokio::net::TcpStream;

use super::{Call, Check};

/// A connection over HTTP/2. Clones share it.
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Bytes>,
}

impl Client {
    /// Connects. The connection ends with its last clone.
    pub async fn connect(address: &str) -> Result<Self> {
        Self::on(TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?).await
    }

    /// Makes calls on an open connection.
    pub(super) async fn on(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        let window = 1 << 20;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window).initial_connection_window_size(window).max_concurrent_reset_streams(1);
        let (sender, connection) = builder.handshake(stream).await?;
        tokio::spawn(async move {
            // The failing calls on the connection report the error.
            let _ = connection.await;
        });
        Ok(Self { sender })
    }

    /// Makes the call of a turn and checks the answer.
    pub async fn call(&self, call: &Call, turn: usize) -> Result<()> {
        let (is_grpc, answer) = self.send((call.request)(turn)).await?;
        let (head, mut body) = answer.await?.into_parts();
        match &call.check {
            Check::Same(expected) => {
                expect(&mut body, expected).await?;
                check_status(is_grpc, &head, &mut body).await
            }
            Check::Each(check) => {
                let answer = read(&mut body).await?;
                check_status(is_grpc, &head, &mut body).await?;
                check(turn, &answer).with_context(|| format!("the answer to turn {turn} is wrong"))
            }
        }
    }

    /// Makes a call and returns the whole answer, for comparison with later ones.
    pub async fn answer(&self, request: Request<Bytes>) -> Result<Bytes> {
        let (is_grpc, answer) = self.send(request).await?;
        let (head, mut body) = answer.await?.into_parts();
        let answer = read(&mut body).await?;
        check_status(is_grpc, &head, &mut body).await.with_context(|| String::from_utf8_lossy(&answer).into_owned())?;
        Ok(answer.into())
    }

    /// Opens a stream of messages.
    ///
    /// `ends`: whether the request has one message; else it stays open.
    pub async fn open(&self, request: Request<Bytes>, ends: bool) -> Result<Open> {
        let mut sender = self.sender.clone().ready().await?;
        let (head, body) = request.into_parts();
        let (answer, mut sent) = sender.send_request(Request::from_parts(head, ()), false)?;
        sent.send_data(body, ends)?;
        Ok(Open { answer: Some(answer), body: None, _sent: sent })
    }

    /// Sends a request. Returns whether it is a gRPC request.
    async fn send(&self, request: Request<Bytes>) -> Result<(bool, ResponseFuture)> {
        let mut sender = self.sender.clone().ready().await?;
        let is_grpc = request.headers().contains_key("te");
        let (head, body) = request.into_parts();
        let (answer, mut stream) = sender.send_request(Request::from_parts(head, ()), body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(body, true)?;
        }
        Ok((is_grpc, answer))
    }
}

/// A stream of messages.
pub struct Open {
    answer: Option<ResponseFuture>,
    body: Option<RecvStream>,
    _sent: SendStream<Bytes>,
}

impl Open {
    /// The next bytes.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(answer) = self.answer.take() {
            self.body = Some(answer.await?.into_body());
        }
        let body = self.body.as_mut().context("the answer has failed")?;
        let Some(data) = body.data().await.transpose()? else { return Ok(None) };
        body.flow_control().release_capacity(data.len())?;
        Ok(Some(data))
    }
}

/// Reads a body and compares it with the expected bytes.
async fn expect(body: &mut RecvStream, expected: &[u8]) -> Result<()> {
    let mut rest = expected;
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        rest = rest.strip_prefix(&data[..]).context("another answer than expected")?;
    }
    ensure!(rest.is_empty(), "a shorter answer than expected");
    Ok(())
}

async fn read(body: &mut RecvStream) -> Result<Vec<u8>> {
    let mut received = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        received.extend_from_slice(&data);
    }
    Ok(received)
}

async fn check_status(is_grpc: bool, head: &Parts, body: &mut RecvStream) -> Result<()> {
    ensure!(head.status == StatusCode::OK, "answered with {}", head.status);
    if !is_grpc {
        return Ok(());
    }
    let trailers = match poll_fn(|cx| body.poll_trailers(cx)).await {
        // A server may answer before it has read the whole request.
        Err(error) if error.reason() == Some(Reason::NO_ERROR) => None,
        trailers => trailers?,
    };
    // An answer without a message has its status in the headers.
    let headers = trailers.as_ref().unwrap_or(&head.headers);
    let status = headers.get("grpc-status").context("there is no grpc-status")?;
    ensure!(status == "0", "grpc-status {status:?}: {:?}", headers.get("grpc-message"));
    Ok(())
}
