//! Backups of a running server under load: each is complete and has all writes acknowledged before it began.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use feature_api::zitadel::feature::v2::GetUserFeaturesRequest;

use super::{client, ends, set_user};
use crate::support::harness::Folder;

const USERS: [&str; 4] = ["ann", "bob", "cy", "dee"];

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_holds_every_write_acknowledged_before() {
    let server = Folder::embedded("").serve();
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged: Arc<HashMap<_, _>> = Arc::new(USERS.map(|user| (user, AtomicU64::new(0))).into());
    let mut writers = Vec::new();
    for user in USERS {
        let mut client = client(&server).await;
        acknowledged[user].store(set_user(&mut client, user, true).await, Ordering::Release);
        let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        writers.push(tokio::spawn(async move {
            let mut enabled = false;
            while !stop.load(Ordering::Acquire) {
                let sequence = set_user(&mut client, user, enabled).await;
                acknowledged[user].store(sequence, Ordering::Release);
                enabled = !enabled;
            }
        }));
    }
    let mut backups = Vec::new();
    for round in 0..8 {
        let before = USERS.map(|user| acknowledged[user].load(Ordering::Acquire));
        let folder = Folder::embedded("");
        let (said, _) = ends(&server.folder().run(&format!("backup {}", folder.data().display())), 0);
        let last = said.trim_end().rsplit(' ').next().and_then(|text| text.parse::<u64>().ok());
        let revision = last.unwrap_or_else(|| panic!("round {round}: {said}"));
        assert!(revision >= before.iter().sum(), "round {round}: {revision} of {before:?}");
        backups.push((folder, before, revision));
    }
    stop.store(true, Ordering::Release);
    for writer in writers {
        writer.await.expect("no write fails");
    }
    server.stop();
    for (folder, before, revision) in backups {
        let (summary, _) = ends(&folder.run("verify"), 0);
        assert!(summary.contains(&format!("from revision 1 to {revision}\n")), "{summary}");
        assert!(summary.contains("torn tail   none") && summary.contains("keys        1\n"), "{summary}");
        let restored = folder.serve();
        let mut client = client(&restored).await;
        for (user, before) in USERS.into_iter().zip(before) {
            let request = GetUserFeaturesRequest { user_id: user.into(), inheritance: false };
            let answer = client.get_user_features(request).await.expect("user get").into_inner();
            let sequence = answer.details.map_or(0, |details| details.sequence);
            assert!(sequence >= before, "{user}: {sequence} of {before}");
        }
        restored.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_stay_private_or_at_home() {
    use std::os::unix::fs::PermissionsExt;

    let server = Folder::embedded("").serve();
    set_user(&mut client(&server).await, "ann", true).await;
    let parent = server.folder().data().parent().expect("a data folder lies somewhere").to_owned();
    ends(&server.folder().run("backup with"), 0);
    ends(&server.folder().run("backup without --without-keys"), 0);
    let mode = |path: &str| {
        let metadata = std::fs::metadata(parent.join(path));
        metadata.map(|metadata| metadata.permissions().mode() & 0o777).ok()
    };
    assert_eq!((mode("with/keys"), mode("with/keys/1.pem")), (Some(0o700), Some(0o600)));
    assert_eq!(mode("without/keys"), None);
    server.stop();
}
