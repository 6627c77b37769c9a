//! The log by itself: no gap, no repeat, and a chain that holds.

use aws_lc_rs::digest::{Context, SHA256};

use super::{End, Kind, Problem};
use crate::fleet::database::table::{Chain, Log};

/// The place of a store without events.
pub(super) fn start(store: [u8; 16]) -> End {
    End { store, revision: 0, chain: hash(&[&store]) }
}

/// The chain after an entry: the first 16 bytes of SHA-256 over the chain before it, its revision and its body.
pub fn next(before: Chain, revision: u64, body: &[u8]) -> Chain {
    hash(&[&before, &revision.to_be_bytes(), body])
}

/// Checks the entries after `before`, and returns the place of the last one.
pub(super) fn check(before: End, log: &Log, problems: &mut Vec<Problem>) -> End {
    let mut end = before;
    if log.store != before.store {
        problems.push(Problem::new(Kind::Chain, "the database has the log of another store"));
    }
    for entry in &log.entries {
        let revision = entry.revision;
        if revision != end.revision + 1 {
            problems.push(Problem::new(Kind::Gap, format!("revision {revision} follows {}", end.revision)));
        }
        if entry.chain != next(end.chain, revision, &entry.body) {
            let text = format!("revision {revision} does not continue the chain of {}", end.revision);
            problems.push(Problem::new(Kind::Chain, text));
        }
        end = End { revision, chain: entry.chain, ..before };
    }
    if log.end != end.revision {
        let text = format!("the log ends at {}, and its head row says {}", end.revision, log.end);
        problems.push(Problem::new(Kind::Gap, text));
    } else if log.chain != end.chain {
        problems.push(Problem::new(Kind::Chain, format!("the head row has another chain than {}", end.revision)));
    }
    end
}

fn hash(parts: &[&[u8]]) -> Chain {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    *context.finish().as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}
