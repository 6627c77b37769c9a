//! Starts on data folders in every state: the table of docs/storage-format.md, with the real binary.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use feature_api::zitadel::feature::v2::feature_service_client::FeatureServiceClient;
use feature_api::zitadel::feature::v2::{GetUserFeaturesRequest, SetUserFeatureRequest};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::support::harness::{Bearer, Folder, Server};

const SERVE: &str = "serve --listen 127.0.0.1:0";
const SEGMENT: &str = "journal/00000000000000000001.log";

struct Client(FeatureServiceClient<InterceptedService<Channel, Bearer>>);

impl Client {
    async fn of(server: &Server) -> Self {
        let token = server.token("--role SYSTEM_OWNER --instance demo");
        Self(FeatureServiceClient::with_interceptor(server.channel().await, Bearer::new(&token)))
    }

    /// Sets a flag of a user. Returns the sequence and the change date of the answer.
    async fn set(&mut self, enabled: bool) -> (u64, SystemTime) {
        let request =
            SetUserFeatureRequest { user_id: "ada".into(), login_default_org: Some(enabled), ..Default::default() };
        let details = self.0.set_user_features(request).await.expect("user set").into_inner().details;
        state(details.expect("a write answers with details"))
    }

    /// The sequence and the change date of the user.
    async fn get(&mut self) -> (u64, SystemTime) {
        let request = GetUserFeaturesRequest { user_id: "ada".into(), inheritance: true };
        let details = self.0.get_user_features(request).await.expect("user get").into_inner().details;
        state(details.expect("a read answers with details"))
    }
}

fn state(details: feature_api::zitadel::object::v2::Details) -> (u64, SystemTime) {
    let changed = details.change_date.expect("what was written has a date");
    (details.sequence, changed.try_into().expect("a date"))
}

/// The folder of a stopped server, after this number of Sets of the user.
async fn used(sets: u64) -> Folder {
    let folder = Folder::embedded("");
    set_again(&folder, sets).await;
    folder
}

async fn set_again(folder: &Folder, sets: u64) {
    let server = folder.serve();
    let mut client = Client::of(&server).await;
    for set in 1..=sets {
        client.set(set % 2 == 1).await;
    }
    server.stop();
}

/// The last line of a start that is refused. Checks that the server exits with code 1 and never listened.
fn refusal(folder: &Folder) -> String {
    last_words(&folder.run(SERVE))
}

