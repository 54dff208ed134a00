//! A disk in memory that does to its users what real disks do, on demand and repeatably from a seed.
//!
//! Each file has two lives: what a running process sees (`visible`), and what would be there after a power cut (`durable`), with
//! the changes in between. The same holds for the names in the folders. A crash keeps a random part of the changes: some
//! first ones whole, the next one possibly torn (a prefix, or with sectors missing), none after it.
//!
//! A failed sync of a file forgets the changes it was to make durable while they stay visible, as Linux does: a second sync
//! then reports success and has written nothing. Whoever retries a sync loses data here. Changes of names stay in order
//! and are never forgotten, as in a file system with a journal.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::file_layer::{Access, FileLayer, LayerFile, LockGuard};

const SECTOR_BYTES: usize = 512;

/// The disk. Clones are the same one.
#[derive(Debug, Clone)]
pub struct FaultyFiles {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug)]
struct Disk {
    random: u64,
    /// Counts crashes; handles opened before the last one are dead.
    generation: u64,
    crashed: bool,
    crash_after_ops: Option<u64>,
    ops: u64,
    capacity_bytes: Option<u64>,
    good_syncs_before: u32,
    failing_syncs: u32,
    failing_truncates: u32,
    short_writes: bool,
    reads: u64,
    next_id: u64,
    contents: BTreeMap<u64, Contents>,
    visible_names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    pending_names: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
}

#[derive(Debug, Default)]
struct Contents {
    visible: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, data: Vec<u8> },
    Truncate(usize),
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Write { at, data } => {
                if contents.len() < at + data.len() {
                    contents.resize(at + data.len(), 0);
                }
                contents[*at..at + data.len()].copy_from_slice(data);
            }
            Change::Truncate(bytes) => contents.resize(*bytes, 0),
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            NameChange::Set(path, id) => {
                names.insert(path.clone(), *id);
            }
            NameChange::Remove(path) => {
                names.remove(path);
            }
            NameChange::Rename(from, to) => {
                // A folder takes its files along.
                let moved: Vec<PathBuf> = names.keys().filter(|path| path.starts_with(from)).cloned().collect();
                for path in moved {
                    if let (Some(id), Ok(rest)) = (names.remove(&path), path.strip_prefix(from)) {
                        // Components compare: nothing behind a slash is the path itself.
                        names.insert(to.join(rest), id);
                    }
                }
            }
        }
    }
}

impl FaultyFiles {
    /// An empty disk without faults yet. The same seed and the same operations give the same faults.
    pub fn new(seed: u64) -> Self {
        let disk = Disk {
            random: seed,
            generation: 0,
            crashed: false,
            crash_after_ops: None,
            ops: 0,
            capacity_bytes: None,
            good_syncs_before: 0,
            failing_syncs: 0,
            failing_truncates: 0,
            short_writes: false,
            reads: 0,
            next_id: 0,
            contents: BTreeMap::new(),
            visible_names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            locks: BTreeSet::new(),
        };
        FaultyFiles { disk: Arc::new(Mutex::new(disk)) }
    }

    /// Cuts the power during the `ops`-th changing operation from now (0: the next one). Everything fails from then on.
    pub fn crash_after(&self, ops: u64) {
        self.disk().crash_after_ops = Some(ops);
    }

    /// Takes back [`FaultyFiles::crash_after`].
    pub fn cancel_crash(&self) {
        self.disk().crash_after_ops = None;
    }

    /// Cuts the power now.
    pub fn crash(&self) {
        self.disk().crash();
    }

    /// Whether the power was cut.
    pub fn has_crashed(&self) -> bool {
        self.disk().crashed
    }

    /// Turns the power on again: what survived is there, and handles from before stay dead.
    pub fn restart(&self) {
        let mut disk = self.disk();
        if !disk.crashed {
            disk.crash();
        }
        disk.crashed = false;
        disk.crash_after_ops = None;
        disk.failing_syncs = 0;
        disk.failing_truncates = 0;
    }

    /// Lets all files together have at most this many bytes; `None` for no limit.
    pub fn set_capacity_bytes(&self, capacity_bytes: Option<u64>) {
        self.disk().capacity_bytes = capacity_bytes;
    }

    /// What all files have together.
    pub fn used_bytes(&self) -> u64 {
        self.disk().used_bytes()
    }

    /// Lets the next `count` syncs fail.
    pub fn fail_syncs(&self, count: u32) {
        self.disk().failing_syncs = count;
    }

    /// Lets one sync fail after `good` that succeed.
    pub fn fail_sync_after(&self, good: u32) {
        let mut disk = self.disk();
        disk.good_syncs_before = good;
        disk.failing_syncs = 1;
    }

