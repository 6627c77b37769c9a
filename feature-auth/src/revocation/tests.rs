//! The list after its file has changed, broken or disappeared.

use std::time::{Duration, SystemTime};

use super::*;

struct Setup {
    folder: tempfile::TempDir,
    revocations: Revocations,
}

impl Setup {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revoked");
        std::fs::write(&path, text).unwrap();
        Self { revocations: Revocations::open(Some(&path)).unwrap(), folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("revoked")
    }

    /// The revoked ones of the tokens `a` and `b`.
    fn revoked(&self) -> String {
        let current = self.revocations.current.load();
        ["a", "b"].into_iter().filter(|id| current.list.revokes("i", Some(id), "s", None)).collect()
    }
}

#[test]
fn changed_file_replaces_the_list_and_a_broken_or_missing_one_does_not() {
    let setup = Setup::new("jti a\n");
    assert_eq!(setup.revoked(), "a");
    let write = |text: &str| std::fs::write(setup.path(), text).unwrap();
    type Change<'c> = &'c dyn Fn();
    let table: [(&str, Change<'_>, &str); 12] = [
        // what happens                        how                                           revoked then
        ("an entry more", &|| write("jti a\njti b\n"), "ab"),
        ("one of as many bytes, at once", &|| write("jti a\njti c\n"), "a"),
        ("another file in its place", &|| replace(&setup.path(), "jti b\n"), "b"),
        ("a byte order mark", &|| write("\u{feff}jti b\n"), "b"),
        ("a broken line", &|| write("jti a\nnonsense\n"), "b"),
        ("a line without its end", &|| write("jti a"), "b"),
        ("nothing at all", &|| write(""), "b"),
        ("no text", &|| std::fs::write(setup.path(), b"jti \xff\n").unwrap(), "b"),
        ("too large", &|| File::create(setup.path()).unwrap().set_len(FILE_MAX_BYTES + 1).unwrap(), "b"),
        ("gone", &|| std::fs::remove_file(setup.path()).unwrap(), "b"),
        ("a folder", &|| std::fs::create_dir(setup.path()).unwrap(), "b"),
        (
            "a good file again",
            &|| {
                std::fs::remove_dir(setup.path()).unwrap();
                write("# nothing is revoked\n");
            },
            "",
        ),
    ];
    for (what, change, revoked) in table {
        change();
        setup.revocations.reload();
        assert_eq!(setup.revoked(), revoked, "{what}");
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[test]
fn unchanged_file_is_not_read_again() {
    let setup = Setup::new("jti a\n");
    let past = SystemTime::now() - Duration::from_secs(60);
    File::options().write(true).open(setup.path()).unwrap().set_modified(past).unwrap();
    // The change of its times is itself a change, which only age settles: so that is done by hand here.
    setup.revocations.reload();
    let version = setup.revocations.current.load().version;
    setup.revocations.last.lock().unwrap().stamp = Some(stamp(&setup.path().metadata().unwrap()));
    setup.revocations.reload();
    assert_eq!(setup.revocations.current.load().version, version);
    std::fs::write(setup.path(), "jti b\n").unwrap();
    setup.revocations.reload();
    assert_eq!((setup.revoked(), setup.revocations.current.load().version), ("b".to_owned(), version + 1));
}

#[test]
fn start_needs_a_good_file_if_one_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let open = || Revocations::open(Some(&path)).unwrap_err().to_string();
    assert!(open().starts_with("cannot be read: "), "{}", open());
    std::fs::write(&path, "# a list\nnonsense\n").unwrap();
    assert!(open().starts_with("line 2 is no entry"), "{}", open());
    assert_eq!(Revocations::open(None).unwrap().current.load().list.len(), 0);
}
