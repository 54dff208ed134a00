//! Files at their limits, over time and after kills; what devices and people see is in `central/tests/it/files.rs`.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use registry::{ApplicationRow, NewDevice};
use tempfile::TempDir;

use super::*;

struct Rig {
    folder: TempDir,
    registry: Registry,
    files: Files,
    now_ms: Arc<AtomicI64>,
    free_bytes: Arc<AtomicU64>,
}

impl Rig {
    async fn new() -> Self {
        Self::with(FileOptions::default().limits).await
    }

    async fn with(limits: FileLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        let registry = Registry::open(&folder.path().join("registry.db")).await.unwrap();
        let application = ApplicationRow { id: "a".into(), name: "a".into(), id_scope: "0nea".into(), created_ms: 0 };
        registry.application_create(&application, &[]).await.unwrap();
        for device in ["d", "e"] {
            let device = NewDevice { id: device.into(), enabled: true, ..NewDevice::default() };
            registry.device_create("a", device).await.unwrap();
        }
        let (now_ms, free_bytes) = (Arc::new(AtomicI64::new(1_000_000)), Arc::new(AtomicU64::new(u64::MAX)));
        let (now, free) = (Arc::clone(&now_ms), Arc::clone(&free_bytes));
        let options = FileOptions {
            limits,
            clock: Arc::new(move || now.load(Ordering::Relaxed)),
            free_bytes: Arc::new(move || Some(free.load(Ordering::Relaxed))),
        };
        let files = Files::new(registry.clone(), folder.path().join("files"), options);
        Self { folder, registry, files, now_ms, free_bytes }
    }

