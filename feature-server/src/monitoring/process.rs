//! The metrics of the process, by the names that Prometheus recommends to all clients, and the build.

use std::time::{SystemTime, UNIX_EPOCH};
use std::{fmt, fs};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::metrics::Family;

/// This process.
#[derive(Debug)]
pub(super) struct ProcessMetrics {
    /// When it started. Taken from the clock, because the unit for systemd hides the files that have it.
    pub(super) started: SystemTime,
}

/// What the kernel says about this process.
struct Usage {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
    open_files: usize,
    max_files: u64,
}

impl Usage {
    /// `None` where `/proc` is not mounted.
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // proc_pid_stat(5). The second field is the name, in parentheses; it may have any characters.
        let (_, after_name) = stat.rsplit_once(") ")?;
        let fields: Vec<_> = after_name.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) as f64 / clock_ticks_per_second() as f64,
            resident_bytes: field(24)? * page_size() as u64,
            virtual_bytes: field(23)?,
            threads: field(20)?,
            open_files: fs::read_dir("/proc/self/fd").ok()?.count(),
            max_files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        })
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        Family::gauge(encoder, "feature_build_info", "The version of the server")?
            .value_of(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)?;
        let started_at = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Family::gauge(encoder, "process_start_time_seconds", "When the process started, in seconds since 1970")?
            .value(started_at)?;
        // Where the kernel does not say, these are left out.
        let Some(usage) = Usage::read() else { return Ok(()) };
        Family::counter(encoder, "process_cpu_seconds", "Processor time in seconds")?.count(usage.cpu_seconds)?;
        let gauges = [
            ("process_resident_memory_bytes", "Memory in use", usage.resident_bytes as f64),
            ("process_virtual_memory_bytes", "Address space in use", usage.virtual_bytes as f64),
            ("process_threads", "Threads", usage.threads as f64),
            ("process_open_fds", "Open file descriptors", usage.open_files as f64),
            ("process_max_fds", "The most file descriptors that may be open", usage.max_files as f64),
        ];
        gauges.into_iter().try_for_each(|(name, help, value)| Family::gauge(encoder, name, help)?.value(value))
    }
}
