//! How a stream of questions ends.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tonic::Status;
use tonic::body::Body;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_types::StatusExt;
use tower::ServiceExt;

use super::*;
use crate::call_context::CallContext;
use crate::error;

fn frame(flags: u8, message: &[u8]) -> Vec<u8> {
    [&[flags], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

#[tokio::test]
async fn a_stream_ends_with_the_error_of_a_bad_question() {
    let list = MessageRequest::ListServices(String::new());
    let list = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let message = list.encode_to_vec();
    let list = frame(0, &message);
    let (empty, large) = (frame(0, b""), vec![0; PUBLIC_MESSAGE_BYTES + 1]);
    let table: [(Vec<u8>, usize, &str); 9] = [
        // questions, answers, reason of the end
        (vec![], 0, ""),
        ([&list[..], &list].concat(), 2, ""),
        (empty, 0, "FIELD_INVALID"),
        (frame(0, b"\x01"), 0, "FIELD_INVALID"),
        ([&list[..], &frame(0, b"\x22\x01\xff")].concat(), 1, "FIELD_INVALID"),
        ([&list[..], b"\x00\x00"].concat(), 1, "FIELD_INVALID"),
        (frame(7, b""), 0, "FIELD_INVALID"),
        (frame(1, &message), 0, "FIELD_INVALID"),
        (frame(0, &large), 0, "MESSAGE_TOO_LARGE"),
    ];
    for (sent, answers, reason) in table {
        let context = format!("{:?}", &sent[..sent.len().min(30)]);
        let request = Request::post("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
        let request = request.header("content-type", "application/grpc").extension(CallContext::for_tests());
        let request = request.body(Body::new(Full::new(Bytes::from(sent)))).unwrap();
        let mut body = v1().oneshot(request).await.unwrap().into_body();
        let mut answered = 0;
        let end = loop {
            match body.frame().await.unwrap() {
                Ok(frame) if frame.is_data() => answered += 1,
                Ok(frame) => break Status::from_header_map(frame.trailers_ref().unwrap()).unwrap(),
                Err(status) => break status,
            }
        };
        let details = error::complete(end.clone(), "r").get_error_details();
        let found = if end.code() == tonic::Code::Ok { "" } else { &details.error_info().unwrap().reason };
        assert_eq!((answered, found), (answers, reason), "{context}: {end:?}");
    }
}
