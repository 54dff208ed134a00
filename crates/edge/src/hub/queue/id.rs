//! What a queue is called: in files, and in words.

use std::fmt;

use model::limits::ROUTE_PRIORITY_MAX;
use model::route::{Endpoint, PRIORITY_WITHOUT_NUMBER};
use protocol::hub::bag;
use sha2::{Digest, Sha256};
use storage::limits::CHECKPOINT_NAME_BYTES_MAX;

const UPSTREAM: &str = "upstream";
const DEFAULT: &str = "default";

/// Which queue. Ordered by endpoint, then the most urgent first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId {
    /// Where its messages go.
    pub endpoint: Endpoint,
    /// 0 to 9, or [`PRIORITY_WITHOUT_NUMBER`].
    pub priority: u32,
}

impl QueueId {
    /// `upstream.default`, `upstream.0`, `filter%2Finput1.9`
    pub fn name(&self) -> String {
        let endpoint = match &self.endpoint {
            Endpoint::Upstream => UPSTREAM.to_owned(),
            Endpoint::Module { module, input } => bag::encode(&format!("{module}/{input}")).replace('.', "%2E"),
        };
        format!("{endpoint}.{}", self.priority_name())
    }

    /// `0` to `9`, or `default`.
    pub fn priority_name(&self) -> String {
        match self.priority {
            PRIORITY_WITHOUT_NUMBER => DEFAULT.to_owned(),
            number => number.to_string(),
        }
    }

    /// Where its position is noted: its name, or a digest of a name that is too long for that.
    pub(super) fn position_name(&self) -> String {
        let name = self.name();
        if name.len() <= CHECKPOINT_NAME_BYTES_MAX {
            return name;
        }
        let digest = Sha256::digest(name.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        let (endpoint, priority) = name.rsplit_once('.')?;
        let priority = match priority {
            DEFAULT => PRIORITY_WITHOUT_NUMBER,
            number => number.parse().ok().filter(|number| u64::from(*number) <= ROUTE_PRIORITY_MAX)?,
        };
        let endpoint = match endpoint {
            UPSTREAM => Endpoint::Upstream,
            encoded => {
                let decoded = bag::decode(encoded.as_bytes());
                let (module, input) = decoded.split_once('/')?;
                Endpoint::Module { module: module.to_owned(), input: input.to_owned() }
            }
        };
        Some(Self { endpoint, priority })
    }
}

/// In an operator's words.
impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&endpoint_name(&self.endpoint))?;
        match self.priority {
            PRIORITY_WITHOUT_NUMBER => Ok(()),
            number => write!(f, " of priority {number}"),
        }
    }
}

/// An endpoint in words.
pub fn endpoint_name(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Upstream => "$upstream".to_owned(),
        Endpoint::Module { module, input } => format!("{module}/{input}"),
    }
}
