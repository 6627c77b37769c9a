//! Signals to a process and to all processes that it has started: a machine that dies or stands still.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

/// A process and its children. The children of PostgreSQL have no children of their own.
pub fn family(process: u32) -> Vec<u32> {
    // A process that has just ended has no file, and no children.
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(process).chain(children).collect()
}

/// Stops a process and its children, as if their machine stood still.
pub fn pause(process: u32) {
    // The first one starts no child after its own signal.
    signal(process, Signal::STOP);
    family(process).into_iter().for_each(|member| signal(member, Signal::STOP));
}

/// Lets a process and its children continue.
pub fn resume(process: u32) {
    family(process).into_iter().for_each(|member| signal(member, Signal::CONT));
}

/// Kills a process and its children, as if their machine died.
pub fn kill(process: u32) {
    signal(process, Signal::STOP);
    // The children first: they would have no parent to be found by.
    family(process).into_iter().rev().for_each(|member| signal(member, Signal::KILL));
}

/// Sends a signal. A process that has ended before needs none.
pub fn signal(process: u32, signal: Signal) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    if let Some(process) = process {
        let _ = kill_process(process, signal);
    }
}

/// A command that runs as the user `postgres`: PostgreSQL refuses to run as root.
pub fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program).current_dir("/");
    command.env("HOME", "/tmp").kill_on_drop(true);
    command
}

/// Runs a command until it ends. Its output shows only in the error.
pub async fn run(command: &mut Command) -> Result<()> {
    let program = command.as_std().get_program().display().to_string();
    let output = command.output().await.with_context(|| format!("starting {program}"))?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&said).trim_end());
    Ok(())
}