fn last_words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "it has listened: {}", String::from_utf8_lossy(&output.stdout));
    said.lines().last().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_folders_are_refused_and_left_unchanged() {
    // state of the folder | how to make it | parts of the line
    type Damage = fn(&Path);
    let table: [(&str, Damage, &[&str]); 7] = [
        (
            "a newer format",
            |data| fs::write(data.join("identity"), r#"{"format":2,"store":"0"}"#).expect("it is writable"),
            &["/identity has format 2, this binary knows 1: start the newer binary"],
        ),
        (
            "no identity beside a journal",
            |data| fs::remove_file(data.join("identity")).expect("it is there"),
            &["/identity is missing beside a journal with records: restore the data folder from a backup"],
        ),
        (
            "a damaged identity",
            |data| fs::write(data.join("identity"), "{").expect("it is writable"),
            &["/identity is damaged: restore the data folder from a backup"],
        ),
        (
            "no journal",
            |data| fs::remove_dir_all(data.join("journal")).expect("it is there"),
            &["/journal is missing: restore the data folder from a backup, or choose an empty one"],
        ),
        (
            "no segment",
            |data| fs::remove_file(data.join(SEGMENT)).expect("it is there"),
            &["/journal is missing: restore the data folder from a backup, or choose an empty one"],
        ),
        (
            "no first segment before another one",
            |data| fs::rename(data.join(SEGMENT), data.join(SEGMENT.replace("1.log", "3.log"))).expect("it is there"),
            &[
                "00000000000000000003.log at byte 0: ",
                "the events from revision 1 on are missing; restore the data folder",
            ],
        ),
        (
            "a byte of a record changed",
            |data| {
                let mut bytes = fs::read(data.join(SEGMENT)).expect("it is there");
                bytes[100] ^= 1;
                fs::write(data.join(SEGMENT), bytes).expect("it is writable");
            },
            &["00000000000000000001.log at byte 32: ", "; restore the data folder from a backup"],
        ),
    ];
    let pristine = used(2).await;
    for (what, damage, says) in table {
        let folder = Folder::embedded("");
        copy(&pristine.data(), &folder.data());
        damage(&folder.data());
        let before = content(&folder.data());
        let line = refusal(&folder);
        assert!(says.iter().all(|text| line.contains(text)), "{what}: {line} lacks one of {says:?}");
        assert!(content(&folder.data()) == before, "{what}: the start has changed something");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_older_than_the_projection_is_refused_with_both_revisions() {
    let folder = used(1).await;
    let segment = folder.data().join(SEGMENT);
    let length = fs::metadata(&segment).expect("it is there").len();
    set_again(&folder, 2).await;
    // Without the mark, nothing in the journal shows that there was more.
    OpenOptions::new().write(true).open(&segment).and_then(|file| file.set_len(length)).expect("it is cut");
    fs::remove_file(folder.data().join("journal/durable")).expect("it is there");
    let line = refusal(&folder);
    for says in ["00000000000000000001.log ends at byte ", "with revision 1, but the projection knows revision 2"] {
        assert!(line.contains(says), "{line}");
    }
    assert!(line.contains("restore the folder journal as it was"), "{line}");

    fs::remove_dir_all(folder.data().join("projection")).expect("it is there");
    let server = folder.serve();
    assert_eq!(Client::of(&server).await.get().await.0, 1, "an older state was put there on purpose");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_files_are_rebuilt_if_possible() {
    let folder = used(3).await;
    // lost file or folder
    for lost in ["journal/durable", "projection", "lock"] {
        let path = folder.data().join(lost);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect(lost);
        let server = folder.serve();
        assert_eq!(Client::of(&server).await.get().await.0, 3, "{lost}");
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_folder_is_refused_and_the_first_goes_on() {
    let server = Folder::embedded("").serve();
    let line = refusal(server.folder());
    let says = format!("{} is in use by another process: stop that one", server.folder().data().display());
    assert!(line.contains(&says), "{line}");
    assert_eq!(Client::of(&server).await.set(true).await.0, 1);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_folder_is_refused_and_left_unchanged() {
    let folder = used(1).await;
    let (data, before) = (folder.data(), content(&folder.data()));
    permit(&data, 0o500, 0o400);
    // Takes from root the right to ignore file permissions.
    let is_root = fs::metadata(&data).expect("it is there").uid() == 0;
    let wrapper: &[&str] = if is_root { &["setpriv", "--bounding-set=-dac_override"] } else { &[] };
    let output = folder.run_by(wrapper, SERVE);
    permit(&data, 0o700, 0o600);
    let line = last_words(&output);
    for says in ["cannot open ", "/lock: Permission denied", "check that the data folder is writable for this user"] {
        assert!(line.contains(says), "{line}");
    }
    assert!(content(&data) == before);
    folder.serve().stop();

    let file = Folder::embedded("");
    fs::write(file.data(), "a file where the folder should be").expect("it is writable");
    let line = refusal(&file);
    assert!(line.contains("feature-data") && line.contains("check that the data folder is writable"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_never_run_backwards_when_the_clock_does() {
    let hour = Duration::from_secs(3600);
    let folder = used(2).await;
    let lines = String::from_utf8(folder.run("export").stdout).expect("an export is text");
    let file = folder.file("later.jsonl");
    fs::write(&file, an_hour_later(&lines)).expect("it is writable");
    // For this folder, the clock seems to have gone back by an hour.
    let later = Folder::embedded("");
    let imported = later.run(&format!("import {}", file.display()));
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));

    let server = later.serve();
    let mut client = Client::of(&server).await;
    let (_, mut newest) = client.get().await;
    assert!(newest > SystemTime::now() + hour / 2);
    for sequence in 3..=5 {
        let written = client.set(sequence % 2 == 1).await;
        assert!(written.0 == sequence && written.1 >= newest, "{written:?} after {newest:?}");
        assert_eq!(client.get().await, written);
        newest = written.1;
    }
    let server = server.stop().serve();
    assert_eq!(Client::of(&server).await.get().await, (5, newest));
    server.stop();
}

/// An export with all its events one hour later.
fn an_hour_later(lines: &str) -> String {
    let (body, end) = lines.trim_end().rsplit_once('\n').expect("an export has lines");
    let later = |line: &str| {
        let Some((before, rest)) = line.split_once("\"time\":\"") else { return format!("{line}\n") };
        let (time, after) = rest.split_once('"').expect("a time ends");
        let time = humantime::parse_rfc3339(time).expect("times are RFC 3339") + Duration::from_secs(3600);
        format!("{before}\"time\":\"{}\"{after}\n", humantime::format_rfc3339_nanos(time))
    };
    let body: String = body.lines().map(later).collect();
    let (end, _) = end.split_once("\"crc32c\":\"").expect("the last line has a checksum");
    format!("{body}{end}\"crc32c\":\"{:08x}\"}}\n", crc32c::crc32c(body.as_bytes()))
}

/// Sets the permissions of every folder and file below a folder.
fn permit(folder: &Path, folders: u32, files: u32) {
    // Listing a folder needs permission for it.
    fs::set_permissions(folder, Permissions::from_mode(0o700)).expect("it is ours");
    for entry in fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        match path.is_dir() {
            true => permit(&path, folders, files),
            false => fs::set_permissions(&path, Permissions::from_mode(files)).expect("it is ours"),
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(folders)).expect("it is ours");
}

/// The files of a store with their contents, without those that the server can rebuild.
fn content(data: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for place in ["identity", "journal"] {
        let path = data.join(place);
        let files = match fs::read_dir(&path) {
            Ok(entries) => entries.map(|entry| entry.expect("it can be listed").path()).collect(),
            Err(_) => vec![path],
        };
        found.extend(files.into_iter().filter_map(|file| Some((file.display().to_string(), fs::read(&file).ok()?))));
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()), "the folder is copied");
}
