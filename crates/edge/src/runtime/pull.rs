//! How far the pull of an image is.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

/// What of an image is here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Bytes that are here.
    pub bytes: u64,
    /// Bytes of the whole, where that is known.
    pub bytes_total: Option<u64>,
}

/// Where a runtime says how far it is, about once a second. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PullProgress {
    pulled: watch::Sender<Option<Pulled>>,
    changed: Arc<Notify>,
}

impl PullProgress {
    /// Nothing was pulled yet; `changed` is notified of every step.
    pub fn new(changed: Arc<Notify>) -> Self {
        Self { pulled: watch::channel(None).0, changed }
    }

    /// So much is here.
    pub fn set(&self, pulled: Pulled) {
        self.pulled.send_replace(Some(pulled));
        self.changed.notify_one();
    }

    /// What is here; `None` while nothing is pulled.
    pub fn get(&self) -> Option<Pulled> {
        *self.pulled.borrow()
    }
}

impl std::fmt::Display for Pulled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mebibytes = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
        write!(f, "{:.1}", mebibytes(self.bytes))?;
        if let Some(total) = self.bytes_total {
            write!(f, " of {:.1}", mebibytes(total))?;
        }
        f.write_str(" MiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_as_people_say_it() {
        let mib = 1024 * 1024;
        assert_eq!(Pulled { bytes: mib / 2, bytes_total: None }.to_string(), "0.5 MiB");
        assert_eq!(Pulled { bytes: 40 * mib, bytes_total: Some(100 * mib) }.to_string(), "40.0 of 100.0 MiB");
    }
}
