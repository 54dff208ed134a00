//! The queues: one durable log per endpoint and priority.
//!
//! ```text
//! queues/upstream.default/       $upstream, routes without priority
//! queues/upstream.0/             $upstream, priority 0
//! queues/filter%2Finput1.9/      input1 of module filter, priority 9
//!     00000000000000000000.log …   the log's own files
//!     sent                         how far it was delivered
//! ```
//! All of them together take at most `[tidegate] max_disk`. When they are full nothing is thrown away: new messages are
//! refused, senders' connections are closed without acknowledgement, and they send again later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use model::route::{Endpoint, PRIORITY_WITHOUT_NUMBER};
use protocol::hub::bag;
use storage::log::{AppendError, CheckpointError, Checkpoints, Log, LogOptions, Offset, OpenLogError};
use tokio::sync::Notify;

use crate::limits::{QUEUE_SEGMENT_BYTES, QUEUE_TAIL_BYTES, QUEUES_MAX};

const SENT: &str = "sent";
const UPSTREAM: &str = "upstream";
const DEFAULT: &str = "default";

/// Which queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueueId {
    /// Where its messages go.
    pub endpoint: Endpoint,
    /// 0 to 9, or [`PRIORITY_WITHOUT_NUMBER`].
    pub priority: u32,
}

impl QueueId {
    fn folder(&self) -> String {
        let endpoint = match &self.endpoint {
            Endpoint::Upstream => UPSTREAM.to_owned(),
            Endpoint::Module { module, input } => bag::encode(&format!("{module}/{input}")).replace('.', "%2E"),
        };
        match self.priority {
            PRIORITY_WITHOUT_NUMBER => format!("{endpoint}.{DEFAULT}"),
            number => format!("{endpoint}.{number}"),
        }
    }

