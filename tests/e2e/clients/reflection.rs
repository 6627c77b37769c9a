//! grpcurl and `buf curl`, which learn the service by reflection, make the calls of the README's first screen.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::client_programs::{grpcurl, protos, readme, run, run_refused};
use crate::support::harness::{Folder, Server};
use crate::support::programs::buf;

const SERVICE: &str = "zitadel.feature.v2.FeatureService";

#[test]
fn readme_calls_work_as_pasted() {
    let server = Server::new();
    let answers = run(&mut readme(&server));
    let answers = serde_json::Deserializer::from_str(&answers).into_iter::<Value>();
    let answers: Vec<_> = answers.collect::<Result<_, _>>().expect("grpcurl prints JSON");
    let sources: Vec<_> = answers.iter().filter_map(|answer| answer["actions"]["source"].as_str()).collect();
    assert_eq!(sources, ["SOURCE_INSTANCE", "SOURCE_USER", "SOURCE_INSTANCE", "SOURCE_UNSPECIFIED"], "{answers:#?}");
}

#[test]
fn grpcurl_lists_and_describes() {
    let server = Server::new();
    let ask = |words: &[&str]| {
        let mut command = grpcurl();
        command.args(["-plaintext", server.address()]).args(words);
        run(&mut command)
    };
    let services = ask(&["list"]);
    for service in [SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"] {
        assert!(services.lines().any(|line| line == service), "{service} is not listed:\n{services}");
    }
    assert_eq!(ask(&["list", SERVICE]).lines().count(), 12, "the service has twelve methods");
    let message = ask(&["describe", "zitadel.feature.v2.SetUserFeatureRequest"]);
    assert!(message.contains(".google.protobuf.FieldMask update_mask = 100"), "{message}");
}

#[test]
fn reflection_needs_what_the_setting_says() {
    let table = [
        // setting, listed without a token, listed with one, the refusal
        ("everybody", true, true, ""),
        ("authenticated", false, true, "Unauthenticated"),
        ("off", false, false, "does not support the reflection API"),
    ];
    for (setting, without, with, refusal) in table {
        let server = Folder::new(&format!("[server]\nreflection = \"{setting}\"\n")).serve();
        let token = authorization(&server.token("--role IAM_LOGIN_CLIENT --instance demo"));
        for (listed, headers) in [(without, vec![]), (with, vec!["-H", token.as_str()])] {
            let mut command = grpcurl();
            command.arg("-plaintext").args(headers).args([server.address(), "list"]);
            if listed {
                assert!(run(&mut command).contains(SERVICE), "{setting}");
            } else {
                let refused = run_refused(&mut command);
                assert!(refused.contains(refusal), "{setting}: {refused}");
            }
        }
    }
}

#[test]
fn buf_lists() {
    let server = Server::new();
    let mut command = buf();
    command.args(["curl", "--http2-prior-knowledge", "--protocol", "grpc", "--list-methods"]);
    let methods = run(command.arg(format!("http://{}", server.address())));
    assert!(methods.lines().any(|line| line == format!("{SERVICE}/SetUserFeatures")), "{methods}");
}

#[test]
fn grpcurl_first_screen() {
    let server = Server::new();
    // grpcurl takes a mask as a message, not as the string of protobuf's JSON.
    let mask = json!({"paths": ["login_default_org"]});
    first_screen(&server, mask, |token, method, request| {
        let mut command = grpcurl();
        command.args(["-plaintext", "-H", &authorization(token), "-H", "x-zitadel-orgid: acme", "-d", request]);
        command.args([server.address(), &format!("{SERVICE}/{method}")]);
        command
    });
}

#[test]
fn buf_first_screen_grpc() {
    buf_first_screen(&["--protocol", "grpc", "--http2-prior-knowledge"]);
}

#[test]
fn buf_first_screen_grpc_web() {
    buf_first_screen(&["--protocol", "grpcweb", "--http2-prior-knowledge"]);
}

