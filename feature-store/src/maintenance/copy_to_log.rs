//! Copies a history into the log of a fleet, with its base if its oldest events were dropped.

use feature_core::Event;
use uuid::Uuid;

use crate::engine::{Append, BaseRecord, Beat, Engine, EngineError, Entry, Head, Position};
use crate::error::OpenError;
use crate::format::encoding::encode_event;
use crate::journal::{BaseReader, History};

/// The most entries that are added at once.
const GROUP_ENTRIES: usize = 4_096;

/// The bytes of entries from which on a group takes no further one.
const GROUP_BYTES: usize = 1024 * 1024;

/// Why a history was not copied, or only a part of it.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] OpenError),
    /// The database holds another store.
    #[error(
        "the database holds the store {found}, and this one is {expected}: choose an empty database, or drop its schema \
         feature_service if nothing in it is needed"
    )]
    OtherStore {
        /// The id of the store in the database.
        found: Uuid,
        /// The id of the store to copy.
        expected: Uuid,
    },
    /// The database has events that the history does not have.
    #[error(
        "the database has an event of its own at revision {revision}: stop its servers, and choose an empty database, or \
         drop its schema feature_service if nothing in it is needed"
    )]
    OtherHistory {
        /// The revision.
        revision: u64,
    },
    /// The database was lost on the way.
    #[error("the database was lost after revision {revision} ({reason}): run the same command again, and it goes on")]
    Lost {
        /// The last event that is known to be copied.
        revision: u64,
        /// What the connection said.
        reason: String,
    },
}

/// Adds the events of a history to a log that is empty, or has the first of them from an attempt that was interrupted.
/// Returns the last revision.
///
/// `progress` gets the number of events copied, and of all.
///
/// # Errors
/// [`CopyError`]. Events that were added stay.
pub fn copy_to_log(
    history: &History,
    engine: &dyn Engine,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, CopyError> {
    let expected = history.store();
    let lost = |revision| move |EngineError { reason }| CopyError::Lost { revision, reason };
    // A write proves that this database is the newest.
    let Beat { head, .. } = engine.beat(Uuid::nil(), Position::start(expected)).map_err(lost(0))?;
    if head.store != expected {
        return Err(CopyError::OtherStore { found: head.store, expected });
    }
    let (before, end) = match history.oldest() {
        1 => (Position::start(expected), head.end),
        oldest => copy_base(history, oldest - 1, engine)?,
    };
    let mut copy = Copy { engine, end, before, group: Vec::new(), bytes: 0 };
    history.for_each(|event, _| {
        copy.add(event)?;
        progress(event.revision, history.revision());
        Ok::<_, CopyError>(())
    })?;
    copy.send()?;
    if copy.before == copy.end { Ok(copy.end.revision) } else { Err(copy.other_history()) }
}

/// Begins the log with the base of this revision, unless an earlier attempt has done it. Returns the position of the
/// base and the end of the log.
fn copy_base(history: &History, revision: u64, engine: &dyn Engine) -> Result<(Position, Position), CopyError> {
    let lost = |EngineError { reason }| CopyError::Lost { revision: 0, reason };
    // The chain of all events cannot be known any more. This one is the same in each attempt.
    let mut at = Position { revision, ..Position::start(history.store()) };
    for_each_group(history.base(revision)?, |records, _| {
        for record in records {
            at.chain = at.chain.with(revision, &record.key).with(revision, &record.body);
        }
        Ok(())
    })?;
    for_each_group(history.base(revision)?, |records, is_last| engine.begin(at, records, is_last).map_err(lost))?;
    let Head { end, kept_from, folded, .. } = engine.head().map_err(lost)?;
    if kept_from != revision + 1 || folded < revision || (end.revision == revision && end != at) {
        return Err(CopyError::OtherHistory { revision: end.revision });
    }
    Ok((at, end))
}

/// Hands over the records of a base in groups, each with whether it is the last one.
fn for_each_group(
    mut base: BaseReader,
    mut take: impl FnMut(&[BaseRecord], bool) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let (mut group, mut bytes) = (Vec::new(), 0);
    while let Some(record) = base.next()? {
        if group.len() >= GROUP_ENTRIES || bytes >= GROUP_BYTES {
            take(&group, false)?;
            group.clear();
            bytes = 0;
        }
        bytes += record.body.len();
        group.push(record);
    }
    take(&group, true)
}

/// A copy under way.
struct Copy<'a> {
    engine: &'a dyn Engine,
    /// The end of the log.
    end: Position,
    /// The last event so far.
    before: Position,
    /// Entries that follow the log's end.
    group: Vec<Entry>,
    bytes: usize,
}

impl Copy<'_> {
    fn add(&mut self, event: &Event) -> Result<(), CopyError> {
        let (revision, body) = (event.revision, encode_event(event));
        let position = Position { revision, chain: self.before.chain.with(revision, &body) };
        self.before = position;
        if revision < self.end.revision {
            return Ok(());
        }
        if revision == self.end.revision {
            return if position == self.end { Ok(()) } else { Err(self.other_history()) };
        }
        self.bytes += body.len();
        self.group.push(Entry { position, body });
        let is_full = self.group.len() >= GROUP_ENTRIES || self.bytes >= GROUP_BYTES;
        // A log ends where a batch ends, at any time.
        if is_full && !event.continues { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), CopyError> {
        let Some(last) = self.group.last().map(|entry| entry.position) else { return Ok(()) };
        let lost = |reason| CopyError::Lost { revision: self.end.revision, reason };
        match self.engine.append(self.end, &self.group).map_err(|error| lost(error.reason))? {
            Append::Added => {}
            Append::Overtaken => return Err(self.other_history()),
            Append::Unknown { reason } => return Err(lost(reason)),
        }
        self.end = last;
        self.group.clear();
        self.bytes = 0;
        Ok(())
    }

    fn other_history(&self) -> CopyError {
        CopyError::OtherHistory { revision: self.end.revision }
    }
}
