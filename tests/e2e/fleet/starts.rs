//! Starts on a database: what refuses them, and with what a server continues.

use std::collections::BTreeSet;
use std::ffi::OsString;

use serde_json::json;

use super::{Client, at_least, question};
use crate::support::fleet::Fleet;
use crate::support::harness::Folder;
use crate::support::log_audit;
use crate::support::postgres;

const SERVE: &str = "serve --listen 127.0.0.1:0";

/// Runs a server that must refuse to start. Returns its exit code and its last line.
fn refused(folder: &Folder) -> (Option<i32>, String) {
    let output = folder.run(SERVE);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout.is_empty(), "it has listened: {}", String::from_utf8_lossy(&output.stdout));
    log_audit::check(&said, &folder.data());
    (output.status.code(), said.lines().last().unwrap_or_default().to_owned())
}

/// The names in a data folder. A lock and a folder for keys may be made in any case.
fn files(folder: &Folder) -> BTreeSet<OsString> {
    let entries = std::fs::read_dir(folder.data()).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).filter(|name| name != "lock" && name != "keys").collect()
}

#[test]
fn a_url_that_is_wrong_is_64_and_the_line_never_shows_a_password() {
    log_audit::note_secret("correct-horse-battery");
    // the value of store.url | a part of the line
    let table = [
        ("feature:correct-horse-battery@db.example/feature", "must be a URL such as postgres://USER@HOST/DATABASE"),
        ("mysql://feature:correct-horse-battery@db.example/feature", "must be a URL such as postgres://"),
        ("postgres://feature:correct-horse-battery@db.example/feature", "use store.password_file or"),
        ("postgres://feature@db.example/feature?password=correct-horse-battery", "use store.password_file or"),
        ("postgres://feature@db.example/feature?user=a&password=correct-horse-battery", "use store.password_file or"),
        ("postgres://db.example/feature", "names no user"),
        ("postgres://feature@db.example", "names no database"),
        ("postgres://feature@/feature", "names no host"),
        ("postgres://feature@a.example,,b.example/feature", "names no host, or an empty one"),
        ("postgres://feature@a.example,b.example,c.example/feature?port=1,2", "ports for 3 hosts"),
        ("postgres://feature@db.example:correct-horse-battery/feature", "cannot be read"),
        ("postgres://feature@db.example/feature?connect_timeout=1", "sets connect_timeout"),
        ("postgres://feature@db.example/feature?sslrootcert=a", "has the parameter sslrootcert"),
        ("postgres://feature@db.example/feature?sslmode=allow", "has sslmode=allow"),
        ("postgres://feature@db.example/feature?sslmode=disable", "has no TLS to db.example"),
    ];
    for (url, says) in table {
        let folder = Folder::embedded(&format!("[store]\nurl = \"{url}\"\n"));
        let (code, line) = refused(&folder);
        assert_eq!(code, Some(64), "{url}: {line}");
        assert!(line.contains("store.url") && line.contains(says), "{url}: {line}");
        assert!(!folder.data().exists(), "{url}: a data folder was made");
    }
}

