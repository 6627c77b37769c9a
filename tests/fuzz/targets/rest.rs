//! Requests as plain HTTP: a line `VERB PATH?QUERY`, then the body.
//!
//! A path with a route for one method is known for the other methods, too. A request that can be read can be written.
#![no_main]

use std::sync::LazyLock;

use feature_server::services::descriptors;
use grpc_transcoding::Error;
use grpc_transcoding::json::encode;
use grpc_transcoding::rest::Routes;
use http::{Method, Uri};
use libfuzzer_sys::{Corpus, fuzz_target};

static ROUTES: LazyLock<Routes> =
    LazyLock::new(|| Routes::new(&descriptors::pool()).expect("our protos have valid rules"));

fuzz_target!(|input: &[u8]| -> Corpus {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Some((verb, target)) = line.iter().position(|byte| *byte == b' ').map(|at| (&line[..at], &line[at + 1..]))
    else {
        return Corpus::Reject;
    };
    // Requests as the HTTP library passes them on; no other request reaches a route.
    let (Ok(verb), Ok(uri)) = (Method::from_bytes(verb), Uri::try_from(target)) else { return Corpus::Reject };
    match ROUTES.find(&verb, uri.path()) {
        Ok(call) => match call.request(uri.query(), body) {
            Ok(message) => drop(encode(&message)),
            Err(violations) => assert!(!violations.is_empty(), "a refusal says why"),
        },
        Err(Error::VerbNotAllowed(allow)) => {
            assert!(!allow.is_empty() && !allow.contains(&verb), "{verb} is wrong, but {allow:?} are right");
            for verb in allow {
                assert!(ROUTES.find(&verb, uri.path()).is_ok(), "{verb} {uri}");
            }
        }
        Err(_) => {
            let found = ROUTES.find(&Method::GET, uri.path());
            assert!(matches!(found, Err(Error::PathUnknown)), "{uri} is known with GET");
        }
    }
    Corpus::Keep
});