    fn of_folder(name: &str) -> Option<Self> {
        let (endpoint, priority) = name.rsplit_once('.')?;
        let priority = if priority == DEFAULT { PRIORITY_WITHOUT_NUMBER } else { priority.parse().ok()? };
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

/// One queue.
pub struct Queue {
    /// Which one.
    pub id: QueueId,
    log: Log,
    checkpoints: Checkpoints,
    /// Told when something was stored.
    stored: Arc<Notify>,
}

/// The queues cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenQueuesError {
    /// The folder cannot be made or read.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A queue's log cannot be opened.
    #[error("cannot open the queue {name}")]
    Log {
        /// Its folder.
        name: String,
        /// Why.
        #[source]
        source: OpenLogError,
    },
    /// How far a queue was delivered cannot be read.
    #[error("cannot read how far the queue {name} was delivered")]
    Checkpoint {
        /// Its folder.
        name: String,
        /// Why.
        #[source]
        source: CheckpointError,
    },
    /// There would be more than there may be.
    #[error("more than {QUEUES_MAX} queues")]
    TooMany,
}

/// A message was not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queues have reached their limit.
    #[error("the queues hold {bytes} of {bytes_max} bytes: new messages are refused until some are delivered")]
    Full {
        /// What they hold.
        bytes: u64,
        /// What they may.
        bytes_max: u64,
    },
    /// The log refused.
    #[error("the queue cannot be written")]
    Append(#[from] AppendError),
    /// The queue could not be made.
    #[error(transparent)]
    Open(#[from] OpenQueuesError),
}

impl Queue {
    fn open(dir: &Path, id: QueueId, bytes_max: u64, stored: Arc<Notify>) -> Result<Self, OpenQueuesError> {
        let name = id.folder();
        let options = LogOptions {
            segment_bytes_max: QUEUE_SEGMENT_BYTES.min(bytes_max / 8),
            total_bytes_max: Some(bytes_max),
            tail_bytes_max: QUEUE_TAIL_BYTES,
            ..LogOptions::default()
        };
        let dir = dir.join(&name);
        let log = Log::open(&dir, options).map_err(|source| OpenQueuesError::Log { name: name.clone(), source })?;
        let checkpoints =
            Checkpoints::open(&dir.join("sent")).map_err(|source| OpenQueuesError::Checkpoint { name, source })?;
        Ok(Self { id, log, checkpoints, stored })
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The first message that was not delivered yet, as far as the disk knows.
    pub fn sent(&self) -> Offset {
        let first = self.log.first_offset();
        let sent = self.checkpoints.get(SENT).unwrap_or(first);
        // A log that lost its end (a restored folder) begins again where it is.
        sent.clamp(first, self.log.next_offset())
    }

    /// Notes how far it was delivered and frees what lies before. Blocks.
    pub fn set_sent(&self, offset: Offset) -> Result<(), CheckpointError> {
        self.checkpoints.set(SENT, offset)?;
        if let Err(error) = self.log.trim_before(offset) {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot free delivered messages yet");
        }
        Ok(())
    }
}

/// All queues.
pub struct Queues {
    dir: PathBuf,
    bytes_max: u64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    queues: Vec<Arc<Queue>>,
    /// One per endpoint, told when something was stored for it.
    stored: BTreeMap<String, Arc<Notify>>,
}

impl Queues {
    /// Opens every queue there is.
    pub fn open(dir: &Path, bytes_max: u64) -> Result<Self, OpenQueuesError> {
        let failed = |source| OpenQueuesError::Folder { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let queues = Self { dir: dir.to_owned(), bytes_max, open: Mutex::default() };
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            match name.to_str().and_then(QueueId::of_folder) {
                Some(id) => drop(queues.get_or_open(&id)?),
                None => tracing::warn!(?name, "a folder that is no queue of ours"),
            }
        }
        Ok(queues)
    }

    /// The queue, made if there is none.
    pub fn get_or_open(&self, id: &QueueId) -> Result<Arc<Queue>, OpenQueuesError> {
        let mut open = self.lock();
        if let Some(queue) = open.queues.iter().find(|queue| queue.id == *id) {
            return Ok(Arc::clone(queue));
        }
        if open.queues.len() >= QUEUES_MAX {
            return Err(OpenQueuesError::TooMany);
        }
        let stored = Arc::clone(open.stored.entry(endpoint_name(&id.endpoint)).or_default());
        let queue = Arc::new(Queue::open(&self.dir, id.clone(), self.bytes_max, stored)?);
        open.queues.push(Arc::clone(&queue));
        Ok(queue)
    }

    /// The queues of an endpoint, most urgent first, and what is told when something was stored for it.
    pub fn of_endpoint(&self, endpoint: &Endpoint) -> (Vec<Arc<Queue>>, Arc<Notify>) {
        let mut open = self.lock();
        let stored = Arc::clone(open.stored.entry(endpoint_name(endpoint)).or_default());
        let mut queues: Vec<_> = open.queues.iter().filter(|queue| queue.id.endpoint == *endpoint).cloned().collect();
        queues.sort_by_key(|queue| queue.id.priority);
        (queues, stored)
    }

    /// Every endpoint that has a queue.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for queue in &self.lock().queues {
            if !endpoints.contains(&queue.id.endpoint) {
                endpoints.push(queue.id.endpoint.clone());
            }
        }
        endpoints
    }

    /// Closes and deletes the queues of an endpoint; says how many messages they still held.
    pub fn remove(&self, endpoint: &Endpoint) -> u64 {
        let removed: Vec<_> = {
            let mut open = self.lock();
            let (gone, kept) =
                std::mem::take(&mut open.queues).into_iter().partition(|queue| queue.id.endpoint == *endpoint);
            open.queues = kept;
            gone
        };
        let mut lost = 0;
        for queue in removed {
            lost += queue.log.next_offset().0 - queue.sent().0;
            let dir = self.dir.join(queue.id.folder());
            drop(queue);
            if let Err(error) = std::fs::remove_dir_all(&dir) {
                tracing::warn!(dir = %dir.display(), error = &error as &dyn std::error::Error, "queue not deleted");
            }
        }
        lost
    }

    /// Stores messages in one queue. Durable when it returns.
    pub async fn store(&self, id: &QueueId, records: Vec<Bytes>) -> Result<(), StoreError> {
        let bytes = self.bytes();
        if bytes >= self.bytes_max {
            return Err(StoreError::Full { bytes, bytes_max: self.bytes_max });
        }
        let queue = self.get_or_open(id)?;
        queue.log.append(records).await?;
        queue.stored.notify_one();
        Ok(())
    }

    /// What all queues take on disk.
    pub fn bytes(&self) -> u64 {
        self.lock().queues.iter().map(|queue| queue.log.bytes()).sum()
    }

    /// Messages waiting, by queue folder.
    pub fn waiting(&self) -> BTreeMap<String, u64> {
        let queues = self.lock().queues.clone();
        queues.iter().map(|queue| (queue.id.folder(), queue.log.next_offset().0 - queue.sent().0)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An endpoint in words.
pub fn endpoint_name(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Upstream => "$upstream".to_owned(),
        Endpoint::Module { module, input } => format!("{module}/{input}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(endpoint: Endpoint, priority: u32) -> QueueId {
        QueueId { endpoint, priority }
    }

    fn module(module: &str, input: &str) -> Endpoint {
        Endpoint::Module { module: module.into(), input: input.into() }
    }

    #[test]
    fn folder_names_lead_back() {
        let cases = [
            (id(Endpoint::Upstream, PRIORITY_WITHOUT_NUMBER), "upstream.default"),
            (id(Endpoint::Upstream, 0), "upstream.0"),
            (id(module("filter", "in.1"), 9), "filter%2Fin%2E1.9"),
            (id(module("upstream", "x"), 1), "upstream%2Fx.1"),
        ];
        for (id, folder) in cases {
            assert_eq!(id.folder(), folder);
            assert_eq!(QueueId::of_folder(folder), Some(id));
        }
        for folder in ["upstream", "x.default", "lost+found", ".default"] {
            assert_eq!(QueueId::of_folder(folder), None, "{folder}");
        }
    }

    #[tokio::test]
    async fn messages_and_progress_survive_and_a_full_store_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let up = id(Endpoint::Upstream, PRIORITY_WITHOUT_NUMBER);
        let bytes_max = 1 << 20;
        {
            let queues = Queues::open(dir.path(), bytes_max).unwrap();
            let record = Bytes::from(vec![7; 1000]);
            queues.store(&up, vec![record.clone(), record.clone(), record.clone()]).await.unwrap();
            queues.get_or_open(&up).unwrap().set_sent(Offset(2)).unwrap();
        }
        let queues = Queues::open(dir.path(), bytes_max).unwrap();
        let queue = queues.get_or_open(&up).unwrap();
        assert_eq!((queue.sent(), queue.log().next_offset()), (Offset(2), Offset(3)));
        assert_eq!(queues.waiting(), BTreeMap::from([("upstream.default".to_owned(), 1)]));
        let big = vec![Bytes::from(vec![7; 60_000])];
        let mut stored = 0;
        let refusal = loop {
            match queues.store(&up, big.clone()).await {
                Ok(()) => stored += 1,
                Err(error) => break error,
            }
            assert!(stored < 100, "the limit holds");
        };
        assert!(matches!(refusal, StoreError::Full { .. } | StoreError::Append(AppendError::Full { .. })), "{refusal}");
        queue.set_sent(queue.log().next_offset()).unwrap();
        queues.store(&up, big).await.unwrap();
    }

    #[tokio::test]
    async fn a_removed_endpoint_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let queues = Queues::open(dir.path(), 1 << 20).unwrap();
        queues.store(&id(module("m", "in"), 3), vec![Bytes::from_static(b"x")]).await.unwrap();
        assert_eq!(queues.remove(&module("m", "in")), 1);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(queues.endpoints(), []);
    }
}
