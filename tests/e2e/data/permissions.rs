//! Permissions of stored files: only the server's own user may read them, for every umask and all earlier permissions.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Output;

use feature_api::zitadel::feature::v2::SetSystemFeaturesRequest;
use feature_api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;

use crate::support::harness::{Bearer, Folder, Server};

async fn write(server: &Server) {
    let token = server.token("--role SYSTEM_OWNER");
    let mut client = FeatureServiceClient::with_interceptor(server.channel().await, Bearer::new(&token));
    let request = SetSystemFeaturesRequest { user_schema: Some(true), ..Default::default() };
    client.set_system_features(request).await.expect("system set");
}

/// Paths, with their permissions, that other users can access.
fn open_to_others(path: &Path) -> Vec<String> {
    let metadata = fs::metadata(path).expect("it is there");
    let mode = metadata.permissions().mode() & 0o777;
    let mut found = Vec::new();
    if mode != if metadata.is_dir() { 0o700 } else { 0o600 } {
        found.push(format!("{} {mode:o}", path.display()));
    }
    if metadata.is_dir() {
        let entries =
            fs::read_dir(path).expect("it can be listed").map(|entry| entry.expect("it can be listed").path());
        found.extend(entries.flat_map(|path| open_to_others(&path)));
    }
    found
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn created_files_are_private_with_every_umask() {
    for umask in ["000", "022", "077"] {
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let wrapper = ["sh", "-c", &script];
        let folder = Folder::embedded("");
        let server = folder.serve_by(&wrapper);
        write(&server).await;
        assert_eq!(open_to_others(&folder.data()), [""; 0], "umask {umask}, while it runs");
        done(&folder.run_by(&wrapper, "backup backups/first"));
        server.stop();
        done(&folder.run_by(&wrapper, "export --output lines.jsonl"));
        // The operator has created the target folder before.
        fs::create_dir(folder.file("second")).expect("it is new");
        fs::set_permissions(folder.file("second"), Permissions::from_mode(0o777)).expect("it is ours");
        done(&folder.run_by(&wrapper, "backup second"));
        let imported = Folder::embedded("");
        done(&imported.run_by(&wrapper, &format!("import {}", folder.file("lines.jsonl").display())));
        let made = [folder.data(), folder.file("backups"), folder.file("second"), folder.file("lines.jsonl")];
        for path in made.iter().chain([&imported.data()]) {
            assert_eq!(open_to_others(path), [""; 0], "umask {umask}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_removes_permissions_of_others_with_one_line_and_warns_of_open_keys() {
    let server = Folder::embedded("").serve();
    write(&server).await;
    let folder = server.stop();
    let data = folder.data();
    fs::create_dir(data.join("projection.set-aside")).expect("it is new");
    fs::write(data.join("projection.set-aside/db"), "an older one").expect("it is writable");
    widen(&data);

    let server = folder.serve();
    let key = format!("{} 666", data.join("keys/1.pem").display());
    assert_eq!(open_to_others(&data), [key], "a key is left to who has to replace it");
    let lines = |text: &str| server.log().lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("others had rights on stored files"), 1);
    assert_eq!(lines("others can read this signing key"), 1);
    assert_eq!(lines("others may have rights"), 0);
    let folder = server.stop();

    fs::set_permissions(data.join("keys/1.pem"), Permissions::from_mode(0o600)).expect("it is ours");
    let server = folder.serve();
    assert!(!server.log().contains("others"), "{}", server.log());
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_that_cannot_be_removed_cause_a_warning() {
    let folder = Folder::embedded("").serve().stop();
    let elsewhere = folder.file("elsewhere");
    fs::rename(folder.data().join("projection"), &elsewhere).expect("it is ours");
    symlink(&elsewhere, folder.data().join("projection")).expect("a link is made");
    widen(&elsewhere);
    let server = folder.serve();
    let log = server.log();
    let line = log.lines().find(|line| line.contains("others may have rights on stored files"));
    assert!(line.is_some_and(|line| line.contains("/projection: ") && line.contains("chmod go=")), "{log}");
    let mode = fs::metadata(&elsewhere).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o777, "a link is not followed");
    server.stop();
}

#[test]
fn shared_folders_keep_their_permissions() {
    let table = [
        // (content, permissions, permissions after a start)
        (None, 0o755, 0o700),
        (Some("lost+found"), 0o755, 0o700),
        (Some("a file of the user"), 0o755, 0o755),
        (None, 0o1777, 0o1777),
    ];
    for (content, before, after) in table {
        let folder = Folder::embedded("");
        let data = folder.data();
        fs::create_dir(&data).expect("it is new");
        if let Some(name) = content {
            fs::write(data.join(name), "").expect("it is writable");
        }
        fs::set_permissions(&data, Permissions::from_mode(before)).expect("it is ours");
        for start in 1..=2 {
            let server = folder.serve();
            let mode = fs::metadata(&data).expect("it is there").permissions().mode() & 0o7777;
            assert_eq!(mode, after, "{content:?} {before:o}, start {start}");
            let warned = server.log().contains("others may have rights on stored files");
            assert_eq!(warned, before == after, "{content:?} {before:o}, start {start}");
            assert_eq!(open_to_others(&data.join("journal")), [""; 0], "what is made in it is private all the same");
            server.stop();
            widen(&data.join("journal"));
        }
    }
}

/// Gives every user all permissions on a folder and its contents.
fn widen(path: &Path) {
    let is_folder = path.is_dir();
    fs::set_permissions(path, Permissions::from_mode(if is_folder { 0o777 } else { 0o666 })).expect("it is ours");
    if is_folder {
        let entries = fs::read_dir(path).expect("it can be listed");
        entries.for_each(|entry| widen(&entry.expect("it can be listed").path()));
    }
}
