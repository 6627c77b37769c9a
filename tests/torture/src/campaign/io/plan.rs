//! Which faults there are: every call that the server makes on its files, failing once or from then on. Nothing runs here.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::disk::strace::{CALLS, Call, Traced, most_of_a_thread};
use crate::server::Binary;

/// A fault that the server meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A call fails.
    Call {
        /// Which.
        call: Call,
        /// With what.
        error: &'static str,
        /// The how manieth of a thread.
        at: u32,
        /// And all calls that follow.
        onwards: bool,
    },
    /// No file may grow beyond this many blocks of 512 bytes: a write is cut short there, and the next fails.
    FileSize(u32),
}

/// The last call that a fault is put into.
const LAST: u32 = 100;

/// Every fault that can be met, given the calls of a run without any.
pub fn faults(calls: &[Traced]) -> Vec<Fault> {
    let mut faults: Vec<_> = (1..=LAST).map(|step| Fault::FileSize(step * step / 4)).collect();
    for call in CALLS {
        let most = most_of_a_thread(calls.iter().filter(|traced| traced.call == call));
        let errors =
            if call.name.ends_with("read") || call.name == "pread64" { &["EIO"][..] } else { &["EIO", "ENOSPC"] };
        for at in 1..=most.min(LAST) {
            for &error in errors {
                faults.extend([false, true].map(|onwards| Fault::Call { call, error, at, onwards }));
            }
        }
    }
    faults
}

impl Fault {
    /// A server that meets this fault in these files, traced into `log`.
    pub fn put_into(&self, binary: &Binary, log: &Path, files: &[PathBuf]) -> Binary {
        match self {
            Self::Call { call, error, at, onwards } => {
                let plus = if *onwards { "+" } else { "" };
                binary.traced(log, &[*call], Some(&format!("error={error}:when={at}{plus}")), files)
            }
            Self::FileSize(blocks) => {
                // The signal would end the server before it sees the error.
                let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
                binary.wrapped(["sh", "-c", &script, "sh"].map(Into::into).into())
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { call, error, at, onwards } => {
                let onwards = if *onwards { " and all that follow" } else { "" };
                write!(f, "{error} at call {at} of {}{onwards}", call.name)
            }
            Self::FileSize(blocks) => write!(f, "files of at most {} bytes", blocks * 512),
        }
    }
}
