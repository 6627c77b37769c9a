//! Which requests are which calls.

use grpc_transcoding::json;
use http::Version;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http_body_util::BodyExt;

use super::*;
use crate::call_context::Client;
use crate::config::settings::Settings;
use crate::monitoring::call_counters::CallCounters;

mod routes;

fn recogniser() -> Recogniser {
    let pool = crate::services::descriptors::pool();
    let pages = Pages::new(&pool, ([127, 0, 0, 1], 8080).into(), false);
    let message_bytes = MessageBytes { default: 1 << 20, of_services: (&[], 0) };
    Recogniser::new(pool, message_bytes, pages, AllowedHosts::new(&Settings::default()), Arc::default()).unwrap()
}

#[test]
fn protocols_of_this_server_are_recognised() {
    let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
    let method = "/grpc.health.v1.Health/Check";
    let get = "/zitadel.feature.v2.FeatureService/GetSystemFeatures?encoding=json&message={}";
    let rest = "/v2/features/system";
    let table = [
        // version, verb, path, content type, accept, protocol
        (h2, "POST", method, "application/grpc", "", "grpc"),
        (h2, "POST", "/any.Service/Method", "application/grpc+proto", "", "grpc"),
        (h2, "POST", method, "Application/GRPC ; x=y", "", "grpc"),
        (h1, "POST", method, "application/grpc", "", "415"),
        (h2, "POST", method, "application/grpc+json", "", "415"),
        (h2, "POST", method, "application/grpcx", "", "415"),
        (h2, "GET", method, "application/grpc", "", "connect"),
        (h1, "POST", method, "application/grpc-web", "", "grpc-web"),
        (h2, "POST", method, "application/grpc-web+proto", "", "grpc-web"),
        (h1, "POST", method, "application/grpc-web+proto; charset=utf-8", "", "grpc-web"),
        (h1, "POST", method, "application/grpc-web-text", "", "grpc-web-text"),
        (h1, "POST", method, "application/grpc-web-text+proto;charset=utf-8", "", "grpc-web-text"),
        (h1, "POST", method, "application/grpc-web+json", "", "415"),
        (h1, "PUT", method, "application/grpc-web", "", "405 GET, HEAD, POST, OPTIONS"),
        (h1, "GET", rest, "application/grpc", "", "rest"),
        (h1, "PUT", rest, "application/grpc-web+proto", "", "415"),
        (h1, "GET", "/nowhere", "application/grpc", "", "404"),
        (h1, "POST", method, "application/json", "", "connect"),
        (h1, "POST", method, "application/proto", "", "connect"),
        (h1, "POST", method, "text/plain", "", "415"),
        (h1, "POST", method, "", "", "415"),
        (h1, "GET", method, "", "", "connect"),
        (h1, "HEAD", method, "", "", "connect"),
        (h1, "GET", "/grpc.health.v1.Health/Watch", "", "", "405 POST, OPTIONS"),
        (h1, "GET", get, "", "", "connect"),
        (h1, "PUT", get, "application/json", "", "405 GET, HEAD, POST, OPTIONS"),
        (h1, "GET", rest, "", "", "rest"),
        (h1, "HEAD", rest, "", "", "rest"),
        (h1, "HEAD", "/v2/features", "", "", "404"),
        (h1, "GET", rest, "", "text/html, application/json;q=0.5", "rest"),
        (h1, "GET", rest, "", "text/html, */*;q=0.1", "rest"),
        (h1, "GET", rest, "", "application/*", "rest"),
        (h1, "GET", rest, "", "text/html", "406"),
        (h1, "GET", rest, "", "application/json;q=0", "406"),
        (h1, "GET", rest, "", "application/json;q=0, */*", "406"),
        (h1, "GET", rest, "", "*/*;q=0, application/json", "rest"),
        (h1, "OPTIONS", rest, "", "", "204 DELETE, GET, HEAD, PUT, OPTIONS"),
        (h1, "OPTIONS", "/v2/features", "", "", "404"),
        (h1, "GET", rest, "text/plain", "", "rest"),
        (h2, "PUT", rest, "application/json", "", "rest"),
        (h1, "PUT", rest, "Application/JSON; charset=utf-8", "", "rest"),
        (h1, "PUT", rest, "application/json; charset=utf8", "", "rest"),
        (h1, "PUT", rest, "application/json; charset=\"UTF8\"", "", "rest"),
        (h1, "PUT", rest, "application/json; charset=latin1", "", "415"),
        (h1, "PUT", rest, "", "", "rest"),
        (h1, "PUT", rest, "application/x-www-form-urlencoded", "", "415"),
        (h1, "POST", rest, "application/json", "", "405 DELETE, GET, HEAD, PUT, OPTIONS"),
        (h1, "GET", "/v2/features", "", "", "404"),
        (h1, "POST", "/", "", "", "405 GET, HEAD, OPTIONS"),
        (h1, "GET", "/", "", "", "200"),
        (h1, "HEAD", "/openapi.json", "", "", "200"),
    ];
    let recogniser = recogniser();
    for (version, verb, path, content_type, accept, expected) in table {
        let mut request = Request::builder().version(version).method(verb).uri(path);
        for (name, value) in [(CONTENT_TYPE, content_type), (ACCEPT, accept)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let request = request.extension(CallContext::for_tests()).body(()).unwrap();
        let found = match recogniser.protocol(&request) {
            Ok(Protocol::Grpc) => "grpc".to_owned(),
            Ok(Protocol::GrpcWeb) => "grpc-web".to_owned(),
            Ok(Protocol::GrpcWebText) => "grpc-web-text".to_owned(),
            Ok(Protocol::Connect(_)) => "connect".to_owned(),
            Ok(Protocol::Rest(_)) => "rest".to_owned(),
            Err(error) => {
                let response = recogniser.answer_no_call(error, &request);
                let allow = response.headers().get(ALLOW).map_or("", |allow| allow.to_str().unwrap());
                format!("{} {allow}", response.status().as_u16()).trim_end().to_owned()
            }
        };
        assert_eq!(found, expected, "{version:?} {verb} {path} {content_type:?} {accept:?}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_answered_as_any_other_failure() {
    let (recogniser, pool) = (recogniser(), crate::services::descriptors::pool());
    for id in ["r1", "a\"b\\c", "\u{7e}"] {
        let mut request = Request::get("/nowhere").header("x-request-id", id).body(()).unwrap();
        let context = CallContext::from_request(&request, Client::default(), Arc::new(CallCounters::new(64)));
        request.extensions_mut().insert(context.clone());
        let answer = recogniser.answer_no_call(Error::PathUnknown, &request);
        let made = json::encode_status(&pool, &Failure::PathUnknown.status(context.request_id()));
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), made, "{id:?}");
    }
}