    /// Lets the next `count` truncations fail.
    pub fn fail_truncates(&self, count: u32) {
        self.disk().failing_truncates = count;
    }

    /// Lets writes write less than they were given, at random.
    pub fn set_short_writes(&self, short_writes: bool) {
        self.disk().short_writes = short_writes;
    }

    /// How many changing operations (create, write, truncate, rename, remove, sync) there were.
    pub fn ops(&self) -> u64 {
        self.disk().ops
    }

    /// How many reads there were.
    pub fn reads(&self) -> u64 {
        self.disk().reads
    }

    /// A file's contents as a process sees them.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk();
        Some(disk.contents.get(disk.visible_names.get(path)?)?.visible.clone())
    }

    /// Puts a file on the disk, durably.
    pub fn put(&self, path: &Path, contents: Vec<u8>) {
        let mut disk = self.disk();
        let id = disk.new_id();
        let durable = Contents { visible: contents.clone(), durable: contents, pending: Vec::new() };
        disk.contents.insert(id, durable);
        disk.visible_names.insert(path.to_owned(), id);
        disk.durable_names.insert(path.to_owned(), id);
    }

    /// Takes a file off the disk, durably.
    pub fn take(&self, path: &Path) -> Option<Vec<u8>> {
        let mut disk = self.disk();
        disk.durable_names.remove(path);
        let id = disk.visible_names.remove(path)?;
        disk.contents.get(&id).map(|contents| contents.visible.clone())
    }

    /// The paths of all files, in order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.disk().visible_names.keys().cloned().collect()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // A test that panics elsewhere should show its own message, not this one's.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, id: u64, generation: u64) -> Arc<dyn LayerFile> {
        Arc::new(FaultyFile { disk: self.clone(), id, generation })
    }
}

impl Disk {
    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number up to and including `max`.
    fn random_to(&mut self, max: usize) -> usize {
        (self.random() % (max as u64 + 1)) as usize
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn alive(&self, generation: u64) -> io::Result<()> {
        let alive = !self.crashed && self.generation == generation;
        if alive { Ok(()) } else { Err(io::Error::other("the power was cut")) }
    }

    /// Counts a changing operation; true when the power is to be cut during it.
    fn cut_now(&mut self) -> bool {
        self.ops += 1;
        match &mut self.crash_after_ops {
            Some(0) => true,
            Some(ops) => {
                *ops -= 1;
                false
            }
            None => false,
        }
    }

    /// Counts a sync; true when it is one that fails.
    fn fails_sync(&mut self) -> bool {
        if self.failing_syncs == 0 {
            return false;
        }
        if self.good_syncs_before > 0 {
            self.good_syncs_before -= 1;
            return false;
        }
        self.failing_syncs -= 1;
        true
    }

    fn crash(&mut self) {
        self.crashed = true;
        self.generation += 1;
        self.locks.clear();
        let mut pending = std::mem::take(&mut self.pending_names);
        pending.truncate(self.random_to(pending.len()));
        for change in pending {
            change.apply(&mut self.durable_names);
        }
        self.visible_names = self.durable_names.clone();
        let mut contents = std::mem::take(&mut self.contents);
        for file in contents.values_mut() {
            self.keep_some_of(file);
            file.visible = file.durable.clone();
        }
        self.contents = contents;
    }

    /// Makes a random part of the pending changes durable and forgets the rest.
    fn keep_some_of(&mut self, file: &mut Contents) {
        let pending = std::mem::take(&mut file.pending);
        let whole = self.random_to(pending.len());
        for change in &pending[..whole] {
            change.apply(&mut file.durable);
        }
        if let Some(Change::Write { at, data }) = pending.get(whole) {
            self.tear(*at, data).apply(&mut file.durable);
        }
    }

    /// What is left of a write that was under way.
    fn tear(&mut self, at: usize, data: &[u8]) -> Change {
        let mut kept = data[..self.random_to(data.len())].to_vec();
        if self.random_to(1) == 1 {
            // The length made it to the disk, some sectors did not.
            kept = data.to_vec();
            let mut lost_one = false;
            for sector in kept.chunks_mut(SECTOR_BYTES) {
                if self.random_to(1) == 1 {
                    sector.fill(0);
                    lost_one = true;
                }
            }
            if !lost_one {
                kept.truncate(kept.len() / 2);
            }
        }
        Change::Write { at, data: kept }
    }

    fn used_bytes(&self) -> u64 {
        self.visible_names.values().map(|id| self.contents[id].visible.len() as u64).sum()
    }

    fn change(&mut self, id: u64, change: Change) {
        let file = self.contents.get_mut(&id).expect("ids are never removed");
        change.apply(&mut file.visible);
        file.pending.push(change);
    }

    fn change_name(&mut self, change: NameChange) -> io::Result<()> {
        change.apply(&mut self.visible_names);
        self.pending_names.push(change);
        if self.cut_now() {
            self.crash();
            return self.alive(self.generation);
        }
        Ok(())
    }
}

impl FileLayer for FaultyFiles {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk();
        disk.alive(disk.generation)?;
        let inside = disk.visible_names.keys().filter_map(|path| path.strip_prefix(dir).ok()?.iter().next()?.to_str());
        // A folder stands between its files, which are next to each other.
        let mut names: Vec<String> = inside.map(str::to_owned).collect();
        names.dedup();
        Ok(names)
    }

