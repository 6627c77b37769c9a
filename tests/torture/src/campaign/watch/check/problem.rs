//! What a checker can find.

use std::fmt;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub kind: Kind,
    pub text: String,
}

/// The kind of a broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A stream left out a change.
    Gap,
    /// A stream showed a change twice.
    Repeat,
    /// A stream showed a change after a newer one.
    Reorder,
    /// An acknowledged write is not there.
    Lost,
    /// A part of a batch is not there, or lies apart.
    Half,
    /// A change that no client asked for, or that was refused.
    Unasked,
    /// A stream went back to an older state.
    Back,
    /// A state has values of changes after its revision, too. While scopes are written, a server may show such a state,
    /// which has everything up to its revision, and corrects the revision with the next message.
    Ahead,
    /// A change or a value is not what it has to be.
    Wrong,
    /// A stream went on, or ended, in a way that the documentation does not allow.
    End,
}

impl Kind {
    /// Makes a problem of this kind.
    pub fn problem(self, text: String) -> Problem {
        Problem { kind: self, text }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}
