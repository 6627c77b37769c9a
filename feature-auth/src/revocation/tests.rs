//! The list after its file has changed, broken or disappeared.

mod list;

use std::time::Duration;

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
        Self { revocations: Revocations::open(Some(&path), Timestamp::now()).unwrap(), folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("revoked")
    }

    /// The revoked ones of the tokens `a` and `b`.
    fn revoked(&self) -> String {
        ["a", "b"].into_iter().filter(|id| self.revocations.revokes("i", Some(id), "s", None)).collect()
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
        setup.revocations.reload(Timestamp::now());
        assert_eq!(setup.revoked(), revoked, "{what}");
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[test]
fn unchanged_file_is_read_once() {
    let setup = Setup::new("jti a\n");
    let later = Timestamp::now().after(Duration::from_secs(60));
    let revocations = Revocations::open(Some(&setup.path()), later).unwrap();
    let version = || revocations.version();
    revocations.reload(later);
    assert_eq!(version(), 0, "the reading at the start counts");
    // The size differs: the time of this change may be that of the first one.
    std::fs::write(setup.path(), "jti bb\n").unwrap();
    for _ in 0..2 {
        revocations.reload(later);
        assert_eq!(version(), 1);
    }
}

#[test]
fn file_that_has_just_been_changed_is_read_again() {
    let setup = Setup::new("jti a\n");
    let later = Timestamp::now().after(Duration::from_secs(60));
    let table = [
        // at                readings in all
        (Timestamp::now(), 1),
        (Timestamp::now(), 2),
        (later, 3),
        (later, 3),
    ];
    for (at, readings) in table {
        setup.revocations.reload(at);
        assert_eq!(setup.revocations.version(), readings);
    }
}

#[test]
fn start_needs_a_good_file_if_one_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let open = || Revocations::open(Some(&path), Timestamp::now()).unwrap_err().to_string();
    assert!(open().starts_with("cannot be read: "), "{}", open());
    std::fs::write(&path, "# a list\nnonsense\n").unwrap();
    assert!(open().starts_with("line 2 is no entry"), "{}", open());
    assert_eq!(Revocations::open(None, Timestamp::now()).unwrap().current.load().list.len(), 0);
}

#[test]
fn shared_entries_count_beside_those_of_the_file_and_a_wrong_one_harms_no_other() {
    let setup = Setup::new("jti a\n");
    let (revoked, version) = (|| setup.revoked(), || setup.revocations.version());
    assert_eq!(revoked(), "a");
    let before = version();
    let entries = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
    setup.revocations.set_shared(&entries(&["jti", "b", "jti b"]));
    assert_eq!(revoked(), "ab");
    assert_ne!(version(), before);
    setup.revocations.set_shared(&[]);
    assert_eq!(revoked(), "a");
}

#[test]
fn an_entry_is_checked_by_itself() {
    // an entry | what is wrong
    let table = [
        ("jti 0b7c62be", None),
        (" subject ann before 7 ", None),
        ("", Some("it begins with neither 'jti' nor 'subject'")),
        ("jti a\njti b", Some("it is more than a line")),
        ("jti", Some("the id is missing")),
    ];
    for (entry, problem) in table {
        assert_eq!(check_entry(entry).err(), problem, "{entry}");
    }
}
