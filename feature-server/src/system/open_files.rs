//! The limit of open files and sockets, and the number of connections that fit within it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files beside connections: the store's files, standard streams, requests to issuers.
const OTHERS: u64 = 128;

/// Raises the limit of open files as far as the process may, and returns how many connections to accept at most.
///
/// `wanted`: the configured connections. The result is lower if the limit is too low, because connections that use up
/// all files would keep the store from opening its own.
pub fn room_for(wanted: usize) -> usize {
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
