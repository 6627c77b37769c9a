//! Reads the first message of a TLS client, and answers a client that does not speak TLS.

use std::io;

use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The bytes of one read. A usual first message fits.
const CHUNK: usize = 4096;

/// The answer to HTTP without TLS: browsers and curl show it to the user.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain\r\n\
    content-length: 36\r\n\
    connection: close\r\n\
    \r\n\
    this port speaks TLS: call https://\n";

/// Reads the first message of a client.
///
/// # Errors
/// What is wrong with the message. The client has received an alert by then; the caller only has to close the
/// connection.
pub(crate) async fn read<Io: AsyncRead + AsyncWrite + Unpin>(io: &mut Io) -> io::Result<Accepted> {
    let mut acceptor = Acceptor::default();
    let mut chunk = vec![0; CHUNK];
    let mut beginning = true;
    loop {
        let length = io.read(&mut chunk).await?;
        let mut bytes = &chunk[..length];
        let Some(first) = bytes.first() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        // HTTP begins with the name of a method or `PRI`, always in capitals. No TLS record begins with a capital
        // letter.
        if beginning && first.is_ascii_uppercase() {
            tell(io, NOT_TLS).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not speak TLS"));
        }
        beginning = false;
        while !bytes.is_empty() {
            acceptor.read_tls(&mut bytes)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut words = Vec::new();
                alert.write_all(&mut words)?;
                tell(io, &words).await?;
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }
}

async fn tell<Io: AsyncWrite + Unpin>(io: &mut Io, words: &[u8]) -> io::Result<()> {
    io.write_all(words).await?;
    io.shutdown().await
}