#[test]
fn buf_first_screen_connect() {
    // buf uses Connect by default. It asks for reflection in the protocol of the call, as a bidirectional stream.
    buf_first_screen(&["--http2-prior-knowledge"]);
}

#[test]
fn buf_first_screen_http1() {
    // Reflection is a bidirectional stream, which needs HTTP/2; over HTTP/1.1, buf reads the protos.
    let protos = protos();
    let schema = ["--schema", protos.to_str().expect("the repository's path is text"), "--reflect=false"];
    buf_first_screen(&[&schema[..], &["--protocol", "grpcweb"]].concat());
    buf_first_screen(&schema);
}

fn buf_first_screen(options: &[&str]) {
    let server = Server::new();
    first_screen(&server, json!("loginDefaultOrg"), |token, method, request| {
        let mut command = buf();
        command.arg("curl").args(options).args(["--data", request]);
        command.args(["--header", &authorization(token), "--header", "x-zitadel-orgid: acme"]);
        command.arg(format!("http://{}/{SERVICE}/{method}", server.address()));
        command
    });
}

/// Sets a flag on each level, unsets it by a mask without the field, and checks what a user gets after each step.
fn first_screen(server: &Server, mask: Value, command: impl Fn(&str, &str, &str) -> Command) {
    let system = server.token("--role SYSTEM_OWNER");
    let instance = server.token("--role IAM_OWNER --instance demo");
    let call = |token: &str, method: &str, request: Value| -> Value {
        let answer = run(&mut command(token, method, &request.to_string()));
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{method}: {error}: {answer}"))
    };
    let user_gets = |enabled: bool, source: &str| {
        let answer = call(&instance, "GetUserFeatures", json!({"userId": "ada", "inheritance": true}));
        let flag = &answer["loginDefaultOrg"];
        assert_eq!(flag["enabled"].as_bool().unwrap_or(false), enabled, "{answer}");
        assert_eq!(flag["source"].as_str().unwrap_or("SOURCE_UNSPECIFIED"), source, "{answer}");
    };
    let organization = |fields: Value| with(json!({"organizationId": "acme"}), fields);
    let user = |fields: Value| with(json!({"userId": "ada"}), fields);
    let (on, off, unset) =
        (json!({"loginDefaultOrg": true}), json!({"loginDefaultOrg": false}), json!({"updateMask": mask}));

    user_gets(false, "SOURCE_UNSPECIFIED");
    call(&system, "SetSystemFeatures", on.clone());
    user_gets(true, "SOURCE_SYSTEM");
    call(&instance, "SetInstanceFeatures", off.clone());
    user_gets(false, "SOURCE_INSTANCE");
    call(&instance, "SetOrganizationFeatures", organization(on));
    user_gets(true, "SOURCE_ORGANIZATION");
    let set = call(&instance, "SetUserFeatures", user(off));
    assert_eq!(set["details"]["sequence"], "1", "{set}");
    user_gets(false, "SOURCE_USER");
    call(&instance, "SetUserFeatures", user(unset.clone()));
    user_gets(true, "SOURCE_ORGANIZATION");
    call(&instance, "SetOrganizationFeatures", organization(unset.clone()));
    user_gets(false, "SOURCE_INSTANCE");
    call(&instance, "SetInstanceFeatures", unset);
    user_gets(true, "SOURCE_SYSTEM");
    call(&system, "ResetSystemFeatures", json!({}));
    user_gets(false, "SOURCE_UNSPECIFIED");

    let refused = run_refused(&mut command(&instance, "SetInstanceFeatures", "{}"));
    let told = refused.to_lowercase().replace('_', "");
    assert!(told.contains("invalidargument") && told.contains("google.rpc.errorinfo"), "{refused}");
}

fn authorization(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

fn with(mut request: Value, fields: Value) -> Value {
    let (Value::Object(all), Value::Object(fields)) = (&mut request, fields) else { panic!("requests are objects") };
    all.extend(fields);
    request
}
