//! Resource use of a process, measured from outside.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

/// Measures one process.
#[derive(Debug)]
pub struct Gauge(PathBuf);

/// The unit of processor times in `/proc`, the same on every Linux.
const TICK: Duration = Duration::from_millis(10);

impl Gauge {
    /// Measures the process with this id.
    pub fn new(process: u32) -> Self {
        Self(format!("/proc/{process}").into())
    }

    /// The memory in use, in bytes.
    pub fn memory(&self) -> Result<u64> {
        self.status("VmRSS")
    }

    /// The peak of memory since [`Gauge::forget_peak`], in bytes.
    pub fn peak(&self) -> Result<u64> {
        self.status("VmHWM")
    }

    /// Resets the peak to the memory in use now.
    pub fn forget_peak(&self) -> Result<()> {
        fs::write(self.0.join("clear_refs"), "5").context("this kernel does not let the peak of memory be measured")
    }

    /// The processor time so far.
    pub fn processor_time(&self) -> Result<Duration> {
        let line = fs::read_to_string(self.0.join("stat"))?;
        // The name in parentheses may contain any character; the times are at fixed places after it.
        let (_, rest) = line.rsplit_once(')').context("stat has no name")?;
        let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
        Ok(TICK * ticks)
    }

    /// The number of open files and connections.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(self.0.join("fd")).context("the server is gone")?.count())
    }

    fn status(&self, name: &str) -> Result<u64> {
        let text = fs::read_to_string(self.0.join("status")).context("the server is gone")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("status has no such line")?;
        Ok(kib.parse::<u64>()? * 1024)
    }
}
