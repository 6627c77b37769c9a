//! Client certificates: which clients the server accepts, and with which identity.

use std::fs;
use std::time::Instant;

use serde_json::json;
use tonic::Code::{PermissionDenied, Unauthenticated};

use super::authority::Authority;
use super::connection::{channel, connected};
use super::{PATIENCE, TLS, curl, served};
use crate::support::raw::{Raw, refusal};

const CONSOLE: &str = "spiffe://example.org/console";
const VIEWER: &str = "spiffe://example.org/viewer";

/// The configuration of clients that are identified by certificates.
const KNOWN: &str = "
[[auth.certificates]]
uri = 'spiffe://example.org/console'
roles = ['IAM_OWNER']
instance = 'demo'
[[auth.certificates]]
uri = 'spiffe://example.org/viewer'
roles = ['IAM_OWNER_VIEWER']
instance = 'demo'
[[auth.certificates]]
subject = 'CN=ann,O=Example'
roles = []
instance = 'demo'
user = 'ann'
";

fn mutual(client_certificate: &str) -> String {
    format!("{TLS}client_ca_file = 'ca.pem'\nclient_certificate = '{client_certificate}'\n{KNOWN}")
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_have_the_rights_of_their_entry() {
    let (server, authority) = served(&mutual("optional"));
    let viewer_token = server.token("--role IAM_OWNER_VIEWER --instance demo");
    let (console, viewer) = (authority.client("any", CONSOLE), authority.client("any", VIEWER));
    let (ann, stranger) = (authority.client("ann", ""), authority.client("stranger", "spiffe://example.org/other"));
    let denied = || Err(refusal(PermissionDenied, "PERMISSION_MISSING", &["iam.feature.write"]));
    let no_token = || Err(refusal(Unauthenticated, "TOKEN_MISSING", &[]));
    let table = [
        // name, certificate, metadata, outcome of a write
        ("a role that may", Some(&console), "", Ok(())),
        ("a role that may not", Some(&viewer), "", denied()),
        ("a user without a role", Some(&ann), "", denied()),
        ("a token counts more", Some(&console), viewer_token.as_str(), denied()),
        ("a bad token is bad", Some(&console), "x.y.z", Err(refusal(Unauthenticated, "TOKEN_INVALID", &[]))),
        ("a page shows a token", Some(&console), "origin = http://localhost:3000", no_token()),
        ("a certificate that is not listed", Some(&stranger), "", no_token()),
        ("no certificate", None, "", no_token()),
    ];
    for (who, certificate, metadata, expected) in table {
        let raw = Raw::over(channel(&server, &authority, certificate).await);
        let answer = raw.call("SetInstanceFeatures", json!({"actions": true}), &[metadata]).await;
        assert_eq!(answer.map(|_| ()), expected, "{who}");
    }
    let raw = Raw::over(channel(&server, &authority, Some(&ann)).await);
    let of_user = json!({"userId": "ann", "inheritance": true});
    raw.call("GetUserFeatures", of_user, &[]).await.expect("ann reads what is hers");
    let of_other = raw.call("GetUserFeatures", json!({"userId": "bob"}), &[]).await;
    assert_eq!(of_other.map(|_| ()), Err(refusal(PermissionDenied, "PERMISSION_MISSING", &["user.feature.read"])));

    // The history says which writes were made with a certificate.
    let raw = Raw::over(channel(&server, &authority, Some(&console)).await);
    let filter = "credential_kind = CREDENTIAL_KIND_CERTIFICATE AND NOT issuer:*";
    let request = json!({"parent": "instances/demo", "filter": filter});
    let page = raw.call("HistoryService/ListChanges", request, &[]).await.expect("an owner reads the history");
    let changes = page["changes"].as_array().expect("there are changes");
    let told: Vec<_> = changes.iter().map(|change| (&change["actor"], &change["credentialKind"])).collect();
    assert_eq!(told, [(&json!(CONSOLE), &json!("CREDENTIAL_KIND_CERTIFICATE"))]);

    // REST calls have the identity of the certificate, too.
    fs::write(server.folder().file("client.pem"), console.pem() + &console.key()).expect("the file is written");
    let client = server.folder().file("client.pem");
    let client = ["--cert", client.to_str().expect("the path is text")];
    let path = format!("https://{}/v2/features/instance", server.address());
    let (words, code) = curl(&server, "https", &[&client[..], &["--fail", "--output", "/dev/null", &path]].concat());
    assert_eq!(code, Some(0), "{words}");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_a_valid_certificate_are_rejected_if_one_is_required() {
    let (server, authority) = served(&mutual("required"));
    let elsewhere = Authority::named("another authority");
    let table = [
        // certificate, alert; `None` for a client that is accepted
        (Some(authority.client("any", CONSOLE)), None),
        (Some(authority.client("stranger", "")), None),
        (None, Some("CertificateRequired")),
        (Some(authority.expired_client("any", CONSOLE)), Some("CertificateExpired")),
        (Some(elsewhere.client("any", CONSOLE)), Some("UnknownCA")),
        (Some(authority.server()), Some("UnsupportedCertificate")),
    ];
    for (certificate, alert) in table {
        let connected = connected(&server, &authority, certificate.as_ref()).await;
        let failed = connected.err().map(|error| error.to_string());
        match (failed, alert) {
            (None, None) => {}
            (Some(failed), Some(alert)) => assert!(failed.contains(alert), "{failed}, not {alert}"),
            (failed, alert) => panic!("{failed:?}, not {alert:?}"),
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_rejected_as_soon_as_the_list_revokes_them() {
    let config = mutual("required").replace("client_ca_file", "client_crl_file = 'crl.pem'\nclient_ca_file");
    let authority = Authority::new();
    let folder = crate::support::harness::Folder::new(&config);
    super::renew(&folder, &authority);
    fs::write(folder.file("ca.pem"), authority.pem()).expect("the file is written");
    fs::write(folder.file("crl.pem"), authority.revoked(&[])).expect("the file is written");
    let server = folder.serve();
    let (console, other) = (authority.client("any", CONSOLE), authority.client("any", VIEWER));
    let open = Raw::over(channel(&server, &authority, Some(&console)).await);
    connected(&server, &authority, Some(&console)).await.expect("it is not revoked yet");

    fs::write(folder.file("crl.pem"), authority.revoked(&[&console])).expect("the file is written");
    let began = Instant::now();
    let failed = loop {
        match connected(&server, &authority, Some(&console)).await {
            Err(error) => break error.to_string(),
            Ok(_) => assert!(began.elapsed() < PATIENCE, "the list is not read again"),
        }
    };
    assert!(failed.contains("CertificateRevoked"), "{failed}");
    connected(&server, &authority, Some(&other)).await.expect("others are not revoked");
    let write = open.call("SetInstanceFeatures", json!({"actions": true}), &[]).await;
    write.expect("a connection that is open stays so");
    server.stop();
}
