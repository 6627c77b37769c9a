//! Damage to what was durable, at rest: it must be refused where it is, and the refusal changes nothing.

use std::path::{Path, PathBuf};

use super::image::Image;
use super::process::Process;
use super::run::{Kept, Run, ensure};
use crate::error::OpenError;

#[derive(Debug, Clone, Copy)]
enum Damage {
    FlippedBit,
    Cut,
    Lost,
    /// Not to a segment, but to the mark, which may be lost in a crash.
    Mark,
}

/// Damages the disk, checks what the next start says, and puts it right again. All of the journal is durable before.
pub(super) fn check(run: &mut Run) -> Kept {
    let intact = run.disk.with_image(|image| image.clone());
    let segments: Vec<PathBuf> =
        intact.files().filter(|path| path.extension().is_some_and(|end| end == "log")).map(Path::to_owned).collect();
    let position = run.rng.usize(..segments.len());
    let (segment, next) = (&segments[position], segments.get(position + 1));
    // What happens to the zeros behind the last frame does not matter.
    let end = |bytes: &[u8]| bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let length = run.disk.with_image(|image| image.content(segment).map_or(0, |content| end(content.seen())));
    let (byte, bit) = (run.rng.usize(..length), 1 << run.rng.u8(..8));
    let damage = [Damage::FlippedBit, Damage::Cut, Damage::Lost, Damage::Mark][run.rng.usize(..4)];
    run.note(format!("{damage:?} of {} at byte {byte}", segment.display()));
    run.disk.with_image(|image| inflict(image, damage, segment, byte, bit));
    let damaged = run.disk.with_image(|image| image.clone());

    let outcome = Process::open(&run.disk, &run.projections).err();
    run.note(format!("not open: {outcome:?}"));
    let refused_at = |at: &PathBuf, most: usize| match &outcome {
        Some(OpenError::Corrupt { segment, offset, .. }) => segment == at && *offset <= most as u64,
        _ => false,
    };
    let goes_on = next.is_some_and(|next| refused_at(next, 0));
    match damage {
        Damage::FlippedBit => {
            ensure!(refused_at(segment, byte), "a flipped bit is not refused where it is: {outcome:?}");
            run.tally("a flipped bit was refused");
        }
        Damage::Cut => {
            ensure!(refused_at(segment, byte) || goes_on, "a cut is not refused where it is: {outcome:?}");
            run.tally("a cut segment was refused");
        }
        Damage::Lost => {
            let refused = matches!(outcome, Some(OpenError::Corrupt { .. } | OpenError::JournalMissing { .. }));
            ensure!(refused, "a lost segment is not refused: {outcome:?}");
            run.tally("a lost segment was refused");
        }
        Damage::Mark => {
            ensure!(outcome.is_none(), "the mark is missed: {outcome:?}");
            return Ok(());
        }
    }
    ensure!(run.disk.with_image(|image| *image == damaged), "a start that was refused has changed something");
    run.disk.with_image(|image| *image = intact);
    Ok(())
}

fn inflict(image: &mut Image, damage: Damage, segment: &Path, byte: usize, bit: u8) {
    let mark = segment.with_file_name("durable");
    let mut change = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        image.content(path).expect("an open journal has it").damage(change);
    };
    match damage {
        Damage::FlippedBit => change(segment, &|bytes| bytes[byte] ^= bit),
        Damage::Cut => change(segment, &|bytes| bytes.truncate(byte)),
        Damage::Lost => image.lose_file(segment),
        Damage::Mark => change(&mark, &|bytes| bytes[byte % 20] ^= bit),
    }
}
