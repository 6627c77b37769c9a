//! The requests to the service, and the parts of its answers.

use std::collections::BTreeMap;

use http_body_util::Full;
use tower::service_fn;

use super::*;
use crate::compression::Encoding;
use crate::host::DefaultHost;

const PATH: PathAndQuery = PathAndQuery::from_static("/a.Service/Method");

/// A service whose answers `answer` makes.
fn inside(answer: impl FnOnce(Request<Body>) -> Response<Body> + Clone + Send + 'static) -> impl GrpcService {
    service_fn(move |request| std::future::ready(Ok(answer.clone()(request))))
}

/// An answer with a body and, after it, trailers.
fn answered(body: &'static [u8], trailers: &[(&'static str, &'static str)]) -> Response<Body> {
    let trailers =
        trailers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let trailers: HeaderMap = trailers.collect();
    let body = http_body_util::BodyExt::with_trailers(Full::from(body), std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert("leading", HeaderValue::from_static("1"));
    response
}

/// A client's message.
fn sent(message: &'static [u8]) -> Body {
    let content = Content { encoding: Encoding::Identity, bytes: message.into() };
    lazy_message(DefaultHost::default(), std::future::ready(Ok(content)), None)
}

fn head(request: http::request::Builder) -> Parts {
    request.body(()).unwrap().into_parts().0
}

#[tokio::test]
async fn the_service_sees_a_grpc_request() {
    let table = [
        // target of the client's request, target of the call, version
        ("/v2/things?x=1", "/a.Service/Method", Version::HTTP_11),
        ("http://host:1/v2/things?x=1", "http://host:1/a.Service/Method", Version::HTTP_11),
        ("https://host/", "https://host/a.Service/Method", Version::HTTP_2),
        ("host:1", "http://host:1/a.Service/Method", Version::HTTP_11),
        ("*", "/a.Service/Method", Version::HTTP_11),
    ];
    for (target, expected, version) in table {
        let mut request = Request::put(target).version(version).extension(7_u8);
        for name in OF_CONNECTION.into_iter().chain(OF_BODY).chain(OF_PROTOCOL) {
            request = request.header(name, "x");
        }
        for name in ["authorization", "host", "x-request-id", "grpc-trace-bin", "traceparent"] {
            request = request.header(name, name);
        }
        let service = inside(move |request| {
            let (head, _) = request.into_parts();
            assert_eq!((head.method, head.version), (Method::POST, Version::HTTP_2));
            assert_eq!(head.uri, expected);
            assert_eq!(head.extensions.get::<u8>(), Some(&7));
            let headers: BTreeMap<_, _> = head.headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
            let expected = [
                ("authorization", "authorization"),
                ("content-type", "application/grpc"),
                ("grpc-trace-bin", "grpc-trace-bin"),
                ("host", "host"),
                ("te", "trailers"),
                ("traceparent", "traceparent"),
                ("x-request-id", "x-request-id"),
            ];
            assert!(headers.iter().map(|(name, value)| (*name, value.to_str().unwrap())).eq(expected), "{headers:?}");
            answered(&[0, 0, 0, 0, 0], &[("grpc-status", "0")])
        });
        let (_, result, _) = unary(service, head(request), PATH, sent(b"message"), &DefaultHost::default()).await;
        assert_eq!(result.unwrap(), "", "{target}");
    }
}

#[tokio::test]
async fn answers_are_taken_apart() {
    let one: &[u8] = b"\0\0\0\0\x03one";
    let two: &[u8] = b"\0\0\0\0\x03one\0\0\0\0\x03two";
    let compressed: &[u8] = b"\x01\0\0\0\x03one";
    let ok: &[_] = &[("grpc-status", "0"), ("trailing", "2")];
    let failed: &[_] = &[("grpc-status", "5"), ("grpc-message", "no%20such"), ("trailing", "2")];
    let table = [
        // body, trailers, message or code, whether the trailers are kept
        (one, ok, Ok("one"), true),
        (b"\0\0\0\0\0", ok, Ok(""), true),
        (b"", failed, Err(Code::NotFound), true),
        (one, failed, Err(Code::NotFound), true),
        (b"", ok, Err(Code::Internal), true),
        (two, ok, Err(Code::Internal), false),
        (compressed, ok, Err(Code::Internal), false),
        (&one[..7], ok, Err(Code::Internal), true),
        (one, &[], Err(Code::Internal), false),
    ];
    for (body, trailers, expected, kept) in table {
        let service = inside(move |_| answered(body, trailers));
        let (headers, result, kept_trailers) =
            unary(service, head(Request::post("/")), PATH, sent(b""), &DefaultHost::default()).await;
        let found = result.as_deref().map_err(Status::code);
        assert_eq!(found, expected.map(str::as_bytes), "{body:?} {trailers:?}");
        assert_eq!((headers.len(), headers["leading"].as_bytes()), (1, &b"1"[..]), "{body:?}");
        assert_eq!(kept_trailers.contains_key("trailing"), kept, "{body:?} {trailers:?}");
        assert_eq!(kept_trailers.len(), usize::from(kept), "{body:?} {trailers:?}");
        if let Err(status) = result {
            assert_eq!(status.details().is_empty(), status.code() != Code::Internal);
        }
    }
}

#[tokio::test]
async fn an_answer_of_headers_alone_has_its_status_there() {
    for (code, expected) in [("5", Code::NotFound), ("0", Code::Internal)] {
        let service = inside(move |_| {
            let mut response = Response::new(Body::empty());
            response.headers_mut().insert(GRPC_STATUS, HeaderValue::from_static(code));
            response.headers_mut().insert("leading", HeaderValue::from_static("1"));
            response
        });
        let (headers, result, trailers) =
            unary(service, head(Request::post("/")), PATH, sent(b""), &DefaultHost::default()).await;
        assert_eq!(result.unwrap_err().code(), expected);
        assert_eq!((headers.len(), trailers.len()), (1, 0));
    }
}

#[tokio::test]
async fn a_lazy_message_is_decoded_for_a_service_that_reads_it() {
    let message = || async { Err(Error::ContentMalformed("it is wrong")) };
    let host = DefaultHost::default();
    let refusing = inside(|_| Status::unauthenticated("").into_http());
    let body = lazy_message(host, message(), None);
    let (_, result, _) = unary(refusing, head(Request::post("/")), PATH, body, &host).await;
    assert_eq!(result.unwrap_err().code(), Code::Unauthenticated);

    let body = lazy_message(host, message(), None);
    let read = http_body_util::BodyExt::collect(body).await;
    assert_eq!(Status::from_error(read.unwrap_err().into()).code(), Code::InvalidArgument);
}
