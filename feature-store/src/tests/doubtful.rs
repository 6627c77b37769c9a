//! Tests of projections in doubt: each is set aside and built again, equal record for record.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use feature_core::{Record, Scope};
use uuid::Uuid;

use super::fixtures::{copy, records, scopes};
use super::folder::{filled, open};
use crate::projection::Projection;
use crate::store::limits::SIZES;
use crate::{FeatureStore, JournalStore, OpenError, StoreError};

/// Opens sled, and waits for its lock: a thread of sled may hold it a little longer than the store that was dropped.
pub(super) fn open_sled(folder: &Path) -> sled::Db {
    loop {
        match sled::open(folder) {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => thread::yield_now(),
            outcome => return outcome.expect("sled opens its own files"),
        }
    }
}

/// Opens a store twice, which must hold these records each time: the second time in the projection as it was left.
fn opens_equal(folder: &Path, expected: &[Record], what: &str) {
    let aside = || fs::metadata(folder.join("projection.set-aside")).ok().map(|aside| aside.ino());
    let first = open(folder);
    assert_eq!(records(&first), expected, "{what}");
    first.close().expect("the disk works");
    drop(first);
    let before = aside();
    assert_eq!(records(&open(folder)), expected, "{what}, once more");
    assert_eq!(aside(), before, "{what}: what was built is in doubt");
}

#[test]
fn a_doubtful_projection_is_set_aside_and_built_from_the_journal() {
    let (_guard, folder, expected) = filled();
    let projection = folder.join("projection");
    let (_other, other, _) = filled();
    let replace = |from: PathBuf| {
        fs::remove_dir_all(&projection).unwrap();
        copy(&from, &projection).unwrap();
    };
    let edit = |edit: fn(&sled::Db)| {
        let tree = open_sled(&projection);
        edit(&tree);
        tree.flush().unwrap();
    };
    let conf = projection.join("conf");
    // what is wrong | how it comes about
    let table: [(&str, &dyn Fn()); 9] = [
        ("of another store", &|| replace(other.join("projection"))),
        ("a file", &|| {
            fs::remove_dir_all(&projection).unwrap();
            fs::write(&projection, "x").unwrap();
        }),
        ("a record is lost", &|| edit(|tree| drop(tree.remove("rs").unwrap()))),
        ("a record is another's", &|| edit(|tree| drop(tree.insert("rs", tree.get("ria").unwrap().unwrap()).unwrap()))),
        ("an unknown key", &|| edit(|tree| drop(tree.insert("x", "").unwrap()))),
        ("not understood", &|| edit(|tree| drop(tree.insert("m", vec![9; 40]).unwrap()))),
        ("of a newer format", &|| {
            edit(|tree| {
                let (format, body) = (2, tree.get("m").unwrap().unwrap()[5..].to_vec());
                let checksum = crc32c::crc32c(&[&b"m"[..], &[format], &body].concat());
                drop(tree.insert("m", [&[format], &checksum.to_le_bytes()[..], &body].concat()).unwrap());
            });
        }),
        ("with a damaged configuration", &|| fs::write(&conf, "version: 1.0").unwrap()),
        ("cannot be read", &|| {
            fs::remove_file(&conf).unwrap();
            fs::create_dir(&conf).unwrap();
        }),
    ];
    for (name, damage) in table {
        damage();
        let doubtful = fs::metadata(&projection).unwrap().ino();
        opens_equal(&folder, &expected, name);
        let aside = fs::metadata(folder.join("projection.set-aside"));
        assert!(aside.is_ok_and(|aside| aside.ino() == doubtful), "{name}: not set aside");
    }
    // In these sled finds nothing at all. Such a projection is built from the start, wherever it lies.
    let table: [&dyn Fn(); 3] =
        [&|| fs::remove_dir_all(&projection).unwrap(), &|| edit(|tree| tree.clear().unwrap()), &|| {
            let length = fs::metadata(projection.join("db")).unwrap().len() as usize;
            fs::write(projection.join("db"), (0..length).map(|byte| (byte * 31) as u8).collect::<Vec<_>>()).unwrap();
        }];
    for damage in table {
        damage();
        opens_equal(&folder, &expected, "nothing left");
    }
}

#[test]
fn a_projection_that_hangs_is_set_aside_and_built_by_the_next_start() {
    let (_guard, folder, expected) = filled();
    let (projection, aside) = (folder.join("projection"), folder.join("projection.set-aside"));
    // To open a pipe waits for a process at its other end.
    let conf = projection.join("conf");
    fs::remove_file(&conf).unwrap();
    assert!(Command::new("mkfifo").arg(&conf).status().unwrap().success());
    let hurried = JournalStore::open_over(&folder, SIZES, Uuid::nil(), |journal| {
        Ok(Box::new(Projection::open_with_timeout(Duration::from_millis(20), &projection, journal, SIZES.cache_bytes)?))
    });
    let error = hurried.unwrap_err();
    assert!(matches!(error, OpenError::ProjectionHangs { .. }), "{error}");
    assert!(!projection.exists() && aside.join("conf").exists());
    opens_equal(&folder, &expected, "after the hang");
}

#[test]
fn a_flipped_byte_anywhere_in_sled_is_never_believed() {
    let (guard, folder, expected) = filled();
    let pristine = guard.path().join("pristine");
    copy(&folder.join("projection"), &pristine).unwrap();
    let length = fs::metadata(pristine.join("db")).unwrap().len() as usize;
    let written = fs::read(pristine.join("db")).unwrap().iter().rposition(|&byte| byte != 0).unwrap_or(length - 1);
    for step in 0..40 {
        fs::remove_dir_all(folder.join("projection")).unwrap();
        copy(&pristine, &folder.join("projection")).unwrap();
        let mut bytes = fs::read(pristine.join("db")).unwrap();
        bytes[written * step / 40] ^= 0x04;
        fs::write(folder.join("projection/db"), bytes).unwrap();
        opens_equal(&folder, &expected, &format!("byte {}", written * step / 40));
    }
}

#[test]
fn a_record_damaged_while_open_is_named_and_not_answered() {
    let (_guard, folder, _) = filled();
    let store = JournalStore::open_over(&folder, SIZES, Uuid::nil(), |journal| {
        let projection = Projection::open(&folder.join("projection"), journal, SIZES.cache_bytes)?;
        projection.damage(&Scope::System);
        Ok(Box::new(projection))
    });
    let store = store.unwrap();
    let error = store.record(&Scope::System).unwrap_err();
    assert!(matches!(error, StoreError::DamagedRecord { scope: Scope::System }), "{error}");
    assert!(store.record(&scopes()[1]).is_ok());
    drop(store);
    assert!(open(&folder).record(&Scope::System).is_ok());
}
