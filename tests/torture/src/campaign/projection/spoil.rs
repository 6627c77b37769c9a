//! The ways to spoil a projection. The campaign decides the right outcome.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fastrand::Rng;

use crate::disk::folder;
use crate::disk::prepared::Prepared;

/// Spoils the projection of `data`, a copy of `prepared.stopped`. Returns a description, and whether the journal now
/// ends before the projection's last revision.
pub fn spoil(data: &Path, prepared: &Prepared, rng: &mut Rng) -> Result<(String, bool)> {
    let projection = data.join("projection");
    let replace = |with: PathBuf| {
        folder::remove(&projection)?;
        folder::copy(&with, &projection)
    };
    let kind = rng.u32(..12);
    let what = match kind {
        0 => {
            folder::remove(&projection)?;
            "no projection".to_owned()
        }
        1 => {
            folder::remove(&projection)?;
            fs::write(&projection, "x")?;
            "a file in its place".to_owned()
        }
        2 => {
            replace(prepared.foreign.join("projection"))?;
            "that of another store".to_owned()
        }
        3 => {
            replace(prepared.stopped.older.join("projection"))?;
            "an old one".to_owned()
        }
        4 => {
            folder::remove(&data.join("journal"))?;
            folder::copy(&prepared.stopped.older.join("journal"), &data.join("journal"))?;
            "a journal from before".to_owned()
        }
        5 => {
            let name = format!("snap.{:016x}", rng.u64(..));
            let bytes: Vec<_> = (0..rng.usize(..500)).map(|_| rng.u8(..)).collect();
            fs::write(projection.join(&name), bytes)?;
            format!("a random file {name} beside")
        }
        6 => {
            let files = folder::files(&projection)?;
            let snapshot = files.iter().find(|file| file.to_string_lossy().starts_with("snap."));
            let name = snapshot.cloned().unwrap_or_else(|| PathBuf::from("snap.0000000000000060"));
            let bytes = fs::read(projection.join(&name)).unwrap_or_default();
            fs::write(projection.join(&name), &bytes[..bytes.len() / 2])?;
            format!("half of {}", name.display())
        }
        7 => {
            let file = choose(&projection, rng)?;
            fs::remove_file(projection.join(&file))?;
            fs::create_dir(projection.join(&file))?;
            format!("a folder in place of {}", file.display())
        }
        8 => {
            let text =
                format!("segment_size: {}\nuse_compression: true\nversion: 0.{}\nsqn\u{1}", rng.u16(..), rng.u8(..));
            fs::write(projection.join("conf"), text)?;
            "another configuration".to_owned()
        }
        _ => {
            let file = choose(&projection, rng)?;
            let length = fs::metadata(projection.join(&file))?.len() as usize;
            let mut bytes = vec![0; rng.usize(..=length * 2)];
            if rng.bool() {
                rng.fill(&mut bytes);
            }
            fs::write(projection.join(&file), &bytes)?;
            format!("{} bytes of nothing in {}", bytes.len(), file.display())
        }
    };
    Ok((what, kind == 4))
}

fn choose(projection: &Path, rng: &mut Rng) -> Result<PathBuf> {
    rng.choice(folder::files(projection)?).context("sled has files")
}
