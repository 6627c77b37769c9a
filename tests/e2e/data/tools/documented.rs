//! Runs the commands of docs/operations.md unchanged.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::{client, ends, set_user};
use crate::support::client_programs::{pasted, run as run_client};
use crate::support::harness::{BINARY, Folder, limited};

/// The code blocks of a section, in order.
fn blocks(section: &str) -> Vec<String> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let text = fs::read_to_string(document).expect("docs/operations.md is there");
    let section = text.split_once(&format!("\n## {section}\n")).expect("the section is there").1;
    let section = section.split("\n## ").next().expect("a text has a first part");
    section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// Runs a block with DATA and BACKUP set, in a shell that stops at the first failure.
fn run(block: &str, data: &Path, backup: &Path) -> Output {
    let programs = Path::new(BINARY).parent().expect("the binary lies in a folder");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = limited("sh");
    shell.args(["-eu", "-c", block]).env("PATH", path).env("DATA", data).env("BACKUP", backup);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FEATURE_SERVER")) {
        shell.env_remove(name);
    }
    shell.current_dir(data.parent().expect("a data folder lies somewhere")).output().expect("the shell starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_checked_restored_and_exported_as_documented() {
    let [back_up, check, restore, export] = blocks("Backup and restore").try_into().expect("there are four");
    let server = Folder::embedded("").serve();
    let token = server.token("--role SYSTEM_OWNER --instance demo");
    assert_eq!(set_user(&mut client(&server).await, "ann", true).await, 1);
    let data = server.folder().data();
    let backup = data.with_file_name("backup of today");
    ends(&run(&back_up, &data, &backup), 0);
    ends(&run(&check, &data, &backup), 0);
    assert_eq!(set_user(&mut client(&server).await, "ann", false).await, 2);
    let folder = server.stop();

    // The server refuses to start, and the documented procedure repairs the folder, also if the whole folder is gone.
    let damages: [&dyn Fn(); 2] =
        [&|| fs::write(data.join("identity"), "damaged").expect("the file is writable"), &|| {
            fs::remove_dir_all(&data).expect("the folder can be removed")
        }];
    for damage in damages {
        damage();
        ends(&run(&restore, &data, &backup), 0);
        let server = folder.serve();
        assert_eq!(set_user(&mut client(&server).await, "ann", false).await, 2, "it goes on from the backup");
        assert_eq!(server.token("").split('.').next(), token.split('.').next(), "the key is that of the backup");
        server.stop();
    }
    let (summary, _) = ends(&run(&check, &data, &backup), 0);
    assert!(summary.contains("events      1, from revision 1 to 1\n"), "the backup stays as it was: {summary}");

    ends(&run(&export, &data, &backup), 0);
    let (summary, _) = ends(&Folder::run(&folder, &format!("verify {}.imported", data.display())), 0);
    assert!(summary.contains("events      1, from revision 1 to 1\n"), "{summary}");
    // The procedure finds a damaged backup before it changes the data folder.
    fs::write(backup.join("journal/00000000000000000001.log"), "").expect("the file is writable");
    ends(&run(&restore, &data, &backup), 65);
    assert!(data.join("identity").exists(), "the data folder is where it was");
}

#[test]
fn keys_are_rotated_and_tokens_revoked_as_documented() {
    let [rotate, revoke] = blocks("Rotation").try_into().expect("there are two");
    let folder = Folder::embedded("[auth]\nrevocation_file = \"revoked\"\n");
    let (data, revoked) = (folder.data(), folder.file("revoked"));
    fs::write(&revoked, "# nothing is revoked\n").expect("the folder is writable");
    let server = folder.serve();
    let old = server.token("");
    let (said, _) = ends(&run(&rotate, &data, &data), 0);
    assert_eq!(said.matches("keys/2.pem").count(), 2, "the new key is printed, and then listed: {said}");
    assert_ne!(server.token("").split('.').next(), old.split('.').next(), "another key signs");

    ends(&run(&format!("REVOKED={}\n{revoke}", revoked.display()), &data, &data), 0);
    server.wait_for_log("the list of revoked tokens was read again", 1);
    server.stop();
}

#[test]
fn health_is_asked_for_as_documented() {
    let [ask] = blocks("Health").try_into().expect("there is one");
    let server = Folder::embedded("").serve();
    let said = run_client(&mut pasted(&server, &format!("ADDRESS={}\n{ask}", server.address())));
    assert_eq!(said.matches("SERVING").count(), 2, "{said}");
    assert!(!said.contains("NOT_SERVING"), "{said}");
    server.stop();
}
