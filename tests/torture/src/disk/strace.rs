//! Faults that strace injects between the server and its files: starts the server with a fault, and reads the trace.
//! Only calls on named files count; sockets and standard streams are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::disk::folder;
use crate::server::Binary;

/// A system call on files, with its names on the architectures of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Its name in this program.
    pub name: &'static str,
    names: &'static str,
}

/// All calls that can fail.
pub const CALLS: [Call; 11] = [
    Call { name: "openat", names: "?open,?openat" },
    Call { name: "read", names: "read" },
    Call { name: "pread64", names: "pread64" },
    Call { name: "write", names: "write" },
    Call { name: "pwrite64", names: "pwrite64" },
    Call { name: "fsync", names: "fsync" },
    Call { name: "fdatasync", names: "fdatasync" },
    Call { name: "sync_file_range", names: "?sync_file_range,?sync_file_range2" },
    Call { name: "rename", names: "?rename,?renameat,?renameat2" },
    Call { name: "ftruncate", names: "ftruncate" },
    Call { name: "statfs", names: "statfs" },
];

/// A call in a trace.
#[derive(Debug, PartialEq, Eq)]
pub struct Traced {
    /// The thread that made the call.
    pub thread: String,
    /// The call.
    pub call: Call,
    /// The text of the call in the trace.
    pub text: String,
}

/// The entry of [`CALLS`] with this name.
pub fn call(name: &str) -> Call {
    CALLS.into_iter().find(|call| call.name == name).expect("every call that is named here is one of them")
}

/// Fails if strace is missing.
pub fn ensure_present() -> Result<()> {
    let version = Command::new("strace").arg("--version").output();
    let hint = "strace is needed to make calls of the server fail: install the Debian package strace";
    ensure!(version.context(hint)?.status.success(), hint);
    Ok(())
}

impl Binary {
    /// This binary, traced into the file `log`.
    ///
    /// * `calls`: the calls to trace.
    /// * `inject`: the replacement of a call, such as `error=EIO:when=3` for the third call of each thread.
    /// * `files`: traces only calls on these files; if empty, calls on any file.
    pub fn traced(&self, log: &Path, calls: &[Call], inject: Option<&str>, files: &[PathBuf]) -> Self {
        let names: Vec<_> = calls.iter().map(|call| call.names).collect();
        let names = names.join(",");
        // The tracer runs as the grandchild, so that signals reach the server itself.
        let mut words: Vec<OsString> =
            ["strace", "-D", "-f", "-q", "-y", "-s", "0", "--seccomp-bpf", "-o"].map(OsString::from).into();
        words.push(log.into());
        words.extend(["-e".into(), format!("trace={names}").into(), "-e".into(), "signal=none".into()]);
        if let Some(inject) = inject {
            words.extend(["-e".into(), format!("inject={names}:{inject}").into()]);
        }
        for file in files {
            words.extend(["-P".into(), file.into()]);
        }
        self.wrapped(words)
    }
}

/// The calls in a trace on files below `folder`. Joins the two halves of an interrupted call. Calls that have not
/// returned come last.
pub fn calls(log: &Path, folder: &Path) -> Result<Vec<Traced>> {
    let text = fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
    let mut begun: BTreeMap<&str, String> = BTreeMap::new();
    let mut whole = Vec::new();
    for (thread, text) in text.lines().filter_map(|line| line.split_once(' ')) {
        let text = text.trim_start();
        let resumed = text.strip_prefix("<... ").and_then(|text| text.split_once(" resumed>"));
        let text = match resumed {
            Some((_, rest)) => begun.remove(thread).unwrap_or_default() + rest,
            None => text.to_owned(),
        };
        if has_returned(&text) {
            whole.push((thread, text));
        } else {
            begun.insert(thread, text.replace(" <unfinished ...>", ""));
        }
    }
    let folder = folder.to_string_lossy();
    let traced = |(thread, text): (&str, String)| {
        let name = text.split('(').next()?;
        let call =
            CALLS.into_iter().find(|call| call.names.split(',').any(|own| own.trim_start_matches('?') == name))?;
        text.contains(&*folder).then(|| Traced { thread: thread.to_owned(), call, text })
    };
    Ok(whole.into_iter().chain(begun).filter_map(traced).collect())
}

/// The highest number of calls in one thread.
pub fn most_of_a_thread<'a>(calls: impl IntoIterator<Item = &'a Traced>) -> u32 {
    let mut by_thread: BTreeMap<&str, u32> = BTreeMap::new();
    for call in calls {
        *by_thread.entry(&call.thread).or_default() += 1;
    }
    by_thread.into_values().max().unwrap_or_default()
}

/// Whether the text of a call contains its result.
pub fn has_returned(text: &str) -> bool {
    text.contains(" = ")
}

/// The files below `folder` that the calls name, including deleted ones.
pub fn files(calls: &[Traced], folder: &Path) -> Result<Vec<PathBuf>> {
    let start = folder.to_string_lossy();
    let mut found: BTreeSet<_> = folder::files(folder)?.into_iter().map(|file| folder.join(file)).collect();
    for call in calls {
        for (at, _) in call.text.match_indices(&*start) {
            let end = call.text[at..].find(['"', '>', '<', ' ']).map_or(call.text.len(), |end| at + end);
            found.insert(PathBuf::from(&call.text[at..end]));
        }
    }
    Ok(found.into_iter().collect())
}

/// The calls that strace has replaced.
pub fn injected(calls: Vec<Traced>) -> Vec<Traced> {
    calls.into_iter().filter(|call| call.text.ends_with("(INJECTED)")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_calls_are_joined_and_hanging_calls_come_last() {
        let place = tempfile::tempdir().expect("the system has a folder for temporary files");
        let log = place.path().join("trace");
        let lines = [
            "1  fsync(13</data/db> <unfinished ...>",
            "2  pwrite64(13</data/db>, \"\"..., 24, 96) = 24",
            "3  fdatasync(14</data/log> <unfinished ...>",
            "1  <... fsync resumed>) = -1 EIO (Input/output error) (INJECTED)",
            "2  pwrite64(15</elsewhere>, \"\"..., 24, 96) = 24",
            "2  renameat(AT_FDCWD, \"/data/a\", AT_FDCWD, \"/data/b\") = 0",
            "1  +++ exited with 0 +++",
            "2  pwrite64(13</data/db>, \"\"..., 24, 120",
        ];
        fs::write(&log, lines.join("\n")).unwrap();
        let calls = calls(&log, Path::new("/data")).unwrap();
        let names: Vec<_> =
            calls.iter().map(|call| (&*call.thread, call.call.name, has_returned(&call.text))).collect();
        let expected = [
            ("2", "pwrite64", true),
            ("1", "fsync", true),
            ("2", "rename", true),
            ("2", "pwrite64", false),
            ("3", "fdatasync", false),
        ];
        assert_eq!(names, expected);
        assert_eq!(most_of_a_thread(&calls), 3);
        assert_eq!(injected(calls).len(), 1);
    }
}