    fn pass(&self, time: Duration) {
        self.now_ms.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    async fn open(&self, device: &str, name: &str) -> Result<(Upload, FileRow), FileError> {
        let generation = self.registry.device_admitted("a", device).await.unwrap().unwrap().device.generation_id;
        let upload = self.files.open("a", device, &generation, name).await?;
        let row = self.files.by_secret("a", &upload.secret).await.unwrap().unwrap();
        Ok((upload, row))
    }

    async fn commit(&self, row: &FileRow, bytes: &[u8]) -> Result<String, FileError> {
        let mut writing = self.files.write(row, bytes.len() as u64).await?;
        writing.write(bytes).await?;
        self.files.commit(row, writing, None).await
    }

    async fn stage(&self, row: &FileRow, block: &[u8], bytes: &[u8]) -> Result<(), FileError> {
        let mut writing = self.files.write(row, bytes.len() as u64).await?;
        writing.write(bytes).await?;
        self.files.stage(row, writing, block).await
    }

    async fn keep(&self, row: &FileRow) -> KeptFile {
        self.files.keep("a", &row.device, &row.id, true).await.unwrap()
    }

    async fn names(&self, device: &str) -> Vec<String> {
        let rows = self.registry.files_list("a", device, DEVICE_FILES_MAX).await.unwrap();
        rows.into_iter().map(|row| row.name).collect()
    }

    async fn read(&self, device: &str) -> Vec<u8> {
        let row = self.registry.files_list("a", device, DEVICE_FILES_MAX).await.unwrap().remove(0);
        std::fs::read(self.files.folder_of(&row).join(row.content.unwrap())).unwrap()
    }

    fn on_disk(&self, row: &FileRow) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.files.folder_of(row)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn the_limits_are_those_that_are_named() {
    let limits = FileOptions::default().limits;
    assert_eq!((limits.open_of_device, limits.of_device), (FILE_UPLOADS_OPEN_MAX, DEVICE_FILES_MAX));
    assert_eq!(limits.bytes_of_device, DEVICE_FILES_BYTES_MAX);
    assert_eq!(limits.of_application, APPLICATION_FILES_MAX);
    assert_eq!((limits.bytes_of_application, limits.blocks), (APPLICATION_FILES_BYTES_MAX, FILE_BLOCKS_MAX));
}

#[tokio::test]
async fn as_much_is_taken_as_may_be_and_room_comes_back() {
    let limits = FileLimits {
        open_of_device: 2,
        of_device: 3,
        bytes_of_device: 10,
        of_application: 4,
        bytes_of_application: 14,
        blocks: 2,
    };
    let rig = Rig::with(limits).await;
    let (_, a) = rig.open("d", "a").await.unwrap();
    let (_, b) = rig.open("d", "b").await.unwrap();
    assert!(matches!(rig.open("d", "c").await, Err(FileError::TooManyOpen)));
    // Bytes of one device, a blob in place of another, blocks too.
    rig.commit(&a, b"123456").await.unwrap();
    assert!(matches!(rig.commit(&b, b"12345").await, Err(FileError::Full)));
    assert!(matches!(rig.stage(&b, b"1", b"12345").await, Err(FileError::Full)));
    assert_eq!(rig.on_disk(&b), Vec::<String>::new(), "what does not count is not kept");
    rig.commit(&a, b"12345").await.unwrap();
    assert_eq!(rig.on_disk(&a).len(), 1);
    rig.stage(&b, b"1", b"12").await.unwrap();
    rig.stage(&b, b"2", b"345").await.unwrap();
    assert!(matches!(rig.stage(&b, b"3", b"").await, Err(FileError::Full)), "two blocks may wait");
    let joined = rig.files.join(&b, &[b"2".to_vec(), b"1".to_vec()]).await.unwrap();
    rig.files.commit(&b, joined, None).await.unwrap();
    assert_eq!(rig.on_disk(&b).len(), 1, "the blocks are in the blob");
    assert_eq!((rig.keep(&a).await, rig.keep(&b).await), (KeptFile::Kept, KeptFile::Kept));
    // Bytes of the application.
    let (_, e) = rig.open("e", "e").await.unwrap();
    assert!(matches!(rig.commit(&e, b"12345").await, Err(FileError::Full)));
    rig.commit(&e, b"1234").await.unwrap();
    assert!(matches!(rig.open("e", "f").await, Err(FileError::Full)), "not a byte is left");
    // Files of the device, and of the application.
    assert!(rig.files.remove("a", "d", &b.id).await.unwrap());
    let (_, c) = rig.open("d", "c").await.unwrap();
    let (_, _) = rig.open("d", "x").await.unwrap();
    assert!(matches!(rig.open("e", "f").await, Err(FileError::Full)), "there are four");
    assert!(matches!(rig.open("d", "y").await, Err(FileError::TooManyOpen)));
    rig.commit(&c, b"").await.unwrap();
    assert_eq!(rig.keep(&c).await, KeptFile::Kept);
    assert!(matches!(rig.open("d", "y").await, Err(FileError::Full)), "the device has three");
    assert_eq!(rig.names("d").await, ["a", "c"]);
}

#[tokio::test]
async fn no_file_is_larger_than_one_may_be() {
    let rig = Rig::new().await;
    let (_, row) = rig.open("d", "a").await.unwrap();
    let mut writing = rig.files.write(&row, 0).await.unwrap();
    writing.bytes = FILE_BYTES_MAX - 1;
    writing.write(b"1").await.unwrap();
    assert!(matches!(writing.write(b"2").await, Err(FileError::TooLarge)));
    drop(writing);
    assert_eq!(rig.on_disk(&row), Vec::<String>::new());
    // A list of blocks is added up before it is joined.
    rig.stage(&row, b"1", b"1").await.unwrap();
    let block = std::fs::OpenOptions::new().write(true).open(rig.files.folder_of(&row).join(block_name(b"1"))).unwrap();
    block.set_len(FILE_BYTES_MAX / 2 + 1).unwrap();
    let joined = rig.files.join(&row, &[b"1".to_vec(), b"1".to_vec()]).await;
    assert!(matches!(joined.map(drop), Err(FileError::TooLarge)));
}

#[tokio::test]
async fn files_leave_room_on_the_disk_and_say_so_before_it_is_full() {
    let rig = Rig::new().await;
    let (_, row) = rig.open("d", "a").await.unwrap();
    rig.commit(&row, b"before").await.unwrap();
    rig.free_bytes.store(FILES_LEAVE_BYTES + 3, Ordering::Relaxed);
    assert!(matches!(rig.commit(&row, b"1234").await, Err(FileError::DiskFull)), "as announced");
    let mut writing = rig.files.write(&row, 0).await.unwrap();
    rig.free_bytes.store(FILES_LEAVE_BYTES - 1, Ordering::Relaxed);
    assert!(matches!(writing.write(&vec![0; 1 << 20]).await, Err(FileError::DiskFull)), "while it is written");
    drop(writing);
    assert!(matches!(rig.open("d", "b").await, Err(FileError::DiskFull)));
    assert_eq!(rig.keep(&row).await, KeptFile::Kept, "what was uploaded is there");
    assert_eq!(rig.read("d").await, b"before");
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        assert!(matches!(failed("write")(kind.into()), FileError::DiskFull));
    }
}

#[tokio::test]
async fn so_many_write_at_the_same_time() {
    let rig = Rig::new().await;
    let (_, row) = rig.open("d", "a").await.unwrap();
    let mut writing = Vec::new();
    for _ in 0..FILE_WRITES_AT_ONCE_MAX {
        writing.push(rig.files.write(&row, 0).await.unwrap());
    }
    assert!(matches!(rig.files.write(&row, 0).await.map(drop), Err(FileError::Busy)));
    writing.pop();
    rig.commit(&row, b"x").await.unwrap();
}

#[tokio::test]
async fn the_last_commit_of_a_name_is_the_file() {
    let rig = Rig::new().await;
    let (_, first) = rig.open("d", "a").await.unwrap();
    let (_, second) = rig.open("d", "a").await.unwrap();
    rig.commit(&second, b"early").await.unwrap();
    rig.pass(Duration::from_secs(1));
    rig.commit(&first, b"late").await.unwrap();
    assert_eq!(rig.keep(&first).await, KeptFile::Kept);
    assert_eq!(rig.keep(&second).await, KeptFile::Kept, "its device hears no error, as with blob storage");
    assert_eq!(rig.names("d").await, ["a"]);
    assert_eq!(rig.read("d").await, b"late");
    // Within one millisecond the one that is told of last.
    let (_, third) = rig.open("d", "a").await.unwrap();
    rig.commit(&third, b"same time").await.unwrap();
    assert_eq!(rig.keep(&third).await, KeptFile::Kept);
    assert_eq!(rig.read("d").await, b"same time");
    rig.files.sweep().await.unwrap();
    assert_eq!((rig.on_disk(&first).len(), rig.on_disk(&second).len(), rig.on_disk(&third).len()), (0, 0, 1));
}

#[tokio::test]
async fn uploads_end_after_an_hour_and_files_after_their_time() {
    let rig = Rig::new().await;
    let (upload, silent) = rig.open("d", "silent").await.unwrap();
    rig.commit(&silent, b"x").await.unwrap();
    let (_, kept) = rig.open("d", "kept").await.unwrap();
    rig.commit(&kept, b"x").await.unwrap();
    rig.pass(FILE_UPLOAD_LIFE - Duration::from_millis(1));
    rig.files.sweep().await.unwrap();
    assert!(rig.files.by_secret("a", &upload.secret).await.unwrap().is_some());
    assert_eq!(rig.keep(&kept).await, KeptFile::Kept);
    rig.pass(Duration::from_millis(1));
    assert!(rig.files.by_secret("a", &upload.secret).await.unwrap().is_none());
    assert!(matches!(rig.commit(&silent, b"y").await, Err(FileError::Ended)));
    assert_eq!(rig.keep(&silent).await, KeptFile::Ended);
    rig.files.sweep().await.unwrap();
    assert_eq!(rig.on_disk(&silent), Vec::<String>::new());
    rig.pass(FILE_LIFE - Duration::from_millis(2));
    rig.files.sweep().await.unwrap();
    assert_eq!(rig.names("d").await, ["kept"]);
    rig.pass(Duration::from_millis(1));
    rig.files.sweep().await.unwrap();
    assert_eq!(rig.names("d").await, Vec::<String>::new());
    assert_eq!(rig.on_disk(&kept), Vec::<String>::new());
}

#[tokio::test]
async fn files_are_removed_unasked_also_more_than_in_one_go() {
    let rig = Rig::new().await;
    for device in 0..=FILES_PER_SWEEP_MAX {
        let device = NewDevice { id: format!("m{device}"), enabled: true, ..NewDevice::default() };
        let id = device.id.clone();
        rig.registry.device_create("a", device).await.unwrap();
        rig.open(&id, "a").await.unwrap();
    }
    rig.pass(FILE_UPLOAD_LIFE);
    tokio::time::pause();
    let stop = CancellationToken::new();
    let sweeping = tokio::spawn(rig.files.clone().run(stop.clone()));
    let all = || rig.registry.files_of_application("a", "", FILES_PER_SWEEP_MAX);
    while !all().await.unwrap().is_empty() {
        tokio::time::sleep(FILES_SWEEP_INTERVAL).await;
    }
    let (_, later) = rig.open("d", "later").await.unwrap();
    rig.commit(&later, b"x").await.unwrap();
    rig.pass(FILE_UPLOAD_LIFE);
    while !all().await.unwrap().is_empty() {
        tokio::time::sleep(FILES_SWEEP_INTERVAL).await;
    }
    assert_eq!(rig.on_disk(&later), Vec::<String>::new());
    stop.cancel();
    sweeping.await.unwrap();
}

#[tokio::test]
async fn what_a_kill_leaves_is_removed_and_what_counts_or_is_of_others_stays() {
    let rig = Rig::new().await;
    let (_, open) = rig.open("d", "open").await.unwrap();
    rig.stage(&open, b"1", b"block").await.unwrap();
    let (_, kept) = rig.open("d", "kept").await.unwrap();
    rig.commit(&kept, b"kept").await.unwrap();
    assert_eq!(rig.keep(&kept).await, KeptFile::Kept);
    // Killed while writing, before a blob was counted, before blocks were removed.
    for row in [&open, &kept] {
        for name in [".x.tmp", "content-uncounted"] {
            std::fs::write(rig.files.folder_of(row).join(name), "left").unwrap();
        }
    }
    std::fs::write(rig.files.folder_of(&kept).join(block_name(b"1")), "left").unwrap();
    let foreign = rig.folder.path().join("files/a/of-a-newer-registry");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("content-1"), "precious").unwrap();

    rig.files.clear_up().await.unwrap();
    assert_eq!(rig.on_disk(&open), [block_name(b"1")], "an upload goes on after a restart");
    assert_eq!(rig.on_disk(&kept).len(), 1);
    assert_eq!(rig.read("d").await, b"kept");
    assert!(foreign.join("content-1").exists());
    // Killed after a file was given up, before it was removed.
    rig.registry.file_end("a", "d", &kept.id, FileState::Kept).await.unwrap();
    rig.files.sweep().await.unwrap();
    assert_eq!(rig.on_disk(&kept), Vec::<String>::new());
    assert!(foreign.join("content-1").exists());
}
