//! Counts of connections, and requests of them, that had to give way at a listener, by reason: what an operator sees of a
//! listener that has too little room for whoever comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limits::GAVE_WAY_HOURLY_MAX;

/// Why a connection or a request had to give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The client did not say in time who it is or what it wants.
    Late,
    /// The client had not proved who it is, and its address held most of the places of such clients when one was needed.
    AddressShare,
    /// The same where no address held more than another: the oldest one went.
    Oldest,
    /// The listener had as many connections as it may, or as the system has descriptors for: a new one waited for a place.
    Full,
    /// The system had no descriptor to accept a connection with.
    NoDescriptor,
    /// The bodies of all requests together were as many bytes as may be: the request was refused.
    BodyRoom,
    /// The body of a request came too slowly: the request was refused.
    BodySlow,
    /// More requests waited on one connection than may while it is not known who sends them: the request was refused.
    Requests,
}

impl Reason {
    /// All of them, in the order they are shown in.
    pub const ALL: [Self; 8] = [
        Self::Late,
        Self::AddressShare,
        Self::Oldest,
        Self::Full,
        Self::NoDescriptor,
        Self::BodyRoom,
        Self::BodySlow,
        Self::Requests,
    ];

    /// As a label of a metric, and in `check` and `doctor`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::AddressShare => "address_share",
            Self::Oldest => "oldest",
            Self::Full => "full",
            Self::NoDescriptor => "no_descriptor",
            Self::BodyRoom => "body_room",
            Self::BodySlow => "body_slow",
            Self::Requests => "requests",
        }
    }
}

/// The counts of one listener, since the process started. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct GaveWay(Arc<[AtomicU64; Reason::ALL.len()]>);

impl GaveWay {
    /// One more.
    pub fn count(&self, reason: Reason) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The system did not let the listener accept a connection: counted when it was for want of descriptors.
    pub fn count_accept(&self, error: &std::io::Error) {
        let wants_descriptor = |code| {
            let code = rustix::io::Errno::from_raw_os_error(code);
            code == rustix::io::Errno::MFILE || code == rustix::io::Errno::NFILE
        };
        if error.raw_os_error().is_some_and(wants_descriptor) {
            self.count(Reason::NoDescriptor);
        }
    }

    /// How many so far, for every reason there is.
    pub fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().map(|reason| (reason, self.0[reason as usize].load(Ordering::Relaxed)))
    }
}

/// Whether so many since a process started are worth a warning.
pub fn is_many(count: u64, uptime: Duration) -> bool {
    let hours_begun = uptime.as_secs() / 3_600 + 1;
    count > GAVE_WAY_HOURLY_MAX.saturating_mul(hours_begun)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_reason_has_a_count_and_a_name_of_its_own() {
        let gave_way = GaveWay::default();
        for (times, reason) in Reason::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| gave_way.clone().count(reason));
        }
        let counts: Vec<_> = gave_way.counts().collect();
        assert_eq!(counts, Reason::ALL.into_iter().zip(0..).collect::<Vec<_>>());
        let names: std::collections::BTreeSet<_> = Reason::ALL.into_iter().map(Reason::name).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }

    #[test]
    fn a_few_an_hour_are_not_many() {
        let hour = Duration::from_secs(3_600);
        for (count, uptime, many) in [
            (0, Duration::ZERO, false),
            (GAVE_WAY_HOURLY_MAX, Duration::ZERO, false),
            (GAVE_WAY_HOURLY_MAX + 1, Duration::ZERO, true),
            (2 * GAVE_WAY_HOURLY_MAX, hour, false),
            (2 * GAVE_WAY_HOURLY_MAX + 1, hour, true),
        ] {
            assert_eq!(is_many(count, uptime), many, "{count} in {uptime:?}");
        }
    }

    #[test]
    fn only_want_of_descriptors_counts_as_such() {
        let gave_way = GaveWay::default();
        for code in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::CONNABORTED] {
            gave_way.count_accept(&code.into());
        }
        assert_eq!(gave_way.counts().find(|(reason, _)| *reason == Reason::NoDescriptor).unwrap().1, 2);
    }
}
