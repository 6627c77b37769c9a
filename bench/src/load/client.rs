//! One connection that makes calls. It is thin, since it shares the machine with what it measures.

use std::future::poll_fn;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;

use super::Call;

/// A connection over HTTP/2. Its copies share it.
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Bytes>,
}

impl Client {
    /// Connects. The connection ends when the last copy is dropped.
    pub async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let window = 1 << 20;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window).initial_connection_window_size(window).max_concurrent_reset_streams(1);
        let (sender, connection) = builder.handshake(stream).await?;
        tokio::spawn(async move {
            // Calls that fail with it tell why.
            let _ = connection.await;
        });
        Ok(Self { sender })
    }

    /// Makes the call of a turn, and checks the answer.
    pub async fn call(&self, call: &Call, turn: usize) -> Result<()> {
        let (is_grpc, answer) = self.send((call.request)(turn)).await?;
        let (head, mut body) = answer.await?.into_parts();
        ensure!(head.status == StatusCode::OK, "answered with {}", head.status);
        let received = read(&mut body, call.answer.as_ref()).await?;
        if is_grpc {
            let trailers = trailers(&mut body).await?;
            // An answer without a message has its status in the headers.
            check_status(trailers.as_ref().unwrap_or(&head.headers))?;
        }
        ensure!(call.answer.as_ref().is_none_or(|expected| expected.len() == received), "another answer than expected");
        Ok(())
    }

    /// Makes a call and gives the whole answer, so that later ones can be compared with it.
    pub async fn answer(&self, call: &Call) -> Result<Bytes> {
        let (is_grpc, answer) = self.send((call.request)(0)).await?;
        let (head, mut body) = answer.await?.into_parts();
        let mut received = Vec::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            received.extend_from_slice(&data);
        }
        if head.status != StatusCode::OK {
            bail!("answered with {}: {}", head.status, String::from_utf8_lossy(&received));
        }
        if is_grpc {
            check_status(trailers(&mut body).await?.as_ref().unwrap_or(&head.headers))?;
        }
        Ok(received.into())
    }

    /// Sends a request, and tells whether it is one of gRPC.
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

/// Reads a body, comparing it with what is expected, and tells its length.
async fn read(body: &mut RecvStream, expected: Option<&Bytes>) -> Result<usize> {
    let mut received = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        let as_expected =
            expected.is_none_or(|expected| expected.get(received..received + data.len()) == Some(&data[..]));
        ensure!(as_expected, "another answer than expected");
        received += data.len();
    }
    Ok(received)
}

async fn trailers(body: &mut RecvStream) -> Result<Option<HeaderMap>> {
    match poll_fn(|cx| body.poll_trailers(cx)).await {
        // The server has answered before it read the whole request, which is its right.
        Err(error) if error.reason() == Some(Reason::NO_ERROR) => Ok(None),
        trailers => Ok(trailers?),
    }
}

fn check_status(headers: &HeaderMap) -> Result<()> {
    let status = headers.get("grpc-status").context("there is no grpc-status")?;
    ensure!(status == "0", "grpc-status {status:?}: {:?}", headers.get("grpc-message"));
    Ok(())
}
