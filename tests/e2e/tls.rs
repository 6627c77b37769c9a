//! TLS as clients see it: versions and protocols, the answer to a client without TLS, and the renewal of the server's
//! certificate while connections stay open.

pub mod authority;
mod connection;
mod mutual;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::io::AsyncReadExt;

use crate::support::client_programs::{grpcurl, run};
use crate::support::harness::{Folder, Server, limited};
use crate::support::raw::Raw;
use authority::Authority;
use connection::{channel, connected, shown};

/// The lines of the configuration that enable TLS, with the files of [`served`].
pub const TLS: &str = "[tls]\ncertificate_file = 'cert.pem'\nkey_file = 'key.pem'\n";

/// The maximum time to wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with TLS, and the authority that signed its certificate.
pub fn served(config: &str) -> (Server, Authority) {
    served_on(Folder::new(config))
}

/// The same, on this folder.
pub fn served_on(folder: Folder) -> (Server, Authority) {
    let authority = Authority::new();
    renew(&folder, &authority);
    fs::write(folder.file("ca.pem"), authority.pem()).expect("the file is written");
    (folder.serve(), authority)
}

/// Replaces the server's certificate and its key by renaming files.
fn renew(folder: &Folder, authority: &Authority) {
    let leaf = authority.server();
    for (name, text) in [("key.pem", leaf.key()), ("cert.pem", leaf.pem())] {
        fs::write(folder.file("next.pem"), text).expect("the file is written");
        fs::rename(folder.file("next.pem"), folder.file(name)).expect("the file is replaced");
    }
}

/// Runs curl. Returns its output and its exit code.
fn curl(server: &Server, scheme: &str, arguments: &[&str]) -> (String, Option<i32>) {
    let mut command = limited("curl");
    command.args(["--disable", "--silent", "--show-error", "--cacert"]).arg(server.folder().file("ca.pem"));
    let output = command.args(arguments).arg(format!("{scheme}://{}/", server.address())).output();
    let output = output.expect("curl starts");
    let words = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&words).into_owned(), output.status.code())
}

#[test]
fn both_versions_of_http_are_offered_over_tls_from_1_2_on() {
    let (server, _) = served(TLS);
    let tell = "%{http_version} %{response_code}";
    let table: [(&[&str], Option<&str>); 6] = [
        // arguments, version of HTTP and status; `None` if the connection must fail
        (&["--http2"], Some("2 200")),
        (&["--http1.1"], Some("1.1 200")),
        (&["--no-alpn"], Some("1.1 200")),
        (&["--tls-max", "1.2"], Some("2 200")),
        (&["--tlsv1.3"], Some("2 200")),
        // OpenSSL tries the oldest versions only at a lower security level.
        (&["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"], None),
    ];
    for (arguments, told) in table {
        let (words, code) =
            curl(&server, "https", &[&["--output", "/dev/null", "--write-out", tell], arguments].concat());
        match told {
            Some(told) => assert_eq!((words.as_str(), code), (told, Some(0)), "{arguments:?}"),
            None => assert!(code == Some(35) && words.contains("alert"), "{arguments:?}: {code:?} {words}"),
        }
    }
    let (page, _) = curl(&server, "https", &[]);
    assert!(
        page.contains(&format!("curl -sS -H \"authorization: Bearer $TOKEN\" 'https://{}/", server.address())),
        "{page}"
    );
    server.stop();
}

