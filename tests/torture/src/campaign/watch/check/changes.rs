//! Checks a stream of changes: it shows each change of its selection once, in order, without a gap.

use std::collections::BTreeSet;

use super::problem::{Kind, Problem};
use crate::campaign::watch::record::{ChangesRecord, ChangesSeen, Digest, End, Era, Kept, Start};

/// Checks a stream with all its continuations.
///
/// `finished`: it has seen everything up to the end of the last era.
pub fn check_changes(eras: &[Era], record: &ChangesRecord, finished: bool) -> Vec<Problem> {
    let mut check = Check::new(eras, record);
    record.seen.iter().for_each(|seen| check.see(seen));
    if finished {
        let newest = check.newest();
        check.pass(newest);
        check.position = check.position.max(newest);
    }
    check.settle();
    check.problems
}

struct Check<'a> {
    eras: &'a [Era],
    record: &'a ChangesRecord,
    era: usize,
    /// Everything of the selection up to this revision was shown, but for what is missing.
    position: u64,
    /// What was shown since the stream began without a token.
    shown: BTreeSet<u64>,
    /// What was left out so far.
    missing: BTreeSet<u64>,
    /// Where the stream was when the server said that history was taken back.
    taken_back: Option<u64>,
    /// The oldest change that was kept when the server said that the next one is not.
    compacted: Option<u64>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn new(eras: &'a [Era], record: &'a ChangesRecord) -> Self {
        let (shown, missing, problems) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        Self { eras, record, era: 0, position: 0, shown, missing, taken_back: None, compacted: None, problems }
    }

    fn see(&mut self, seen: &ChangesSeen) {
        match seen {
            ChangesSeen::Began { era, start } => self.begin(*era, *start),
            // The token may be an older one.
            ChangesSeen::Refused { start: Start::Token(revision) } => self.go_back(*revision),
            ChangesSeen::Refused { start: Start::After(_) } => {}
            ChangesSeen::Changes { revision, changes } => {
                changes.iter().for_each(|(revision, digest)| self.change(*revision, *digest));
                self.reach(*revision);
            }
            ChangesSeen::Nothing { revision } => self.reach(*revision),
            ChangesSeen::Ended(end) => self.end(end),
            ChangesSeen::Listed { kept, changes } => self.list(kept, changes),
        }
    }

    fn begin(&mut self, era: usize, start: Start) {
        self.settle();
        let base = self.base_since(era);
        let (taken_back, compacted) = (self.taken_back.take(), self.compacted.take());
        match start {
            Start::Token(revision) => {
                if revision > base {
                    self.tell(Kind::Back, format!("it went on from {revision}, and was taken back to {base}"));
                }
                self.go_back(revision);
            }
            Start::After(revision) => {
                if let Some(before) = taken_back.filter(|before| *before <= base && !self.record.roams) {
                    self.tell(Kind::End, format!("{before} was said to be taken back, and is there"));
                }
                // What lies between was dropped, and nothing else.
                let skips = compacted.is_some_and(|oldest| oldest == revision + 1 && revision > self.position);
                if revision != self.position && !skips {
                    self.tell(Kind::End, format!("it began after {revision} at {}: {compacted:?}", self.position));
                }
                self.shown.clear();
                self.position = revision;
            }
        }
        self.era = era;
    }

    fn go_back(&mut self, revision: u64) {
        self.shown.retain(|shown| *shown <= revision);
        self.position = revision;
    }

    fn change(&mut self, revision: u64, digest: Digest) {
        if revision <= self.position {
            if self.missing.remove(&revision) {
                self.tell(Kind::Reorder, format!("{revision} came after {}", self.position));
            } else {
                self.tell(Kind::Repeat, format!("{revision} came again after {}", self.position));
            }
        } else {
            self.pass(revision - 1);
            self.position = revision;
        }
        if !self.shown.insert(revision) && revision == self.position {
            self.tell(Kind::Repeat, format!("{revision} came twice"));
        }
        self.compare(revision, digest);
    }

    fn compare(&mut self, revision: u64, digest: Digest) {
        match self.eras[self.era].events.get(&revision) {
            Some(event) if event.digest == digest && self.record.selection.includes(event) => {}
            Some(event) if event.digest == digest => {
                self.tell(Kind::Wrong, format!("{revision} is of {}", event.resource));
            }
            Some(_) => self.tell(Kind::Wrong, format!("{revision} is another change")),
            None => self.tell(Kind::Wrong, format!("{revision} does not exist")),
        }
    }

    /// The stream says that it has shown everything up to a revision.
    fn reach(&mut self, revision: u64) {
        if revision < self.position {
            self.tell(Kind::Back, format!("it is at {revision} after {}", self.position));
        } else {
            self.pass(revision);
            self.position = revision;
        }
    }

    /// Notes what is left out between the position and a revision.
    fn pass(&mut self, revision: u64) {
        let between = self.eras[self.era].events.range(self.position + 1..).take_while(|(it, _)| **it <= revision);
        let left_out = between.filter(|(_, event)| self.record.selection.includes(event)).map(|(it, _)| *it);
        self.missing.extend(left_out);
    }

    fn end(&mut self, end: &End) {
        match end {
            End::TakenBack => {
                self.settle();
                self.shown.clear();
                // Without a token, the client asks for the oldest change that was there.
                let asked = self.compacted.take().map_or(self.position, |oldest| oldest - 1);
                self.taken_back = self.taken_back.max(Some(asked).filter(|asked| *asked > 0));
                self.position = 0;
            }
            End::Compacted { oldest, newest } => {
                if *oldest > newest + 1 {
                    self.tell(Kind::End, format!("{oldest} is the oldest, and {newest} the newest"));
                }
                self.compacted = Some(*oldest);
            }
            End::Other(text) => self.tell(Kind::End, text.clone()),
            End::Broken | End::Closing | End::TooSlow => {}
        }
    }

    /// A list has what the stream has to show, from the oldest change that is kept.
    fn list(&mut self, kept: &Kept, changes: &[(u64, Digest)]) {
        let Kept { oldest: (before, after), newest } = *kept;
        let of_era = self.eras[self.era].events.range(before..).take_while(|(it, _)| **it <= newest);
        let selected = of_era.filter(|(_, event)| self.record.selection.includes(event));
        let expected: Vec<_> = selected.map(|(revision, event)| (*revision, event.digest)).collect();
        // Some may have been dropped meanwhile.
        let dropped = expected.len().saturating_sub(changes.len());
        let is_right = expected[dropped..] == *changes && expected[..dropped].iter().all(|(it, _)| *it < after);
        if !is_right {
            let differs = expected[dropped..].iter().zip(changes).find(|(expected, listed)| expected != listed);
            let lengths = (expected.len(), changes.len());
            self.tell(Kind::Wrong, format!("a list of {kept:?} differs: {lengths:?} changes, {differs:?}"));
        }
    }

    /// What is still missing was left out.
    fn settle(&mut self) {
        for revision in std::mem::take(&mut self.missing) {
            self.tell(Kind::Gap, format!("{revision} was left out"));
        }
    }

    /// The revision to which history was taken back from the stream's era to another one.
    fn base_since(&self, era: usize) -> u64 {
        let eras = self.eras.iter().take(era + 1).skip(self.era + 1);
        eras.map(|era| era.base).min().unwrap_or(u64::MAX)
    }

    fn newest(&self) -> u64 {
        self.eras[self.era].events.keys().last().copied().unwrap_or_default()
    }

    fn tell(&mut self, kind: Kind, text: String) {
        self.problems.push(kind.problem(format!("{}: {text}", self.record.name)));
    }
}
