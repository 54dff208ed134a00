//! File descriptors: connections take most of them, and must leave some to everything else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::DESCRIPTORS_RESERVED;

/// Raises this process's limit of descriptors as far as it may and is wanted, and answers how many connections that gives room
/// for. What a process may have is often far more than what it has at the start.
pub fn room_for_connections(wanted: usize) -> usize {
    let wanted_all = DESCRIPTORS_RESERVED.saturating_add(wanted as u64);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let mut allowed = current.unwrap_or(u64::MAX);
    if allowed < wanted_all {
        let raised = maximum.unwrap_or(u64::MAX).min(wanted_all);
        match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
            Ok(()) => allowed = raised,
            Err(error) => tracing::info!(%error, allowed, "the limit of file descriptors could not be raised"),
        }
    }
    let room = usize::try_from(allowed.saturating_sub(DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX).min(wanted);
    if room < wanted {
        tracing::info!(allowed, room, wanted, "the limit of file descriptors leaves room for fewer connections");
    }
    room.max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The one test of its process that looks at the limit, which is the process's.
    #[test]
    fn connections_get_what_may_be_had_and_leave_the_reserve() {
        let reserve = usize::try_from(DESCRIPTORS_RESERVED).unwrap();
        let lowered = Rlimit { current: Some(DESCRIPTORS_RESERVED + 10), maximum: Some(DESCRIPTORS_RESERVED + 50) };
        setrlimit(Resource::Nofile, lowered).unwrap();
        assert_eq!(room_for_connections(5), 5);
        assert_eq!(getrlimit(Resource::Nofile).current, lowered.current, "what is there is enough");
        assert_eq!(room_for_connections(30), 30);
        assert_eq!(getrlimit(Resource::Nofile).current, Some((reserve + 30) as u64));
        assert_eq!(room_for_connections(1_000), 50);
    }
}