#[test]
fn clients_without_tls_get_an_error_at_once() {
    let (server, _) = served(TLS);
    for arguments in [&["--http1.1"], &["--http2"]] {
        let (words, code) = curl(&server, "http", &[&["--include"], &arguments[..]].concat());
        assert!(words.starts_with("HTTP/1.1 400 Bad Request") && words.contains("call https://"), "{words}");
        assert_eq!(code, Some(0), "{words}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn real_grpc_clients_call_over_tls() {
    let (server, authority) = served(TLS);
    let token = server.token("--role IAM_OWNER --instance demo");
    let raw = Raw::over(channel(&server, &authority, None).await);
    raw.call("SetInstanceFeatures", json!({"actions": true}), &[&token]).await.expect("a feature is set");

    let mut call = grpcurl();
    call.arg("-cacert").arg(server.folder().file("ca.pem")).args(["-H", &format!("authorization: Bearer {token}")]);
    call.args([server.address(), "zitadel.feature.v2.FeatureService/GetInstanceFeatures"]);
    let answer: Json = serde_json::from_str(&run(&mut call)).expect("grpcurl prints JSON");
    assert_eq!(answer["actions"]["enabled"], json!(true), "{answer}");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_to_new_connections_and_a_broken_one_to_none() {
    let (server, authority) = served(TLS);
    let folder = server.folder().clone();
    let token = server.token("--role IAM_OWNER --instance demo");
    let old = Raw::over(channel(&server, &authority, None).await);
    let first = shown(&server, &authority).await;

    renew(&folder, &authority);
    let began = Instant::now();
    let second = loop {
        let new = shown(&server, &authority).await;
        if new != first {
            break new;
        }
        assert!(began.elapsed() < PATIENCE, "the new certificate is not shown");
    };
    old.call("SetInstanceFeatures", json!({"actions": true}), &[&token]).await.expect("an open connection goes on");

    fs::write(folder.file("cert.pem"), "no certificate").expect("the file is written");
    let refused = "the files of TLS have changed and cannot be used";
    server.wait_for_log(refused, 1);
    assert_eq!(shown(&server, &authority).await, second, "what was in force stays");

    renew(&folder, &authority);
    let began = Instant::now();
    while shown(&server, &authority).await == second {
        assert!(began.elapsed() < PATIENCE, "the repaired certificate is not shown");
    }
    let log = server.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains(refused)).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("tls.certificate_file") && warnings[0].contains("cert.pem"), "{}", warnings[0]);
    assert!(!log.contains("BEGIN"), "{log}");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_handshake_is_closed_after_its_time_while_others_are_served() {
    let (server, authority) = served(&format!("{TLS}[limits]\nreceive_timeout_ms = 1500\n"));
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(tokio::net::TcpStream::connect(server.address()).await.expect("a connection"));
    }
    let began = Instant::now();
    connected(&server, &authority, None).await.expect("others are served");
    for mut connection in silent {
        let read = tokio::time::timeout(PATIENCE, connection.read(&mut [0; 1])).await.expect("it is closed");
        assert!(matches!(read, Ok(0) | Err(_)), "the server says nothing");
    }
    assert!(began.elapsed() >= Duration::from_millis(1000), "not at once: {:?}", began.elapsed());
    server.stop();
}

#[test]
fn documented_lines_switch_tls_on() {
    let document = include_str!("../../docs/tls.md");
    let section = document.split_once("\n## Switch it on\n").expect("the section is there").1;
    let mut blocks =
        section.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').expect("a block has lines"));
    let mut block = |language| {
        let (found, lines) = blocks.next().expect("there is another block");
        assert_eq!(found, language, "{lines}");
        lines
    };
    let (make, config, calls) = (block("sh"), block("toml"), block("sh"));
    let folder = Folder::new(config);
    let bash = |lines: &str| run(limited("bash").args(["-euo", "pipefail", "-c", lines]).current_dir(folder.file("")));
    bash(make);
    let server = folder.serve();
    let port = server.address().split_once(':').expect("an address has a port").1;
    // By default, curl hides refusals and shows progress; the options change both.
    let calls = format!("\n{calls}").replace("localhost:8080", &format!("localhost:{port}"));
    let calls = calls.replace("\ncurl ", "\ncurl -fsS ");
    let program = grpcurl();
    let program = program.get_args().last().and_then(|path| path.to_str()).expect("grpcurl has a path");
    let calls = calls.replace("\ngrpcurl ", &format!("\n{program} "));
    let printed = bash(&calls);
    for part in ["<title>FeatureService</title>", "\"details\"", "zitadel.feature.v2.FeatureService"] {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
    server.stop();
}

#[test]
fn files_that_cannot_be_used_end_the_start_with_64() {
    let authority = Authority::new();
    let folder = Folder::new(TLS);
    renew(&folder, &authority);
    fs::write(folder.file("key.pem"), authority.server().key()).expect("the file is written");
    let output = folder.run("serve --listen 0.0.0.0:0");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{words}");
    let said = "tls.key_file = \"key.pem\": is not the key of the first certificate in \"cert.pem\"";
    assert!(words.contains(said) && !folder.data().exists(), "{words}");
}
