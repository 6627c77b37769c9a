//! How much memory the process may use, and how much of that the store may use for records.

use std::fs;
use std::path::Path;

/// The default maximum of memory for records: 2 GiB.
const MOST_CACHE_BYTES: u64 = 2 << 30;

/// The folder of the control groups.
const GROUPS: &str = "/sys/fs/cgroup";

/// The memory for records: the configured bytes, or else a quarter of what the process may use, at most 2 GiB.
pub fn for_records(configured: Option<u64>) -> u64 {
    configured.unwrap_or_else(|| (usable() / 4).min(MOST_CACHE_BYTES))
}

/// The memory of the machine, or the limit of the process's control groups if that is lower.
fn usable() -> u64 {
    let system = rustix::system::sysinfo();
    let machine = (system.totalram as u64).saturating_mul(system.mem_unit.into());
    // The line of the only hierarchy of cgroup version 2. Version 1 is obsolete.
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    machine.min(limit(Path::new(GROUPS), Path::new(group)))
}

/// The lowest limit of a group and its ancestors.
fn limit(root: &Path, group: &Path) -> u64 {
    // A group without a limit says `max`, and the root group has no such file.
    let limit = |group: &Path| fs::read_to_string(root.join(group).join("memory.max")).ok()?.trim().parse().ok();
    group.ancestors().filter_map(limit).min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_size_counts_or_else_a_part_of_the_memory() {
        assert_eq!(for_records(Some(7)), 7);
        let default = for_records(None);
        assert!(default > 0 && default <= MOST_CACHE_BYTES && default <= usable() / 4, "{default}");
    }

    #[test]
    fn the_lowest_limit_of_a_group_and_its_ancestors_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = Path::new("system.slice/server.service");
        fs::create_dir_all(root.path().join(group)).unwrap();
        assert_eq!(limit(root.path(), group), u64::MAX);
        let table = [
            // group, its limit, the least one then
            ("system.slice/server.service", "max\n", u64::MAX),
            ("system.slice", "4000\n", 4_000),
            ("system.slice/server.service", "5000\n", 4_000),
            ("", "3000\n", 3_000),
        ];
        for (name, text, expected) in table {
            fs::write(root.path().join(name).join("memory.max"), text).unwrap();
            assert_eq!(limit(root.path(), group), expected, "{name:?} {text:?}");
        }
    }
}
