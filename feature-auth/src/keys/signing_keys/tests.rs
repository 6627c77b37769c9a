//! The key folder: first start, alone and with others at once; adding keys; what is refused.

use std::os::unix::fs::symlink;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(data.join("keys")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn first_start_makes_one_private_key_and_the_second_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("deep/data");
    let first = KeyFolder::open_or_create(&data).unwrap().signing().unwrap().id;
    assert_eq!(mode(&data.join("keys")), 0o700);
    assert_eq!(mode(&data.join("keys/1.pem")), 0o600);
    assert_eq!(names(&data), ["1.pem"], "nothing else is left behind");
    assert_eq!(KeyFolder::open_or_create(&data).unwrap().signing().unwrap().id, first);
    assert_eq!(names(&data), ["1.pem"]);
}

#[test]
fn concurrent_starts_agree_on_one_key() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let barrier = std::sync::Barrier::new(8);
        let start = || {
            barrier.wait();
            KeyFolder::open_or_create(&data).unwrap().signing().unwrap().id
        };
        let ids: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
        assert_eq!(names(&data), ["1.pem"]);
    }
}

#[test]
fn added_keys_get_the_next_numbers_and_the_largest_signs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let first = KeyFolder::add(data).unwrap();
    assert_eq!(first.path, data.join("keys/1.pem"), "without any key the first is made, and only that");
    for _ in 2..=10 {
        KeyFolder::add(data).unwrap();
    }
    let last = KeyFolder::add(data).unwrap();
    assert_eq!(last.path, data.join("keys/11.pem"));
    assert_eq!(mode(&last.path), 0o600);
    let keys = KeyFolder::open_or_create(data).unwrap();
    assert_eq!(keys.signing().unwrap().id, last.id);
    assert_eq!(keys.verifying().unwrap().ids().count(), 11);
    assert_eq!(keys.verifying().unwrap().ids().next(), Some(first.id.as_str()));
}

#[test]
fn key_with_the_largest_number_signs_and_none_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let first = KeyFolder::add(data).unwrap();
    fs::rename(&first.path, data.join("keys/4294967294.pem")).unwrap();
    let last = KeyFolder::add(data).unwrap();
    assert_eq!(last.path, data.join("keys/4294967295.pem"));
    let error = KeyFolder::add(data).unwrap_err().to_string();
    assert_eq!(error, format!("cannot add a key to {}: no larger number is left", data.join("keys").display()));
    assert_eq!(names(data), ["4294967294.pem", "4294967295.pem"]);
    assert_eq!(KeyFolder::open_or_create(data).unwrap().signing().unwrap().id, last.id);
}

#[test]
fn concurrently_added_keys_do_not_replace_each_other() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| KeyFolder::add(folder.path()).unwrap());
        }
    });
    let keys = KeyFolder::open_or_create(folder.path()).unwrap();
    let ids: std::collections::BTreeSet<_> = keys.verifying().unwrap().ids().map(str::to_owned).collect();
    assert_eq!(ids.len(), 8);
}

#[test]
fn key_id_is_the_thumbprint_of_rfc_7638() {
    // The key and its thumbprint are those of RFC 8037, appendix A.
    let public = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let public = public.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    let key = DecodingKey::from_ed_der(&public);
    assert_eq!(thumbprint(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn keys_made_elsewhere_work() {
    // RFC 8410, section 10.3: as `openssl genpkey -algorithm ed25519` writes it, and with its public half.
    let table = [
        "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
        "MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
         oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n\
         Z9w7lshQhqowtrbLDFw4rXAxZuE=",
    ];
    for base64 in table {
        let folder = tempfile::tempdir().unwrap();
        let first = KeyFolder::add(folder.path()).unwrap();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n");
        for pem in [format!("\u{feff}{pem}"), pem] {
            fs::write(folder.path().join("keys/2.pem"), pem).unwrap();
            let keys = KeyFolder::open_or_create(folder.path()).unwrap();
            assert_ne!(keys.signing().unwrap().id, first.id, "{base64}");
        }
    }
}

#[test]
fn other_files_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let new = KeyFolder::add(folder.path()).unwrap();
    for name in ["02.pem", "+3.pem", "-4.pem", "5.PEM", "6.pem.bak", "x.pem", ".7.tmp", "99999999999.pem"] {
        fs::write(folder.path().join("keys").join(name), "nothing").unwrap();
    }
    let keys = KeyFolder::open_or_create(folder.path()).unwrap();
    assert_eq!(keys.signing().unwrap().id, new.id);
}

#[test]
fn file_without_a_key_is_refused_by_name() {
    let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    for content in ["", "nothing", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &rsa] {
        let folder = tempfile::tempdir().unwrap();
        KeyFolder::add(folder.path()).unwrap();
        let path = folder.path().join("keys/2.pem");
        fs::write(&path, content).unwrap();
        let error = KeyFolder::open_or_create(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
    }
}

#[test]
fn unreadable_keys_are_an_error_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("keys"), "a file").unwrap();
    let error = KeyFolder::open_or_create(folder.path()).unwrap_err();
    assert!(matches!(error, KeysError::Io { action: "list", .. }), "{error}");

    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    symlink("nowhere", folder.path().join("keys/1.pem")).unwrap();
    let error = KeyFolder::open_or_create(folder.path()).unwrap_err();
    assert!(matches!(error, KeysError::Io { action: "read", .. }), "{error}");
}

#[test]
fn debug_output_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFolder::open_or_create(folder.path()).unwrap();
    let pem = fs::read_to_string(folder.path().join("keys/1.pem")).unwrap();
    let base64 = pem.lines().nth(1).unwrap();
    let seed = &STANDARD.decode(base64).unwrap()[16..];
    let shown = format!("{:?} {:?}", keys, keys.signing().unwrap());
    assert!(!shown.contains(base64) && !shown.contains(&format!("{seed:?}")), "{shown}");
}
