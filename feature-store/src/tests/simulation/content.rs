//! The content of a file on the simulated disk: what is seen, and what would survive a power cut.

use fastrand::Rng;

/// What is torn apart in a power cut, in bytes. Smaller than on real disks, so that it concerns single frames too.
const BLOCK: usize = 16;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// The changes since the last sync, in their order.
    pending: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl Content {
    pub(super) fn seen(&self) -> &[u8] {
        &self.seen
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(Change::Write(offset, bytes.to_vec()));
    }

    pub(super) fn resize(&mut self, length: usize) {
        self.change(Change::Resize(length));
    }

    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.seen);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.pending.drain(..).for_each(|change| change.apply(&mut self.durable));
    }

    /// A sync that fails: what is pending is taken for written, and may be or not. It is still seen.
    pub(super) fn fail_to_sync(&mut self, rng: &mut Rng) {
        self.pending.drain(..).for_each(|change| change.apply_some(&mut self.durable, rng));
    }

    pub(super) fn lose_power(&mut self, rng: &mut Rng) {
        self.fail_to_sync(rng);
        self.seen.clone_from(&self.durable);
    }

    /// Changes what is seen and what is durable, as a failing disk might.
    pub(super) fn damage(&mut self, damage: impl Fn(&mut Vec<u8>)) {
        self.sync();
        damage(&mut self.durable);
        self.seen.clone_from(&self.durable);
    }
}

impl Change {
    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Change::Resize(length) => bytes.resize(length, 0),
            Change::Write(offset, written) => {
                let end = offset + written.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[offset..end].copy_from_slice(&written);
            }
        }
    }

    /// Applies all of the change, nothing, or any parts of it.
    fn apply_some(self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        match (self, rng.u8(..4)) {
            (_, 0) => {}
            (Change::Write(offset, mut written), 1) => {
                written.truncate(rng.usize(..=written.len()));
                Change::Write(offset, written).apply(bytes);
            }
            (Change::Write(offset, written), 2) => {
                for (number, block) in written.chunks(BLOCK).enumerate() {
                    if rng.bool() {
                        Change::Write(offset + number * BLOCK, block.to_vec()).apply(bytes);
                    }
                }
            }
            (whole, _) => whole.apply(bytes),
        }
    }
}
