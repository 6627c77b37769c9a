//! Damage to what was durable, at rest: it must be refused where it is, and the refusal changes nothing.

use std::path::{Path, PathBuf};

use super::image::Image;
use super::process::Process;
use super::run::{Kept, Run, ensure};
use crate::error::OpenError;

/// The bytes of a seal's frame.
const SEAL_BYTES: usize = 32;

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
    let of_kind = |kind: &str| -> Vec<PathBuf> {
        intact.files().filter(|path| path.extension().is_some_and(|end| end == kind)).map(Path::to_owned).collect()
    };
    let (segments, bases) = (of_kind("log"), of_kind("base"));
    if let Some(newest) = bases.last().filter(|_| !run.base_is_damaged && run.rng.bool()) {
        // On a full disk, old events may have been dropped before there was a newer base.
        let is_needed = bases.len() == 1 && revision_of(&segments[0]) == revision_of(newest) + 1;
        return of_base(run, newest, is_needed, &intact);
    }
    // A start does not look at what the newest base has.
    let is_unchecked = |segment: &Path| bases.last().is_some_and(|newest| segment.file_stem() <= newest.file_stem());
    let position = run.rng.usize(..segments.len());
    if is_unchecked(&segments[position]) {
        if run.base_is_damaged {
            // Both at once may be more than can be made up for.
            return Ok(());
        }
        return of_old_segment(run, &segments[position], &intact);
    }
    let (segment, next) = (&segments[position], segments.get(position + 1));
    // What happens to the zeros behind the last frame does not matter.
    let end = |bytes: &[u8]| bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let length = run.disk.with_image(|image| image.content(segment).map_or(0, |content| end(content.seen())));
    let file_bytes = run.disk.with_image(|image| image.content(segment).map_or(0, |content| content.seen().len()));
    let (byte, bit) = (run.rng.usize(..length), 1 << run.rng.u8(..8));
    let damage = [Damage::FlippedBit, Damage::Cut, Damage::Lost, Damage::Mark][run.rng.usize(..4)];
    run.note(format!("{damage:?} of {} at byte {byte}", segment.display()));
    run.disk.with_image(|image| inflict(image, damage, segment, byte, bit));
    let damaged = run.disk.with_image(|image| image.clone());

    let outcome = Process::open(&run.disk, &run.projections, run.sizes).err();
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
            // The seal of a complete segment may be lost: the one that follows shows where it ends.
            if next.is_some() && outcome.is_none() && byte + SEAL_BYTES == file_bytes {
                run.disk.with_image(|image| *image = intact);
                return Ok(());
            }
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

fn revision_of(file: &Path) -> u64 {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    stem.and_then(|stem| stem.parse().ok()).expect("such files have revisions as names")
}

/// A base is damaged or lost: an older one or the events make up for it.
fn of_base(run: &mut Run, base: &Path, is_needed: bool, intact: &Image) -> Kept {
    let damage = [Damage::FlippedBit, Damage::Cut, Damage::Lost][run.rng.usize(..3)];
    let length = run.disk.with_image(|image| image.content(base).map_or(0, |content| content.seen().len()));
    let (byte, bit) = (run.rng.usize(..length), 1 << run.rng.u8(..8));
    run.note(format!("{damage:?} of {} at byte {byte}", base.display()));
    run.disk.with_image(|image| inflict(image, damage, base, byte, bit));
    if !is_needed && run.rng.bool() {
        // Made again by a later checkpoint.
        run.tally("a damaged base was left");
        run.base_is_damaged = true;
        return Ok(());
    }
    let outcome = Process::open(&run.disk, &run.projections, run.sizes).err();
    // With damage between its ends, it is missed only by a new projection.
    let is_refused = is_needed && matches!(outcome, Some(OpenError::BaseDamaged { .. }));
    ensure!(outcome.is_none() || is_refused, "the base is missed: {outcome:?}");
    run.tally("a damaged base was passed over");
    run.disk.with_image(|image| *image = intact.clone());
    Ok(())
}

/// A segment is damaged that a start does not look at: a whole check refuses it.
fn of_old_segment(run: &mut Run, segment: &Path, intact: &Image) -> Kept {
    let end = run.disk.with_image(|image| image.content(segment).map_or(0, |content| content.seen().len()));
    let (byte, bit) = (run.rng.usize(..end), 1 << run.rng.u8(..8));
    run.note(format!("a flipped bit of {} at byte {byte}, which no start reads", segment.display()));
    run.disk.with_image(|image| inflict(image, Damage::FlippedBit, segment, byte, bit));
    let outcome = Process::open(&run.disk, &run.projections, run.sizes).err();
    let is_at = |error: &OpenError| matches!(error, OpenError::Corrupt { segment: at, .. } if at == segment);
    // A projection that ended before the base needs the events in between.
    ensure!(outcome.as_ref().is_none_or(is_at), "a start fails elsewhere: {outcome:?}");
    run.tally_if("damage to an old segment was not in the way of a start", outcome.is_none());
    let whole = Process::check_whole(&run.disk);
    let refused = matches!(&whole, Err(OpenError::Corrupt { segment: at, offset, .. }) if at == segment && *offset <= byte as u64);
    ensure!(refused, "a whole check does not refuse it where it is: {whole:?}");
    run.tally("damage to an old segment was found by a whole check");
    run.disk.with_image(|image| *image = intact.clone());
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
