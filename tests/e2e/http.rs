//! HTTP itself: which host a request is for.

use crate::curl::{Curl, Version};
use crate::harness::Folder;

const JSON: &str = "content-type: application/json";
const CHECK: &str = "/grpc.health.v1.Health/Check";

#[test]
fn hosts_with_user_information_are_refused_in_every_protocol() {
    let config = "[server]\nallowed_hosts = ['localhost']\n[instances.hosts]\n'demo.example.com' = 'demo'\n";
    let (system, instance) = ("/v2/features/system", "/v2/features/instance?inheritance=true");
    let set = "/zitadel.feature.v2.FeatureService/GetSystemFeatures";
    let table = [
        // verb, path, header with the host, content type, status, what is said
        ("GET", system, "host: me@localhost", "", 400, "host:"),
        ("GET", "/", "host: me@localhost", "", 400, "host:"),
        ("GET", "/nowhere", "host: me@localhost", "", 400, "host:"),
        ("POST", set, "host: me@localhost", JSON, 400, "host:"),
        ("POST", CHECK, "host: me:secret@localhost:80", JSON, 400, "host:"),
        ("POST", CHECK, "host: me@localhost", "content-type: application/grpc-web+proto", 200, "host:"),
        ("GET", instance, "x-zitadel-instance-host: me@demo.example.com", "", 400, "x-zitadel-instance-host:"),
    ];
    for version in Version::ALL {
        let server = Folder::new(config).serve();
        let token = server.token("--role SYSTEM_OWNER");
        let curl = Curl { server: &server, version };
        for (verb, path, host, content_type, status, field) in table {
            let body = (verb == "POST").then_some(b"{}".as_slice());
            let answer = curl.call(verb, path, &[&token, host, content_type], body);
            assert_eq!(answer.status, status, "{verb} {path} {host}: {answer:?}");
            // Over gRPC-Web it is in a header, percent-encoded.
            let said = match answer.header("grpc-message") {
                Some(message) => message.to_owned(),
                None => answer.json()["message"].as_str().expect("an error has a message").to_owned(),
            };
            assert!(said.starts_with(field) && said.contains("user"), "{verb} {path} {host}: {answer:?}");
        }
        server.stop();
    }
}

#[test]
fn one_final_dot_of_a_host_makes_no_difference() {
    let config =
        "[server]\nallowed_hosts = ['features.example.com.']\n[instances.hosts]\n'demo.example.com' = 'demo'\n";
    let path = "/v2/features/instance?inheritance=true";
    let (on_loopback, elsewhere) = ("host: localhost.", "host: features.example.com");
    let table = [
        // headers with hosts, status: 400 where no instance is found, 403 for a host that is not known
        (["host: demo.example.com", ""], 200),
        (["host: demo.example.com.", ""], 200),
        (["host: Demo.example.com.:8080", ""], 200),
        (["host: demo.example.com..", ""], 403),
        ([elsewhere, ""], 400),
        ([on_loopback, ""], 400),
        ([elsewhere, "x-zitadel-instance-host: demo.example.com."], 200),
        ([on_loopback, "x-zitadel-instance-host: DEMO.example.com.:443"], 200),
        ([elsewhere, "x-zitadel-instance-host: demo.example.com.."], 400),
    ];
    for version in Version::ALL {
        let server = Folder::new(config).serve();
        let token = server.token("--role SYSTEM_OWNER");
        let curl = Curl { server: &server, version };
        for (hosts, status) in table {
            let answer = curl.call("GET", path, &[&token, hosts[0], hosts[1]], None);
            assert_eq!(answer.status, status, "{hosts:?}: {answer:?}");
        }
        server.stop();
    }
}
