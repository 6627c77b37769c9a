//! The commands on data folders, run as by an operator: export, import, verify and backup.

mod backups;
mod documented;

use std::fs;
use std::process::Output;

use feature_api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;
use feature_api::zitadel::feature::v2::{
    LoginV2, ResetUserFeaturesRequest, SetInstanceFeaturesRequest, SetUserFeatureRequest,
};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::support::harness::{Bearer, Folder, Server};

type Client = FeatureServiceClient<InterceptedService<Channel, Bearer>>;

async fn client(server: &Server) -> Client {
    let token = server.token("--role SYSTEM_OWNER --instance demo");
    FeatureServiceClient::with_interceptor(server.channel().await, Bearer::new(&token))
}

/// Sets a flag of a user. Returns the sequence of the answer.
async fn set_user(client: &mut Client, user: &str, enabled: bool) -> u64 {
    let request =
        SetUserFeatureRequest { user_id: user.into(), login_default_org: Some(enabled), ..Default::default() };
    let answer = client.set_user_features(request).await.expect("user set").into_inner();
    answer.details.expect("a write answers with details").sequence
}

/// The folder of a stopped server, with some history on several levels.
async fn used() -> Folder {
    let server = Folder::embedded("").serve();
    let mut client = client(&server).await;
    let login = LoginV2 { required: true, base_uri: Some("https://example.com/%C3%BC?a='b'&c=d".into()) };
    let request = SetInstanceFeaturesRequest { login_v2: Some(login), ..Default::default() };
    client.set_instance_features(request).await.expect("instance set");
    for user in ["ann", "bob"] {
        set_user(&mut client, user, true).await;
    }
    client.reset_user_features(ResetUserFeaturesRequest { user_id: "bob".into() }).await.expect("user reset");
    server.stop()
}

/// Checks the exit code of a command. Returns its standard output and standard error.
fn ends(output: &Output, code: i32) -> (String, String) {
    let texts = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(code), "{}{}", texts[0], texts[1]);
    texts.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_imports_to_the_same_store() {
    let folder = used().await;
    let (lines, said) = ends(&folder.run("export"), 0);
    assert_eq!(lines.lines().count(), 6, "{lines}");
    assert_eq!(said, "", "nothing beside the lines");
    let (silent, _) = ends(&folder.run("export --output out.jsonl"), 0);
    assert_eq!(silent, "");
    let file = folder.data().with_file_name("out.jsonl");
    assert_eq!(fs::read_to_string(&file).expect("the export is there"), lines);

    let other = Folder::embedded("");
    // Some editors add a byte order mark.
    fs::write(&file, format!("\u{feff}{lines}")).expect("the export is written again");
    let (said, _) = ends(&other.run(&format!("import {}", file.display())), 0);
    assert!(said.ends_with("up to revision 4\n"), "{said}");
    assert_eq!(ends(&other.run("export"), 0).0, lines);
    let (summary, _) = ends(&other.run("verify"), 0);
    assert!(summary.contains("projection  agrees with the journal"), "{summary}");
    let server = other.serve();
    assert_eq!(set_user(&mut client(&server).await, "bob", true).await, 3, "the count goes on");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_exits_with_65_and_names_the_place_unlike_a_wrong_folder() {
    let folder = used().await;
    let lines = ends(&folder.run("export"), 0).0;
    let file = folder.data().with_file_name("out.jsonl");
    fs::write(&file, lines.replacen("\"old\":{\"flag\":true}", "\"old\":{\"flag\":false}", 1))
        .expect("the file is written");
    let import = format!("import {}", file.display());
    let other = Folder::embedded("");
    let (_, said) = ends(&other.run(&import), 65);
    assert!(said.contains("line 5: changes[0].old: "), "{said}");
    assert!(!other.data().exists(), "nothing is left of it");
    let (_, said) = ends(&folder.run(&import), 1);
    assert!(said.contains("is not empty"), "{said}");
    let (_, said) = ends(&other.run("verify"), 1);
    assert!(said.contains("there is no store in"), "{said}");
    let (_, said) = ends(&other.run("backup"), 64);
    assert!(said.contains("TARGET"), "{said}");

    let projection = folder.data().join("projection");
    fs::remove_dir_all(&projection).expect("the projection is there");
    fs::write(&projection, "a file").expect("the file is written");
    let (summary, said) = ends(&folder.run("verify"), 65);
    assert!(summary.contains("projection  in doubt") && said.contains("nothing is lost"), "{summary}{said}");

    let segment = folder.data().join("journal/00000000000000000001.log");
    let mut bytes = fs::read(&segment).expect("the journal is there");
    bytes[100] ^= 1;
    fs::write(&segment, bytes).expect("the file is written");
    for command in ["verify", "export", "backup target"] {
        let (_, said) = ends(&folder.run(command), 65);
        assert!(said.contains("00000000000000000001.log at byte 32"), "{command}: {said}");
    }
    assert!(!folder.data().with_file_name("target").exists(), "there is no half a backup");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_in_use_are_neither_verified_nor_exported() {
    let server = Folder::embedded("").serve();
    for command in ["verify", "export", "import Cargo.toml"] {
        let (out, said) = ends(&server.folder().run(command), 1);
        assert!(out.is_empty() && !said.is_empty(), "{command}: {out}{said}");
    }
    server.stop();
}
