//! The outcome that the server must have for a damage, by the documented format of a data folder. Pure.

use std::path::Path;

use super::inflict::{Change, Damage};
use crate::disk::segment::frame_at;

/// The allowed outcomes of a start.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    /// Whether the server may serve, with exactly the same contents as before.
    pub may_serve: bool,
    /// The places that a refusal may name. Empty if the server must not refuse.
    pub refusals: Vec<Place>,
    /// What `verify` says of the folder that was served.
    pub verified: Verified,
}

/// The outcome of `verify`.
#[derive(Debug, PartialEq, Eq)]
pub enum Verified {
    /// All is in order.
    Whole,
    /// All is in order, or a base is named that the server has not made again yet.
    WholeOrBase,
    /// One of these places is named: no start looks at them.
    Refused(Vec<Place>),
}

/// A place that a refusal names.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// The offset of the byte; `None` for a refusal without one, or with any.
    pub offset: Option<usize>,
}

impl Expected {
    /// The allowed outcomes for a folder with this damage.
    ///
    /// * `segments`: the names of all segments before the damage, in order.
    /// * `bases`: the names of all bases before the damage, in order.
    /// * `acknowledged`: the length of the acknowledged part of the last segment, in bytes.
    pub fn after(damage: &Damage, segments: &[String], bases: &[String], acknowledged: u64) -> Self {
        let mut expected = Self { may_serve: true, refusals: Vec::new(), verified: Verified::Whole };
        let is_changed = |name: &str| damage.changes.iter().any(|change| self::name(&change.file) == name);
        // A start does not look at the segments up to the newest base.
        let newest = bases.iter().rev().find(|base| !is_changed(base));
        let is_unchecked = |name: &str| newest.is_some_and(|newest| stem(name) <= stem(newest));
        for change in &damage.changes {
            let name = name(&change.file);
            if change.file.ends_with("identity") {
                expected.may_serve &= change.after.is_some();
                expected.refuse(&name, None);
                // A wrong store id shows in the first segment, which then belongs to another store.
                expected.refuse(&segments[0], Some(0));
            } else if name.ends_with(".log") && is_unchecked(&name) && (name != segments[0] || change.after.is_some()) {
                // That the first segment is missing shows at a start, too.
                expected.old_segment(change, &name, segments);
            } else if name.ends_with(".log") {
                expected.segment(change, &name, segments, acknowledged);
            } else if name.ends_with(".base") && expected.verified == Verified::Whole {
                expected.verified = Verified::WholeOrBase;
            }
            // The server can rebuild all other files: the mark, the lock, sled's files.
        }
        let last = segments.last().filter(|last| {
            let changed = |name: &str| damage.changes.iter().any(|change| change.file.ends_with(name));
            changed("durable") && changed(last)
        });
        if let Some(last) = last {
            // Without the mark, the projection may prove how far the last segment extended.
            expected.refuse(&format!("{last} ends"), None);
        }
        expected
    }

    fn segment(&mut self, change: &Change, name: &str, segments: &[String], acknowledged: u64) {
        let position = segments.iter().position(|segment| segment == name);
        let (Some(before), Some(after), Some(position)) = (&change.before, &change.after, position) else {
            // A missing segment shows as a gap in the journal, or as a journal that ends too early.
            self.may_serve = false;
            self.refuse("journal", None);
            return;
        };
        let last = position + 1 == segments.len();
        let first = before.iter().zip(after).position(|(a, b)| a != b).unwrap_or(before.len().min(after.len()));
        if last && first as u64 >= acknowledged {
            return;
        }
        self.may_serve = false;
        let start = frame_at(before, first);
        self.refuse(name, Some(start));
        if start == after.len() && !last {
            // The cut is between two frames: the next segment does not continue this one.
            self.refuse(&segments[position + 1], Some(0));
        }
    }

    /// A segment before the newest base: its damage shows when all is checked.
    fn old_segment(&mut self, change: &Change, name: &str, segments: &[String]) {
        let mut whole = Self { may_serve: true, refusals: Vec::new(), verified: Verified::Whole };
        whole.segment(change, name, segments, u64::MAX);
        if !whole.may_serve {
            self.verified = Verified::Refused(whole.refusals);
        }
    }

    fn refuse(&mut self, file: &str, offset: Option<usize>) {
        self.refusals.push(Place { file: file.to_owned(), offset });
    }
}

impl Place {
    /// Whether a refusal names this place.
    pub fn is_named_in(&self, line: &str) -> bool {
        let offset = self.offset.map(|offset| format!(" at byte {offset}: ")).unwrap_or_default();
        line.contains(&format!("{}{offset}", self.file))
    }
}

