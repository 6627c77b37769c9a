//! What the client reads from a server that stays.

use std::fs;

use feature_api::client::Change;
use feature_api::feature::v1::ValueSource;
use tokio::sync::broadcast::Receiver;
use tonic::transport::{Certificate, ClientTlsConfig};

use super::*;
use crate::support::folder::Folder;
use crate::support::programs::repository;
use crate::tls::{TLS, served};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reads_each_scope_by_type_and_hears_which_keys_change() {
    let server = Server::new();
    let owner = server.token("--role SYSTEM_OWNER");
    let raw = Raw::new(&server).await;
    let long = "x".repeat(2_000);
    for (key, value_type, default) in [
        ("text", "STRING", json!(long)),
        ("count", "INTEGER", json!(3)),
        ("ratio", "NUMBER", json!(0.5)),
        ("limits", "OBJECT", json!({"most": 7})),
    ] {
        let definition = json!({"valueType": format!("VALUE_TYPE_{value_type}"), "defaultValue": default});
        let request = json!({"parent": DEMO, "featureDefinitionId": key, "featureDefinition": definition});
        raw.call("DefinitionService/CreateFeatureDefinition", request, &[&owner]).await.unwrap();
    }
    // The first state has more than a megabyte, so it comes in pieces.
    let users = (0..999).map(|number| format!("{DEMO}/users/u{number}"));
    let options = Options {
        features: ["actions", "text", "count", "ratio", "lim*"].map(str::to_owned).into(),
        organization: Some("acme".to_owned()),
        ..Options::new(users.chain([DEMO.to_owned()]))
    };
    let client = client(server.address(), &Token::new(&owner), options);
    let mut changes = client.changes();
    assert_eq!(client.scope(DEMO).boolean("actions"), Err(ReadError::NotReady));
    ready(&client).await;
    assert_eq!(next(&mut changes).await.keys.len(), 1_000);
    let [demo, user, other] = [DEMO, "instances/demo/users/u7", "instances/other"].map(|name| client.scope(name));
    assert_eq!((demo.boolean("actions"), user.string("text")), (Ok(false), Ok(long)));
    assert_eq!((user.integer("count"), user.number("count"), user.number("ratio")), (Ok(3), Ok(3.0), Ok(0.5)));
    let limits = user.value("limits").unwrap();
    assert_eq!((limits.source(), limits.revision), (ValueSource::Default, 0));
    assert_eq!(user.integer("ratio"), Err(ReadError::TypeMismatch));
    assert_eq!(user.boolean("text"), Err(ReadError::TypeMismatch));
    assert_eq!(user.string("limits"), Err(ReadError::TypeMismatch));
    assert_eq!(user.boolean("none"), Err(ReadError::NotFound));
    assert_eq!(other.boolean("actions"), Err(ReadError::ScopeNotWatched));

    let labels = json!({"featureDefinition": {"name": "instances/demo/features/limits", "labels": {"team": "web"}}});
    raw.call("DefinitionService/UpdateFeatureDefinition", labels, &[&owner]).await.unwrap();
    let of_team = Options { labels: [("team".to_owned(), "web".to_owned())].into(), ..Options::new([DEMO]) };
    let of_team = super::client(server.address(), &Token::new(&owner), of_team);
    ready(&of_team).await;
    let demo_of_team = of_team.scope(DEMO);
    assert!(demo_of_team.value("limits").is_ok() && demo_of_team.value("actions").is_err());

    set(&raw, "instances/demo/organizations/acme", json!({"count": 4}), &[], &owner).await;
    assert_eq!(keys(&next(&mut changes).await).len(), 999);
    assert_eq!((demo.integer("count"), user.integer("count")), (Ok(3), Ok(4)));
    set(&raw, "instances/demo/users/u7", json!({"count": 5}), &[], &owner).await;
    let change = next(&mut changes).await;
    assert_eq!(keys(&change), ["instances/demo/users/u7 count"]);
    assert_eq!((change.revision, client.revision()), (client.revision(), change.revision));
    let count = user.value("count").unwrap();
    assert_eq!((count.source(), count.revision), (ValueSource::User, change.revision));

    for method in ["Archive", "Delete"] {
        let request = json!({"name": "instances/demo/features/ratio"});
        raw.call(&format!("DefinitionService/{method}FeatureDefinition"), request, &[&owner]).await.unwrap();
    }
    assert_eq!(keys(&next(&mut changes).await).len(), 1_000);
    assert_eq!(user.number("ratio"), Err(ReadError::NotFound));
    assert_eq!(client.state(), State::Ready);
    server.stop();
}

async fn next(changes: &mut Receiver<Arc<Change>>) -> Change {
    let change = timeout(PATIENCE, changes.recv()).await.expect("a change comes in time");
    Arc::unwrap_or_clone(change.expect("no change is missed"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_stops_for_good_when_the_request_is_wrong() {
    let server = Server::new();
    let ann = server.token("--instance demo --user ann --organization acme");
    let table = [
        // scope, organization, reason
        ("instances/demo/users/bob", None, "PERMISSION_MISSING"),
        ("demo", None, "FIELD_INVALID"),
        ("instances/demo/users/ann", Some("not\na header"), ""),
    ];
    for (scope, organization, expected) in table {
        let options = Options { organization: organization.map(str::to_owned), ..Options::new([scope]) };
        let token = Token::new(&ann);
        let client = client(server.address(), &token, options);
        let end = timeout(PATIENCE, client.ready()).await.expect("the client hears from the server").unwrap_err();
        assert_eq!((reason(&client), client.last_end()), (expected.to_owned(), Some(end)), "{scope}");
        assert_eq!((client.state(), client.age(), token.calls()), (State::Fatal, None, 1), "{scope}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_asks_for_another_token_when_its_own_is_refused() {
    let folder = Folder::new("auth.revocation_file = 'revoked'");
    fs::write(folder.file("revoked"), "# nothing is revoked\n").unwrap();
    let server = folder.serve();
    let [old, new] =
        ["ann", "bob"].map(|user| server.token(&format!("--role IAM_OWNER --instance demo --user {user}")));
    let token = Token::new(&old);
    let client = client(server.address(), &token, of_demo());
    ready(&client).await;
    assert_eq!(token.calls(), 1);
    fs::write(folder.file("revoked"), "subject ann\n").unwrap();
    until(|| token.calls() >= 3).await;
    assert_eq!((reason(&client), client.state()), ("TOKEN_INVALID".to_owned(), State::Ready));
    token.renew(&new);
    set_actions(&server, true, &new).await;
    until(|| client.scope(DEMO).boolean("actions") == Ok(true)).await;
    assert_eq!(client.state(), State::Ready);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_speaks_tls() {
    let (server, authority) = served(TLS);
    let token = server.token("--role IAM_OWNER --instance demo");
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    let endpoint = Endpoint::from_shared(format!("https://{}", server.address())).unwrap().tls_config(tls).unwrap();
    let client = Client::start(endpoint, move || token.clone(), of_demo());
    ready(&client).await;
    assert_eq!(client.scope(DEMO).boolean("actions"), Ok(false));
    server.stop();
}

#[test]
fn the_document_shows_the_example() {
    let [document, example] = ["docs/sdk.md", "feature-api/examples/watch_values.rs"]
        .map(|path| fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}")));
    let shown = document.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    let shown = shown.expect("the document shows a program");
    assert!(example.ends_with(&format!("\n\n{shown}")), "docs/sdk.md shows:\n{shown}");
}