    fn create(&self, path: &Path, _access: Access) -> io::Result<Arc<dyn LayerFile>> {
        let mut disk = self.disk();
        let generation = disk.generation;
        disk.alive(generation)?;
        let id = match disk.visible_names.get(path) {
            Some(&id) => {
                disk.change(id, Change::Truncate(0));
                id
            }
            None => {
                let id = disk.new_id();
                disk.contents.insert(id, Contents::default());
                disk.change_name(NameChange::Set(path.to_owned(), id))?;
                id
            }
        };
        Ok(self.handle(id, generation))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LayerFile>> {
        let disk = self.disk();
        disk.alive(disk.generation)?;
        let id = disk.visible_names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(*id, disk.generation))
    }

    fn open_writable(&self, path: &Path) -> io::Result<Arc<dyn LayerFile>> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.alive(disk.generation)?;
        disk.change_name(NameChange::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.alive(disk.generation)?;
        if !disk.visible_names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.change_name(NameChange::Remove(path.to_owned()))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        if self.list(dir)?.is_empty() { Ok(()) } else { Err(io::ErrorKind::DirectoryNotEmpty.into()) }
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.alive(disk.generation)?;
        if disk.cut_now() {
            disk.crash();
            return disk.alive(disk.generation);
        }
        let failed = disk.fails_sync();
        let count = disk.pending_names.len();
        let reached = if failed { disk.random_to(count) } else { count };
        let changes: Vec<NameChange> = disk.pending_names.drain(..reached).collect();
        changes.iter().for_each(|change| change.apply(&mut disk.durable_names));
        if failed { Err(io::Error::other("injected: the folder was not synced")) } else { Ok(()) }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        let mut disk = self.disk();
        disk.alive(disk.generation)?;
        if !disk.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        let guard = HeldLock { disk: self.clone(), path: path.to_owned(), generation: disk.generation };
        Ok(Some(Box::new(guard) as Box<dyn Any + Send + Sync>))
    }
}

struct HeldLock {
    disk: FaultyFiles,
    path: PathBuf,
    generation: u64,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let mut disk = self.disk.disk();
        if disk.generation == self.generation {
            disk.locks.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyFiles,
    id: u64,
    generation: u64,
}

impl FaultyFile {
    fn disk(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.disk();
        disk.alive(self.generation)?;
        Ok(disk)
    }
}

impl LayerFile for FaultyFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk()?.contents[&self.id].visible.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut disk = self.disk()?;
        disk.reads += 1;
        let rest = disk.contents[&self.id].visible.get(at as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, data: &[u8], at: u64) -> io::Result<usize> {
        let mut disk = self.disk()?;
        let at = at as usize;
        let mut bytes = data.len();
        if let Some(capacity_bytes) = disk.capacity_bytes {
            let overwritten = disk.contents[&self.id].visible.len().saturating_sub(at);
            bytes = bytes.min(overwritten + capacity_bytes.saturating_sub(disk.used_bytes()) as usize);
            if bytes == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        if disk.short_writes {
            bytes = 1 + disk.random_to(bytes - 1);
        }
        disk.change(self.id, Change::Write { at, data: data[..bytes].to_vec() });
        if disk.cut_now() {
            disk.crash();
            return disk.alive(self.generation).map(|()| 0);
        }
        Ok(bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut disk = self.disk()?;
        if disk.failing_truncates > 0 {
            disk.failing_truncates -= 1;
            return Err(io::Error::other("injected: the file was not cut"));
        }
        disk.change(self.id, Change::Truncate(bytes as usize));
        if disk.cut_now() {
            disk.crash();
            return disk.alive(self.generation);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.disk()?;
        if disk.cut_now() {
            disk.crash();
            return disk.alive(self.generation);
        }
        let mut file = disk.contents.remove(&self.id).expect("ids are never removed");
        let failed = disk.fails_sync();
        if failed {
            disk.keep_some_of(&mut file);
        } else {
            std::mem::take(&mut file.pending).iter().for_each(|change| change.apply(&mut file.durable));
        }
        disk.contents.insert(self.id, file);
        if failed { Err(io::Error::other("injected: the file was not synced")) } else { Ok(()) }
    }
}
