//! The kinds of damage, the random choice of a place, and the change to the folder. `expected` decides the right
//! outcome.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fastrand::Rng;

use crate::disk::folder;
use crate::disk::prepared::{Form, segments};

/// How many of the zeros at the end of a file may be damaged.
const ZEROS_HIT_BYTES: usize = 1024;

/// A damage to a folder.
#[derive(Debug)]
pub struct Damage {
    /// A description.
    pub what: String,
    /// The changed files.
    pub changes: Vec<Change>,
}

/// A changed file.
#[derive(Debug)]
pub struct Change {
    /// The path of the file, relative to the folder.
    pub file: PathBuf,
    /// The contents before; `None` if the file did not exist.
    pub before: Option<Vec<u8>>,
    /// The contents now; `None` if the file is deleted.
    pub after: Option<Vec<u8>>,
}

impl Damage {
    /// Damages `folder`, a copy of the folder of `form`, in one place. `foreign` is the folder of another store.
    pub fn inflict(folder: &Path, form: &Form, foreign: &Path, rng: &mut Rng) -> Result<Self> {
        loop {
            let files = targets(folder)?;
            let file = choose(&files, rng)?;
            let Some((kind, contents)) = plan(folder, &file, &files, form, foreign, rng)? else { continue };
            let mut changes = Vec::new();
            for (file, after) in contents {
                let before = read(&folder.join(&file))?;
                write(&folder.join(&file), after.as_deref())?;
                if before != after {
                    changes.push(Change { file, before, after });
                }
            }
            if !changes.is_empty() {
                return Ok(Self { what: format!("{}: {kind}", file.display()), changes });
            }
        }
    }
}

/// All files of the store. The signing keys do not belong to it.
fn targets(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(folder::files(folder)?.into_iter().filter(|file| !file.starts_with("keys")).collect())
}

/// Half of all damages hit the journal, a third sled's files.
fn choose(files: &[PathBuf], rng: &mut Rng) -> Result<PathBuf> {
    let place = match rng.u32(..100) {
        0..50 => "journal",
        50..83 => "projection",
        _ => "",
    };
    let there: Vec<_> = files.iter().filter(|file| file.starts_with(place)).collect();
    Ok(rng.choice(there).context("a data folder has such a file")?.to_owned())
}

type Contents = Vec<(PathBuf, Option<Vec<u8>>)>;

/// The new contents of the files; `None` if the random damage is impossible for this file.
fn plan(
    folder: &Path,
    file: &Path,
    files: &[PathBuf],
    form: &Form,
    foreign: &Path,
    rng: &mut Rng,
) -> Result<Option<(String, Contents)>> {
    let mut bytes = fs::read(folder.join(file))?;
    // Most of a journal may be zeros for later frames, so only a few zeros at the end of a file are hit.
    let written = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let length = bytes.len().min(written + ZEROS_HIT_BYTES);
    let one = |kind: String, bytes: Option<Vec<u8>>| Ok(Some((kind, vec![(file.to_owned(), bytes)])));
    match rng.u32(..100) {
        0..35 if length > 0 => {
            let (byte, bit) = (rng.usize(..length), rng.u32(..8));
            bytes[byte] ^= 1 << bit;
            one(format!("bit {bit} of byte {byte} flipped"), Some(bytes))
        }
        35..55 if length > 0 => {
            let before = bytes.len();
            bytes.truncate(rng.usize(..length));
            one(format!("cut from {before} to {} bytes", bytes.len()), Some(bytes))
        }
        55..67 if length > 0 => {
            let block = if rng.bool() { 512 } else { 4096 };
            let start = rng.usize(..length) / block * block;
            let end = length.min(start + block);
            bytes[start..end].fill(0);
            one(format!("bytes {start} to {end} zeroed"), Some(bytes))
        }
        67..75 if length > 0 => {
            let start = rng.usize(..length);
            let end = length.min(start + rng.usize(1..=4096));
            rng.fill(&mut bytes[start..end]);
            one(format!("bytes {start} to {end} made random"), Some(bytes))
        }
        75..82 => {
            let mut more = vec![0; rng.usize(1..5000)];
            if rng.bool() {
                rng.fill(&mut more);
            }
            bytes.extend(&more);
            one(format!("{} bytes appended", more.len()), Some(bytes))
        }
        82..88 => one("deleted".to_owned(), None),
        88..92 => match read(&form.older.join(file))? {
            Some(older) => one("an old copy put back".to_owned(), Some(older)),
            None => Ok(None),
        },
        92..96 => {
            let other = rng.choice(files).context("there are files")?;
            let theirs = fs::read(folder.join(other))?;
            let kind = format!("swapped with {}", other.display());
            Ok(Some((kind, vec![(file.to_owned(), Some(theirs)), (other.clone(), Some(bytes))])))
        }
        96..98 => match read(&foreign.join(file))? {
            Some(theirs) => one("that of another store put in place".to_owned(), Some(theirs)),
            None => Ok(None),
        },
        98.. if segments(folder)?.iter().any(|segment| segment == file) => {
            let new = file.with_file_name(format!("{:020}.log", rng.u64(1..100_000)));
            let there = read(&folder.join(&new))?.is_some();
            let kind = format!("renamed to {}", new.display());
            Ok((!there).then(|| (kind, vec![(file.to_owned(), None), (new, Some(bytes))])))
        }
        _ => Ok(None),
    }
}

fn read(file: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

fn write(file: &Path, bytes: Option<&[u8]>) -> Result<()> {
    match bytes {
        Some(bytes) => fs::write(file, bytes),
        None if file.exists() => fs::remove_file(file),
        None => Ok(()),
    }
    .with_context(|| format!("writing {}", file.display()))
}
