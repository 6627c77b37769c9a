//! The list of faults: every call of the server on its files, failing once or permanently. Nothing runs here.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::disk::strace::{CALLS, Call, Traced, most_of_a_thread};
use crate::server::Binary;

/// A fault for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A failing call.
    Call {
        /// The kind of call.
        call: Call,
        /// The error that it returns.
        error: &'static str,
        /// The number of the call in its thread, counted from 1.
        at: u32,
        /// Whether all later calls fail, too.
        onwards: bool,
    },
    /// No file may grow beyond this many blocks of 512 bytes. One write is cut short there, the next fails.
    FileSize(u32),
}

/// The highest number of a call that fails.
const LAST: u32 = 100;

/// Every fault that can occur, given the calls of a run without faults.
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
    /// A server with this fault in these files, traced into `log`.
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