/// The revision in a file's name, in 20 digits.
fn stem(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::segment::tests::segment;

    #[test]
    fn damage_to_acknowledged_bytes_is_refused_and_damage_to_rebuildable_files_is_not() {
        let flipped = |byte: usize| {
            let mut bytes = segment();
            bytes[byte] ^= 1;
            Some(bytes)
        };
        let cut = |length: usize| Some(segment()[..length].to_vec());
        // file | its contents after the damage | may serve | places that a refusal may name
        let table = [
            ("journal/1.log", flipped(80), false, vec![("1.log", Some(74))]),
            ("journal/1.log", cut(74), false, vec![("1.log", Some(74)), ("2.log", Some(0))]),
            ("journal/1.log", cut(80), false, vec![("1.log", Some(74))]),
            ("journal/1.log", None, false, vec![("journal", None)]),
            ("journal/2.log", flipped(80), false, vec![("2.log", Some(74))]),
            ("journal/2.log", flipped(106), true, vec![]),
            ("journal/2.log", cut(106), true, vec![]),
            ("journal/2.log", cut(105), false, vec![("2.log", Some(74))]),
            ("journal/durable", None, true, vec![]),
            ("projection/db", flipped(0), true, vec![]),
            ("identity", flipped(0), true, vec![("identity", None), ("1.log", Some(0))]),
            ("identity", None, false, vec![("identity", None), ("1.log", Some(0))]),
        ];
        for (file, after, may_serve, places) in table {
            let what = format!("{file} with {:?} bytes", after.as_ref().map(Vec::len));
            let changes = vec![Change { file: file.into(), before: Some(segment()), after }];
            let damage = Damage { what: what.clone(), changes };
            let expected = Expected::after(&damage, &["1.log".to_owned(), "2.log".to_owned()], &[], 106);
            let place = |(file, offset): (&str, Option<usize>)| Place { file: file.to_owned(), offset };
            let refusals = places.into_iter().map(place).collect();
            assert_eq!(expected, Expected { may_serve, refusals, verified: Verified::Whole }, "{what}");
        }
    }

    #[test]
    fn a_last_segment_swapped_with_the_mark_may_end_before_the_projection() {
        let change = |file: &str| Change { file: file.into(), before: Some(segment()), after: Some(vec![0; 20]) };
        let changes = vec![change("journal/durable"), change("journal/2.log")];
        let damage = Damage { what: "swapped".to_owned(), changes };
        let expected = Expected::after(&damage, &["1.log".to_owned(), "2.log".to_owned()], &[], 438);
        let line = "journal/2.log ends at byte 32 with revision 5, but the projection knows revision 9";
        assert!(!expected.may_serve && expected.refusals.iter().any(|place| place.is_named_in(line)));
    }

    #[test]
    fn what_a_base_has_is_checked_by_verify_alone() {
        let names = |end: &str, numbers: &[u32]| numbers.iter().map(|n| format!("{n}.{end}")).collect::<Vec<_>>();
        let (segments, bases) = (names("log", &[1, 3, 5]), names("base", &[2, 4]));
        let mut flipped = segment();
        flipped[80] ^= 1;
        let refused = |file: &str, offset| Verified::Refused(vec![Place { file: file.to_owned(), offset }]);
        // the files with other contents, or without | may serve | what verify says
        let table = [
            (vec![("journal/1.log", true)], true, refused("1.log", Some(74))),
            (vec![("journal/3.log", true)], true, refused("3.log", Some(74))),
            (vec![("journal/3.log", false)], true, refused("journal", None)),
            (vec![("journal/1.log", false)], false, Verified::Whole),
            (vec![("journal/5.log", true)], false, Verified::Whole),
            (vec![("journal/4.base", true)], true, Verified::WholeOrBase),
            (vec![("journal/2.base", false)], true, Verified::WholeOrBase),
            (vec![("journal/4.base", true), ("journal/3.log", true)], false, Verified::WholeOrBase),
        ];
        for (files, may_serve, verified) in table {
            let what = format!("{files:?}");
            let change = |(file, is_there): (&str, bool)| Change {
                file: file.into(),
                before: Some(segment()),
                after: is_there.then(|| flipped.clone()),
            };
            let damage = Damage { what: what.clone(), changes: files.into_iter().map(change).collect() };
            let expected = Expected::after(&damage, &segments, &bases, 106);
            assert_eq!((expected.may_serve, expected.verified), (may_serve, verified), "{what}");
        }
    }
}
