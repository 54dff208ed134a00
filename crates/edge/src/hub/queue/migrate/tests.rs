#![allow(clippy::unwrap_used)]
//! Folders as the first version left them, moved on a real disk.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use model::message::Message;
use model::route::{Endpoint, PRIORITY_WITHOUT_NUMBER};
use storage::file_layer::{Access, FileLayer, LayerFile, LockGuard, RealFiles};
use storage::limits::GROUP_BYTES_MAX_DEFAULT;

use super::super::super::record::tests::encode_first_version;
use super::super::tests::{deliver_all, id, module, upstream};
use super::super::{Queues, Readers, Records};
use super::*;

const BYTES_MAX: u64 = 64 << 20;
const STORED_AT_MS: u64 = 1_700_000_000_000;

/// Fails every changing operation after some: what a killed process leaves.
#[derive(Debug)]
struct Killed {
    left: AtomicU64,
}

impl Killed {
    fn after(ops: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(ops) })
    }

    fn spend(&self) -> io::Result<()> {
        let spent = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        spent.map(drop).map_err(|_| io::Error::other("killed"))
    }
}

#[derive(Debug)]
struct KilledFiles(Arc<Killed>);

#[derive(Debug)]
struct KilledFile(Arc<Killed>, Arc<dyn LayerFile>);

impl KilledFiles {
    fn file(&self, file: Arc<dyn LayerFile>) -> Arc<dyn LayerFile> {
        Arc::new(KilledFile(Arc::clone(&self.0), file))
    }
}

impl FileLayer for KilledFiles {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.spend()?;
        RealFiles.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealFiles.list(dir)
    }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn LayerFile>> {
        self.0.spend()?;
        RealFiles.create(path, access).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LayerFile>> {
        RealFiles.open(path)
    }

    fn open_writable(&self, path: &Path) -> io::Result<Arc<dyn LayerFile>> {
        RealFiles.open_writable(path).map(|file| self.file(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.spend()?;
        RealFiles.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.spend()?;
        RealFiles.remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.spend()?;
        RealFiles.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.spend()?;
        RealFiles.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        RealFiles.lock(path)
    }
}

impl LayerFile for KilledFile {
    fn bytes(&self) -> io::Result<u64> {
        self.1.bytes()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.1.read_at(buffer, at)
    }

    fn write_at(&self, data: &[u8], at: u64) -> io::Result<usize> {
        self.0.spend()?;
        self.1.write_at(data, at)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.spend()?;
        self.1.truncate(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.spend()?;
        self.1.sync_data()
    }
}

fn environment(killed: &Arc<Killed>) -> Environment {
    Environment { files: Arc::new(KilledFiles(Arc::clone(killed))), clock: Arc::new(|| STORED_AT_MS) }
}

/// Writes a queue as the first version did: these numbers, of which the first `sent` were delivered.
fn write_old(dir: &Path, queue: &QueueId, numbers: std::ops::Range<usize>, sent: u64, body_bytes: usize) {
    let dir = dir.join(queue.name());
    let options = LogOptions { segment_bytes_max: 20_000, ..LogOptions::default() };
    let log = Log::open_in(&dir, options, environment(&Killed::after(u64::MAX))).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in numbers {
                let body = Bytes::from(vec![7; body_bytes]);
                let message = Message { bag: Bytes::from(format!("n={number}")), body };
                log.append_blocking(vec![encode_first_version(Some(60), "edge/sensor", &message)]).unwrap();
            }
        });
    });
    if sent > 0 {
        Checkpoints::open(&dir.join(SENT)).unwrap().set(SENT, Offset(sent)).unwrap();
    }
}

fn open(dir: &Path, bytes_max: u64) -> Result<Queues, OpenQueuesError> {
    Queues::open_in(dir, bytes_max, Environment::default(), false)
}

