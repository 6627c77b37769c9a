//! Memory and open files of this process.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The default maximum of memory for records: 2 GiB.
const MOST_CACHE_BYTES: u64 = 2 << 30;

/// The folder of the control groups.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// The memory for records: the configured bytes, or else a quarter of what the process may use, at most 2 GiB.
pub fn memory_for_records(configured: Option<u64>) -> u64 {
    configured.unwrap_or_else(|| (usable_memory() / 4).min(MOST_CACHE_BYTES))
}

/// The memory of the machine, or the limit of the process's control groups if that is lower.
fn usable_memory() -> u64 {
    let system = rustix::system::sysinfo();
    let machine = (system.totalram as u64).saturating_mul(system.mem_unit.into());
    // The line of the only hierarchy of cgroup version 2. Version 1 is obsolete.
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    machine.min(memory_limit(Path::new(CONTROL_GROUPS), Path::new(group)))
}

/// The lowest limit of a group and its ancestors.
fn memory_limit(root: &Path, group: &Path) -> u64 {
    // A group without a limit says `max`, and the root group has no such file.
    let limit = |group: &Path| fs::read_to_string(root.join(group).join("memory.max")).ok()?.trim().parse().ok();
    group.ancestors().filter_map(limit).min().unwrap_or(u64::MAX)
}

/// Open files beside connections: the store's files, standard streams, requests to issuers.
const OTHERS: u64 = 128;

/// Raises the limit of open files as far as the process may, and returns how many connections to accept at most.
///
/// `wanted`: the configured connections. The result is lower if the limit is too low, because connections that use up
/// all files would keep the store from opening its own.
pub fn room_for_connections(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    let room = room(limit, wanted);
    if room < wanted {
        tracing::warn!(
            "the system allows {} open files, so at most {room} connections are accepted at once instead of \
             limits.connections = {wanted}: allow more (LimitNOFILE= of a systemd unit, ulimit -Hn of a shell) or \
             configure fewer connections",
            limit.unwrap_or(u64::MAX),
        );
    }
    room
}

/// `limit`: the most open files; `None` for no limit.
fn room(limit: Option<u64>, wanted: usize) -> usize {
    // If the limit is even lower than the other files need, a quarter of it is for connections.
    let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(OTHERS).max(limit / 4));
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_size_counts_or_else_a_part_of_the_memory() {
        assert_eq!(memory_for_records(Some(7)), 7);
        let default = memory_for_records(None);
        assert!(default > 0 && default <= MOST_CACHE_BYTES && default <= usable_memory() / 4, "{default}");
    }

    #[test]
    fn the_lowest_limit_of_a_group_and_its_ancestors_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = Path::new("system.slice/server.service");
        fs::create_dir_all(root.path().join(group)).unwrap();
        assert_eq!(memory_limit(root.path(), group), u64::MAX);
        let table = [
            // group, its limit, the least one then
            ("system.slice/server.service", "max\n", u64::MAX),
            ("system.slice", "4000\n", 4_000),
            ("system.slice/server.service", "5000\n", 4_000),
            ("", "3000\n", 3_000),
        ];
        for (name, text, expected) in table {
            fs::write(root.path().join(name).join("memory.max"), text).unwrap();
            assert_eq!(memory_limit(root.path(), group), expected, "{name:?} {text:?}");
        }
    }

    #[test]
    fn connections_leave_room_for_other_files() {
        let table = [
            // limit, wanted, room
            (None, 10_000, 10_000),
            (Some(1 << 20), 10_000, 10_000),
            (Some(10_128), 10_000, 10_000),
            (Some(10_127), 10_000, 9_999),
            (Some(1_024), 10_000, 896),
            (Some(64), 10_000, 16),
            (Some(64), 8, 8),
        ];
        for (limit, wanted, expected) in table {
            assert_eq!(room(limit, wanted), expected, "{limit:?} {wanted}");
        }
    }
}
