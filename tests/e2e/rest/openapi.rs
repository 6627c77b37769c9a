//! The public pages: the OpenAPI document, checked against the server by independent tools, and the start page.

use serde_json::Value;

use crate::support::client_programs::{pasted, python, run};
use crate::support::harness::{Server, limited};

#[test]
fn the_document_is_valid() {
    let server = Server::new();
    run(&mut python(&server, "openapi_document.py"));
    server.stop();
}

#[test]
fn answers_match_the_document() {
    let server = Server::new();
    println!("{}", run(&mut python(&server, "openapi_calls.py")));
    server.stop();
}

#[test]
fn the_pages_calls_work_as_pasted() {
    let server = Server::new();
    let address = format!("http://{}/", server.address());
    let page = run(limited("curl").args(["--disable", "--silent", "--show-error", "--fail", &address]));
    let blocks = page.split("<pre>").skip(1).filter_map(|rest| rest.split("</pre>").next());
    let blocks = blocks.collect::<String>();
    assert!(!blocks.contains(['&', '<']), "the calls need no escapes:\n{blocks}");

    let answers = run(&mut pasted(&server, &blocks));
    let answers = serde_json::Deserializer::from_str(&answers).into_iter::<Value>();
    let answers: Vec<_> = answers.collect::<Result<_, _>>().expect("each call prints JSON");
    let [json, grpc, connect, grpc_web, health] = &answers[..] else {
        panic!("five calls, not {}: {answers:#?}", answers.len());
    };
    assert_eq!(json["details"]["resourceOwner"], "SYSTEM", "{json}");
    assert_eq!([grpc, connect, grpc_web], [json; 3], "every protocol answers the same");
    assert_eq!(health["status"], "SERVING", "{health}");
    server.stop();
}
