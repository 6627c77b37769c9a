//! The chains of the last positions of a view, by which a client's position is recognised as one of this history.

use std::collections::VecDeque;

use crate::engine::Position;

/// The first bytes of a chain, of which clients have four: two histories agree in them by accident once in four
/// billion times.
pub const CHAIN_PREFIX: usize = 4;

/// So many positions are remembered: those of a minute with a thousand events a second.
const POSITIONS: usize = 65_536;

/// The chains of consecutive positions.
#[derive(Debug)]
pub(super) struct RecentChains {
    /// The revision of the first one.
    first: u64,
    chains: VecDeque<[u8; CHAIN_PREFIX]>,
}

impl RecentChains {
    /// Begins with this position.
    pub(super) fn after(position: Position) -> Self {
        Self { first: position.revision, chains: VecDeque::from([prefix(position)]) }
    }

    /// Adds the next position.
    pub(super) fn push(&mut self, position: Position) {
        if self.chains.len() == POSITIONS {
            self.chains.pop_front();
            self.first += 1;
        }
        self.chains.push_back(prefix(position));
    }

    /// The first bytes of the chain of a revision, if it is one of these.
    pub(super) fn chain_of(&self, revision: u64) -> Option<[u8; CHAIN_PREFIX]> {
        let index = revision.checked_sub(self.first)?;
        self.chains.get(usize::try_from(index).ok()?).copied()
    }
}

fn prefix(position: Position) -> [u8; CHAIN_PREFIX] {
    *position.chain.as_bytes().first_chunk().expect("a chain has 16 bytes")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::engine::Chain;

    #[test]
    fn the_chains_of_the_last_positions_are_known_by_their_revisions() {
        let position = |revision: u64| Position { revision, chain: Chain::start(Uuid::from_u128(revision.into())) };
        let mut recent = RecentChains::after(position(7));
        let last = 7 + POSITIONS as u64 + 10;
        (8..=last).for_each(|revision| recent.push(position(revision)));
        // revision | known
        for (revision, known) in [(0, false), (7, false), (17, false), (18, true), (last, true), (last + 1, false)] {
            assert_eq!(recent.chain_of(revision), known.then(|| prefix(position(revision))), "{revision}");
        }
    }
}