#[test]
fn a_database_that_cannot_be_used_ends_the_start() {
    let url = postgres::database().url();
    let nowhere = "postgres://feature@127.0.0.1:1/feature";
    let missing = url.replace("/test", "/other");
    let with = |url: &str, rest: &str| format!("[store]\nurl = \"{url}\"\n{rest}\n");
    let file = "password_file = \"missing\"";
    // the configuration | exit code | a part of the line
    let table = [
        (with(nowhere, ""), 1, "the database of store.url: no host of the database takes writes (127.0.0.1:1"),
        (with(&missing, ""), 1, "the database of store.url: "),
        (with(&missing, ""), 1, "does not exist"),
        (with(&url, file), 64, "store.password_file: cannot read "),
        (
            with("postgres://feature@127.0.0.1:1/feature?sslmode=require", "ca_file = \"missing\""),
            64,
            "store.ca_file: ",
        ),
        (with(&url, "durability = \"replicated\""), 1, "has no synchronous_standby_names"),
        (format!("[store]\n{file}\n"), 64, "store.password_file"),
        (format!("[store]\n{file}\n"), 64, "accompanied by store.url"),
        ("[store]\nca_file = \"missing\"\n".to_owned(), 64, "accompanied by store.url"),
    ];
    for (config, code, says) in table {
        let folder = Folder::embedded(&config);
        // One key, so that nothing else is missing. A wrong setting refuses this command, too.
        let _ = folder.run("token keygen");
        let (found, line) = refused(&folder);
        assert_eq!(found, Some(code), "{config}: {line}");
        assert!(line.contains(says), "{config}: {line}");
        assert_eq!(line.matches(says).count(), 1, "{config}: the line says it once: {line}");
        assert!(!folder.data().join("replica").exists(), "{config}: a view was made");
    }
}

#[test]
fn a_folder_that_does_not_fit_the_store_is_refused() {
    let config = format!("[store]\nurl = \"{}\"\n", postgres::database().url());
    let set_config =
        |folder: &Folder, text: &str| std::fs::write(folder.file("feature-server.toml"), text).expect("it is writable");
    let without_keys = Folder::embedded(&config);
    let of_store = Folder::embedded("");
    of_store.serve().stop();
    set_config(&of_store, &config);
    let of_replica = Folder::embedded(&config);
    assert!(of_replica.run("token keygen").status.success());
    let in_use = of_replica.serve().stop().serve();
    let of_lost_url = Folder::embedded(&config);
    assert!(of_lost_url.run("token keygen").status.success());
    of_lost_url.serve().stop();
    set_config(&of_lost_url, "");
    // the folder | a part of the line
    let table = [
        (&without_keys, "the servers of a fleet must not make their own"),
        (&of_store, "holds an embedded store: choose another folder for this replica"),
        (&of_lost_url, "holds the view of a server of a fleet: name its database with store.url, or choose"),
        (in_use.folder(), "is in use by another process: stop that one"),
    ];
    for (folder, says) in table {
        let before = files(folder);
        let (code, line) = refused(folder);
        assert_eq!(code, Some(1), "{line}");
        assert!(line.contains(says), "{line}");
        assert_eq!(files(folder), before, "{line}: nothing was made");
    }
    in_use.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_continues_with_its_view_and_an_empty_folder_lists_everything() {
    let fleet = Fleet::new();
    let one = fleet.serve();
    let writer = Client::of(&one).await;
    for number in 1..=20 {
        writer.set("ann", number).await.expect("a write succeeds");
    }
    // A stop writes the view to its folder.
    let other = fleet.serve().stop();
    writer.set("bob", 1).await.expect("a write succeeds");
    let last = writer.call("ResetUserFeatures", json!({"userId": "ann"}), &[]).await.expect("a reset succeeds").1;

    let (restarted, new) = (other.serve(), fleet.serve());
    restarted.wait_for_lines(&["the projection catches up with the history", "\"from\":20,\"to\":22"], 1);
    new.wait_for_lines(&["the projection catches up with the history", "\"from\":0,\"to\":22"], 1);
    let killed = restarted.kill().serve();
    for server in [&one, &killed, &new] {
        let client = Client::of(server).await;
        assert_eq!(client.get("bob", &[]).await.expect("a read succeeds"), (1, last.clone()));
        let ann = client.call("GetUserFeatures", question("ann"), &[&at_least(&last)]).await;
        let expected = writer.call("GetUserFeatures", question("ann"), &[&at_least(&last)]).await;
        assert_eq!(ann.expect("a read succeeds"), expected.expect("a read succeeds"));
        assert!(!server.folder().data().join("replica.set-aside").exists(), "no view was in doubt");
    }
    [one, killed, new].into_iter().for_each(|server| drop(server.stop()));
}
