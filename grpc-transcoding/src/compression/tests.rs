//! Content in and out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http_body::{Body as _, Frame};
use tonic::{Code, Status};

use super::*;
use crate::host::DefaultHost;

/// A host with room for so many decompressed bytes.
#[derive(Clone)]
struct Room(Arc<AtomicUsize>);

impl CallHost for Room {
    fn of(_: &http::Extensions) -> Self {
        Self(Arc::default())
    }

    fn message_bytes(&self) -> usize {
        100_000
    }

    fn reserve_bytes(&self, bytes: usize) -> Result<(), Error> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(bytes));
        taken.map(drop).map_err(|_| Error::Overloaded)
    }

    async fn run<T: Send + 'static>(&self, _: usize, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        Ok(job())
    }

    fn status(&self, error: &Error) -> Status {
        error.status()
    }

    fn set_code(&self, _: Code) {}

    fn in_span<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }
}

/// A body in pieces; None is where the client goes away.
struct Pieces(VecDeque<Option<&'static [u8]>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let piece = self.0.pop_front();
        Poll::Ready(piece.map(|piece| match piece {
            Some(piece) => Ok(Frame::data(Bytes::from_static(piece))),
            None => Err(Status::cancelled("the client has gone")),
        }))
    }
}

fn zip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn content_is_read_up_to_the_limit() {
    let table: [(&[Option<&[u8]>], _); 8] = [
        // pieces, content or code
        (&[], Ok("")),
        (&[Some(b"12345")], Ok("12345")),
        (&[Some(b"12"), Some(b""), Some(b"345")], Ok("12345")),
        (&[Some(b""), Some(b"12"), Some(b"345")], Ok("12345")),
        (&[Some(b"123456")], Err(Code::OutOfRange)),
        (&[Some(b"12345"), Some(b"6")], Err(Code::OutOfRange)),
        (&[Some(b"12"), Some(b"34"), Some(b"56")], Err(Code::OutOfRange)),
        (&[Some(b"12"), None], Err(Code::InvalidArgument)),
    ];
    for (pieces, expected) in table {
        let body = Body::new(Pieces(pieces.iter().copied().collect()));
        let found = read(body, HeaderMap::new(), 5).await.map(|content| content.bytes);
        let found = found.map_err(|error| error.code());
        assert_eq!(found, expected.map(Bytes::from), "{pieces:?}");
    }
}

async fn decode(encoding: Encoding, content: impl Into<Bytes>, limit: usize) -> Result<Bytes, Error> {
    let host = DefaultHost { message_bytes: limit };
    let bytes = content.into();
    let content = || Content { encoding, bytes: bytes.clone() };
    let decompressed = content().decode(&host, None).await;
    let length = content().decode(&host, Some(Arc::new(|content| Ok(content.len().to_string().into())))).await;
    let expected = decompressed.as_ref().ok().map(|content| Bytes::from(content.len().to_string()));
    assert_eq!(length.ok(), expected, "both ways come to the same");
    decompressed
}

#[tokio::test]
async fn content_is_decompressed_up_to_the_limit() {
    let two_members = [zip(b"123"), zip(b"45")].concat();
    let table = [
        // encoding, content, result or code
        ("", b"12345".to_vec(), Ok("12345")),
        ("identity", b"12345".to_vec(), Ok("12345")),
        ("gzip", zip(b"12345"), Ok("12345")),
        ("GZIP", two_members, Ok("12345")),
        ("gzip", zip(b""), Ok("")),
        ("gzip", vec![], Ok("")),
        ("gzip", zip(b"123456"), Err(Code::OutOfRange)),
        ("gzip", zip(&[0; 1_000_000]), Err(Code::OutOfRange)),
        ("gzip", b"12345".to_vec(), Err(Code::InvalidArgument)),
        ("gzip", zip(b"12345")[..20].to_vec(), Err(Code::InvalidArgument)),
        ("br", vec![], Err(Code::Unimplemented)),
        ("gzip, gzip", vec![], Err(Code::Unimplemented)),
    ];
    for (encoding, content, expected) in table {
        let found = match Encoding::parse(encoding.as_bytes()) {
            Ok(encoding) => decode(encoding, content, 5).await,
            Err(error) => Err(error),
        };
        let found = found.map_err(|error| error.code());
        assert_eq!(found, expected.map(Bytes::from), "{encoding:?}");
    }
    let long = vec![b'x'; 100_000];
    assert_eq!(decode(Encoding::Gzip, zip(&long), long.len()).await.unwrap(), long);
    let error = decode(Encoding::Gzip, zip(&long), long.len() - 1).await.unwrap_err();
    assert!(matches!(error, Error::MessageTooLarge { limit: 99_999 }));
}

#[tokio::test]
async fn decompressed_bytes_are_reserved() {
    let host = Room(Arc::new(AtomicUsize::new(100_000)));
    let content = Bytes::from(zip(&vec![b'x'; 60_000]));
    let decode = || Content { encoding: Encoding::Gzip, bytes: content.clone() }.decode(&host, None);
    decode().await.unwrap();
    assert_eq!(host.0.load(Ordering::Relaxed), 40_000);
    assert!(matches!(decode().await, Err(Error::Overloaded)));
}

#[test]
fn accept_encoding_is_read() {
    let table: [(&[&str], _); 12] = [
        // values of the header, whether gzip is taken
        (&[], false),
        (&["gzip"], true),
        (&["deflate, GZIP ;q=0.5, br"], true),
        (&["br", "gzip"], true),
        (&["br"], false),
        (&["*"], true),
        (&["*;q=0"], false),
        (&["gzip;q=0"], false),
        (&["gzip; q=0.000, *"], false),
        (&["*;q=0, gzip"], true),
        (&["identity"], false),
        (&["gzipped"], false),
    ];
    for (values, expected) in table {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT_ENCODING, value.parse().unwrap());
        }
        assert_eq!(accepts_gzip(&headers, ACCEPT_ENCODING), expected, "{values:?}");
    }
}

#[tokio::test]
async fn answers_tell_what_they_are() {
    let (short, long) = (vec![b'x'; WORTH_COMPRESSING - 1], vec![b'x'; WORTH_COMPRESSING]);
    let table = [
        // content, gzip accepted, compressed, has the header vary
        (&short, true, false, false),
        (&long, false, false, true),
        (&long, true, true, true),
    ];
    for (content, gzip, compressed, varies) in table {
        let content_type = HeaderValue::from_static("text/plain");
        let answer = answer(HeaderMap::new(), content_type, content.clone().into(), gzip);
        assert_eq!(answer.headers()["content-type"], "text/plain");
        assert_eq!(answer.headers().contains_key("content-encoding"), compressed);
        assert_eq!(answer.headers().contains_key("vary"), varies);
        let length = answer.body().size_hint().exact();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(length, Some(body.len() as u64));
        let encoding = if compressed { Encoding::Gzip } else { Encoding::Identity };
        assert_eq!(decode(encoding, body, content.len()).await.unwrap(), *content);
    }
}