fn old_folder() -> (tempfile::TempDir, [QueueId; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let queues = [upstream(), id(Endpoint::Upstream, 0), id(module("filter", "in.1"), 9)];
    write_old(folder.path(), &queues[0], 0..40, 7, 1_000);
    write_old(folder.path(), &queues[1], 100..103, 0, 10);
    write_old(folder.path(), &queues[2], 200..205, 5, 10);
    (folder, queues)
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn undelivered_messages_of_the_first_version_go_on_in_order() {
    let (folder, _) = old_folder();
    let queues = open(folder.path(), BYTES_MAX).unwrap();
    assert_eq!(names(folder.path()), ["log"]);
    let mut readers = Readers::default();
    let urgent = queues.take(&Endpoint::Upstream, &mut readers).await.unwrap().unwrap();
    let first = &urgent.messages[0];
    assert_eq!((urgent.queue.priority, first.stored.sender.to_string()), (0, "edge/sensor".to_owned()));
    assert_eq!(first.stored.stored_at_ms, STORED_AT_MS, "it has waited since then");
    assert_eq!(first.expires_at_ms, STORED_AT_MS + 60_000);
    let expected: Vec<_> = (100..103).chain(7..40).collect();
    assert_eq!(deliver_all(&queues, &Endpoint::Upstream).await, expected);
    assert_eq!(deliver_all(&queues, &module("filter", "in.1")).await, Vec::<usize>::new());
    drop(queues);
    let queues = open(folder.path(), BYTES_MAX).unwrap();
    assert_eq!(deliver_all(&queues, &Endpoint::Upstream).await, Vec::<usize>::new());
}

#[tokio::test]
async fn killed_at_any_operation_nothing_is_lost_and_order_is_kept() {
    let mut killed_at = 0;
    loop {
        let (folder, _) = old_folder();
        let killed = Killed::after(killed_at);
        let finished = Queues::open_in(folder.path(), BYTES_MAX, environment(&killed), false).is_ok();
        let queues = open(folder.path(), BYTES_MAX).unwrap();
        assert!(names(folder.path()).iter().all(|name| ["log", "positions"].contains(&name.as_str())));
        let mut seen = std::collections::BTreeSet::new();
        let delivered = deliver_all(&queues, &Endpoint::Upstream).await;
        let firsts: Vec<_> = delivered.into_iter().filter(|number| seen.insert(*number)).collect();
        let expected: Vec<_> = (100..103).chain(7..40).collect();
        assert_eq!(firsts, expected, "killed at operation {killed_at}");
        if finished {
            break;
        }
        killed_at += 1;
    }
    assert!(killed_at > 20, "the kills came while it worked: {killed_at}");
}

#[tokio::test]
async fn more_than_fits_is_moved_and_refuses_new_messages_until_it_shrank() {
    let folder = tempfile::tempdir().unwrap();
    write_old(folder.path(), &upstream(), 0..60, 0, 10_000);
    let queues = open(folder.path(), 256 << 10).unwrap();
    assert!(queues.bytes() > 256 << 10);
    let store = async || {
        let (lifetime_secs, message) =
            decode_first_version(&encode_first_version(None, "d", &Message::default()), 1).unwrap();
        let mut batch = Batch::default();
        batch.add(&[Target { queue: id(module("m", "i"), PRIORITY_WITHOUT_NUMBER), lifetime_secs }], &message);
        queues.store(batch).await
    };
    assert!(store().await.is_err());
    assert_eq!(deliver_all(&queues, &Endpoint::Upstream).await, (0..60).collect::<Vec<_>>());
    queues.write_progress().unwrap();
    store().await.unwrap();
}

/// The new form of a small message can be many times the old one: its endpoint is in it.
#[tokio::test]
async fn a_step_of_the_move_fits_one_append_however_small_the_messages_were() {
    let folder = tempfile::tempdir().unwrap();
    let queue = id(module("m", &"i".repeat(230)), 0);
    let count = GROUP_BYTES_MAX_DEFAULT / 230;
    let records = (0..count).map(|number| {
        let message = Message { bag: Bytes::from(format!("n={number}")), body: Bytes::new() };
        encode_first_version(None, "d", &message)
    });
    let records: Records = records.collect();
    assert!(records.bytes() < PUMP_BATCH_BYTES && count > PUMP_BATCH_MESSAGES, "the messages decide, not the bytes");
    let old = folder.path().join(queue.name());
    let old = Log::open_in(&old, LogOptions::default(), environment(&Killed::after(u64::MAX))).unwrap();
    old.append(records).await.unwrap();
    drop(old);
    let queues = open(folder.path(), BYTES_MAX).unwrap();
    assert_eq!(deliver_all(&queues, &queue.endpoint).await, (0..count).collect::<Vec<_>>());
}

#[test]
fn an_unfinished_removal_is_finished_and_foreign_names_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("upstream.default.moved");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("00000000000000000000.log"), b"half gone").unwrap();
    std::fs::create_dir(folder.path().join("lost+found")).unwrap();
    drop(open(folder.path(), BYTES_MAX).unwrap());
    assert_eq!(names(folder.path()), ["log", "lost+found"]);
}
