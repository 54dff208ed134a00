//! How many connections each listener may have, by what is configured and what the system lets the process have.

use transport::descriptors;

use crate::config::{Config, LimitsConfig};
use crate::limits::HTTP_CONNECTIONS_KEPT_PERCENT;

/// Connections each listener may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connections {
    pub(super) mqtts: usize,
    /// Of each HTTP listener.
    pub(super) https: usize,
}

impl Connections {
    /// As configured, where the system has descriptors for as many; else people get a quarter of what there is, devices the rest.
    pub(super) fn of(config: &Config) -> Self {
        let LimitsConfig { mqtt_connections_max: mqtts, http_connections_max: https, .. } = config.limits;
        let http_listeners = 1 + usize::from(config.listen.http.is_some());
        let wanted = mqtts.saturating_add(https.saturating_mul(http_listeners));
        Self { mqtts, https }.within(descriptors::room_for_connections(wanted), http_listeners)
    }

    /// How many of the HTTP connections may become WebSockets.
    pub(super) fn web_sockets(self) -> usize {
        (self.https - self.https * HTTP_CONNECTIONS_KEPT_PERCENT / 100).max(1)
    }

    fn within(self, room: usize, http_listeners: usize) -> Self {
        let people = self.https.saturating_mul(http_listeners);
        if self.mqtts.saturating_add(people) <= room {
            return self;
        }
        let https = self.https.min(room / 4 / http_listeners).max(1);
        Self { mqtts: self.mqtts.min(room.saturating_sub(https * http_listeners)).max(1), https }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_sockets_leave_some_connections_to_people() {
        assert_eq!(HTTP_CONNECTIONS_KEPT_PERCENT, 25);
        for (https, web_sockets) in [(4_096, 3_072), (100, 75), (3, 3), (1, 1)] {
            assert_eq!(Connections { mqtts: 1, https }.web_sockets(), web_sockets, "{https}");
        }
    }

    #[test]
    fn few_descriptors_are_shared() {
        let wanted = Connections { mqtts: 1_000, https: 100 };
        let table = [
            (1_100, 1, wanted),
            (1_200, 2, wanted),
            (1_099, 1, Connections { mqtts: 999, https: 100 }),
            (200, 1, Connections { mqtts: 150, https: 50 }),
            (200, 2, Connections { mqtts: 150, https: 25 }),
            (1, 2, Connections { mqtts: 1, https: 1 }),
        ];
        for (room, listeners, expected) in table {
            assert_eq!(wanted.within(room, listeners), expected, "{room} for {listeners}");
        }
    }
}
