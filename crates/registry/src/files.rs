//! Files that devices upload: their rows. The bytes stand in the data folder, looked after by the hub.
//!
//! ```text
//!   open ──► stage (a block) … ──► commit (a blob, as often as wanted) ──► keep ──► gone ──► forgotten
//!     └───────────────── its time is over, the device says that it failed ──────────▲
//! ```

use super::engine::{Locks, Statement, Transaction, retried};
use super::{Act, Registry, SecretHash, StoreError};

const TABLE: &str = "device_files";

/// What a transaction over files is for.
const CHANGE: Act = Act { act: "change the files of devices", table: TABLE };

/// How much may be uploaded.
#[derive(Debug, Clone, Copy)]
pub struct FileLimits {
    /// Open uploads of one device.
    pub open_of_device: u64,
    /// Files of one device, open uploads included.
    pub of_device: u64,
    /// Their bytes.
    pub bytes_of_device: u64,
    /// Files of one application.
    pub of_application: u64,
    /// Their bytes.
    pub bytes_of_application: u64,
    /// Blocks of one upload that wait for a list.
    pub blocks: u64,
}

/// An upload to be opened.
#[derive(Debug, Clone)]
pub struct NewFile<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whose it is.
    pub device: &'a str,
    /// That device's generation.
    pub generation: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Of what the device writes with.
    pub secret: &'a SecretHash,
    /// Until when it may write.
    pub ends_ms: i64,
}

/// Whether an upload was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenedFile {
    /// It was.
    Open,
    /// The device has as many open uploads as it may.
    TooManyOpen,
    /// There are as many files, or bytes, as may be.
    Full,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// The device may write.
    Open,
    /// The device is done with it.
    Kept,
    /// It is to be removed.
    Gone,
}

/// A file, or one that may become one.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FileRow {
    /// Whose it is.
    pub application: String,
    /// Its id.
    pub id: String,
    /// The device it is of.
    pub device: String,
    /// That device's generation.
    pub generation: String,
    /// Its name.
    pub name: String,
    /// `open`, `kept` or `gone`.
    state: String,
    /// The file its bytes are in.
    pub content: Option<String>,
    /// What they are, as the device says.
    pub content_type: Option<String>,
    /// Changes with every blob.
    pub etag: Option<String>,
    /// How many there are.
    pub bytes: i64,
    /// When they were committed.
    pub committed_ms: i64,
    /// Until when it is open, or kept.
    pub ends_ms: i64,
}

impl FileRow {
    /// What becomes of it.
    pub fn state(&self) -> FileState {
        match self.state.as_str() {
            "open" => FileState::Open,
            "kept" => FileState::Kept,
            _ => FileState::Gone,
        }
    }
}

/// Its columns.
const COLUMNS: &str =
    "application, id, device, generation, name, state, content, content_type, etag, bytes, committed_ms, ends_ms";

/// A blob whose bytes are durable.
#[derive(Debug, Clone)]
pub struct WrittenBlob<'a> {
    /// The file they are in.
    pub content: &'a str,
    /// What they are.
    pub content_type: Option<&'a str>,
    /// Changes with every blob.
    pub etag: &'a str,
    /// How many there are.
    pub bytes: u64,
}

/// What became of bytes that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenFile {
    /// They count.
    Written {
        /// The file of the blob that was replaced.
        replaced: Option<String>,
    },
    /// There are as many bytes, or blocks, as may be.
    Full,
    /// The upload is not open any more, or its device is gone.
    Ended,
}

/// What became of an upload that its device is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptFile {
    /// It is listed.
    Kept,
    /// Nothing was uploaded.
    Nothing,
    /// There is no such open upload.
    Ended,
}

#[derive(sqlx::FromRow)]
struct Sums {
    files: i64,
    open: i64,
    bytes: i64,
}

impl Sums {
    fn may_take(&self, files: u64, files_max: u64, bytes: u64, bytes_max: u64) -> bool {
        let fits = |have: i64, more: u64, most: u64| have.unsigned_abs().saturating_add(more) <= most;
        fits(self.files, files, files_max) && fits(self.bytes, bytes, bytes_max)
    }
}

async fn sums(transaction: &mut Transaction, application: &str, device: Option<&str>) -> Result<Sums, StoreError> {
    let whose = if device.is_some() { "application = $1 AND device = $2" } else { "application = $1" };
    let sql = format!(
        "SELECT COUNT(*) AS files, COUNT(CASE state WHEN 'open' THEN 1 END) AS open, \
         CAST(COALESCE(SUM(bytes + staged_bytes), 0) AS BIGINT) AS bytes FROM device_files WHERE {whose}"
    );
    let statement = Statement::new("count the files of devices", TABLE, sql).bind(application);
    let statement = match device {
        Some(device) => statement.bind(device),
        None => statement,
    };
    let sums = transaction.fetch_optional(&statement).await?;
    Ok(sums.unwrap_or(Sums { files: 0, open: 0, bytes: 0 }))
}

/// Whether there is room for more files and bytes.
async fn has_room(
    transaction: &mut Transaction,
    (application, device): (&str, &str),
    (files, bytes): (u64, u64),
    limits: &FileLimits,
) -> Result<bool, StoreError> {
    let of_device = sums(transaction, application, Some(device)).await?;
    let of_application = sums(transaction, application, None).await?;
    Ok(of_device.may_take(files, limits.of_device, bytes, limits.bytes_of_device)
        && of_application.may_take(files, limits.of_application, bytes, limits.bytes_of_application))
}

/// An upload that is open, and whose device is the one it was opened by.
const IS_OPEN: &str = "application = $1 AND id = $2 AND state = 'open' AND ends_ms > $3 AND EXISTS (SELECT 1 FROM devices \
     WHERE devices.application = $1 AND devices.id = device_files.device \
     AND devices.generation_id = device_files.generation)";

async fn open_row(
    transaction: &mut Transaction,
    application: &str,
    id: &str,
    now_ms: i64,
) -> Result<Option<FileRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM device_files WHERE {IS_OPEN}");
    let statement = Statement::new("read an open upload", TABLE, sql).bind(application).bind(id).bind(now_ms);
    transaction.fetch_optional(&statement).await
}

impl Registry {
    async fn files_begin(&self, application: &str) -> Result<Transaction, StoreError> {
        self.engine.begin(&Locks::table(application, TABLE), CHANGE).await
    }

    /// Opens an upload, if there is room for another.
    pub async fn file_open(
        &self,
        application: &str,
        file: &NewFile<'_>,
        limits: &FileLimits,
    ) -> Result<OpenedFile, StoreError> {
        retried!(self.engine, {
            let mut transaction = self.files_begin(application).await?;
            let open = sums(&mut transaction, application, Some(file.device)).await?.open;
            if open.unsigned_abs() >= limits.open_of_device {
                return Ok(OpenedFile::TooManyOpen);
            }
            // One byte: whoever has no room for it has none for any file.
            if !has_room(&mut transaction, (application, file.device), (1, 1), limits).await? {
                return Ok(OpenedFile::Full);
            }
            let sql = "INSERT INTO device_files (application, id, device, generation, name, secret_hash, state, bytes, \
                 staged_bytes, staged_blocks, committed_ms, ends_ms) VALUES ($1, $2, $3, $4, $5, $6, 'open', 0, 0, 0, 0, $7)";
            let insert = Statement::new("open an upload", TABLE, sql)
                .bind(application)
                .bind(file.id)
                .bind(file.device)
                .bind(file.generation)
                .bind(file.name)
                .bind(file.secret.hex())
                .bind(file.ends_ms);
            transaction.execute(&insert).await?;
            transaction.commit().await?;
            Ok(OpenedFile::Open)
        })
    }

    /// The upload that is written with a secret, whatever became of it.
    pub async fn file_by_secret(&self, application: &str, secret: &SecretHash) -> Result<Option<FileRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM device_files WHERE application = $1 AND secret_hash = $2");
        let statement = Statement::new("find an upload", TABLE, sql).bind(application).bind(secret.hex());
        self.engine.fetch_optional(statement).await
    }

    /// A kept file of a device.
    pub async fn file_get(&self, application: &str, device: &str, id: &str) -> Result<Option<FileRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM device_files WHERE application = $1 AND device = $2 AND id = $3 AND state = 'kept' \
             AND {OF_DEVICE}"
        );
        let statement = Statement::new("read a file of a device", TABLE, sql).bind(application).bind(device).bind(id);
        self.engine.fetch_optional(statement).await
    }

    /// The kept file of a name.
    pub async fn file_named(&self, application: &str, device: &str, name: &str) -> Result<Option<FileRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM device_files WHERE application = $1 AND device = $2 AND name = $3 AND state = 'kept' \
             AND {OF_DEVICE}"
        );
        let statement = Statement::new("find a file of a device", TABLE, sql).bind(application).bind(device).bind(name);
        self.engine.fetch_optional(statement).await
    }

    /// The kept files of a device, by name.
    pub async fn files_list(&self, application: &str, device: &str, most: u64) -> Result<Vec<FileRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM device_files WHERE application = $1 AND device = $2 AND state = 'kept' \
             AND {OF_DEVICE} ORDER BY name LIMIT $3"
        );
        let statement = Statement::new("list the files of a device", TABLE, sql);
        self.engine.fetch_all(statement.bind(application).bind(device).bind(most)).await
    }

    /// Counts a block that was written. One that is written again counts again, until there is a list.
    pub async fn file_stage(
        &self,
        application: &str,
        id: &str,
        bytes: u64,
        limits: &FileLimits,
        now_ms: i64,
    ) -> Result<WrittenFile, StoreError> {
        retried!(self.engine, {
            let mut transaction = self.files_begin(application).await?;
            let Some(row) = open_row(&mut transaction, application, id, now_ms).await? else {
                return Ok(WrittenFile::Ended);
            };
            if !has_room(&mut transaction, (application, &row.device), (0, bytes), limits).await? {
                return Ok(WrittenFile::Full);
            }
            let sql = "UPDATE device_files SET staged_bytes = staged_bytes + $3, staged_blocks = staged_blocks + 1 \
                 WHERE application = $1 AND id = $2 AND staged_blocks < $4";
            let update = Statement::new("count a block of an upload", TABLE, sql);
            let update = update.bind(application).bind(id).bind(bytes).bind(limits.blocks);
            if transaction.execute(&update).await? == 0 {
                return Ok(WrittenFile::Full);
            }
            transaction.commit().await?;
            Ok(WrittenFile::Written { replaced: None })
        })
    }

    /// Makes a blob the content of an upload, in place of the one before. Its blocks do not count any more.
    pub async fn file_commit(
        &self,
        application: &str,
        id: &str,
        blob: &WrittenBlob<'_>,
        limits: &FileLimits,
        now_ms: i64,
    ) -> Result<WrittenFile, StoreError> {
        retried!(self.engine, {
            let mut transaction = self.files_begin(application).await?;
            let Some(row) = open_row(&mut transaction, application, id, now_ms).await? else {
                return Ok(WrittenFile::Ended);
            };
            let sql = "UPDATE device_files SET content = $3, content_type = $4, etag = $5, bytes = $6, committed_ms = $7, \
                 staged_bytes = 0, staged_blocks = 0 WHERE application = $1 AND id = $2";
            let update = Statement::new("commit an upload", TABLE, sql)
                .bind(application)
                .bind(id)
                .bind(blob.content)
                .bind(blob.content_type)
                .bind(blob.etag)
                .bind(blob.bytes)
                .bind(now_ms);
            transaction.execute(&update).await?;
            if !has_room(&mut transaction, (application, &row.device), (0, 0), limits).await? {
                return Ok(WrittenFile::Full);
            }
            transaction.commit().await?;
            Ok(WrittenFile::Written { replaced: row.content })
        })
    }

    /// The device is done with an upload: of the files of one name that was kept whose blob was committed last.
    pub async fn file_keep(
        &self,
        application: &str,
        device: &str,
        id: &str,
        ends_ms: i64,
        now_ms: i64,
    ) -> Result<KeptFile, StoreError> {
        retried!(self.engine, {
            let mut transaction = self.files_begin(application).await?;
            let row = open_row(&mut transaction, application, id, now_ms).await?;
            let Some(row) = row.filter(|row| row.device == device) else { return Ok(KeptFile::Ended) };
            if row.content.is_none() {
                return Ok(KeptFile::Nothing);
            }
            let sql = "UPDATE device_files SET state = 'kept', ends_ms = $3 WHERE application = $1 AND id = $2";
            let keep = Statement::new("keep an upload", TABLE, sql).bind(application).bind(id).bind(ends_ms);
            transaction.execute(&keep).await?;
            let sql = "UPDATE device_files SET state = 'gone' WHERE application = $1 AND device = $2 AND name = $3 \
                 AND state = 'kept' AND id <> (SELECT last.id FROM device_files AS last WHERE last.application = $1 \
                 AND last.device = $2 AND last.name = $3 AND last.state = 'kept' \
                 ORDER BY last.committed_ms DESC, CASE last.id WHEN $4 THEN 0 ELSE 1 END LIMIT 1)";
            let replace = Statement::new("replace a file", TABLE, sql).bind(application).bind(device);
            transaction.execute(&replace.bind(&row.name).bind(id)).await?;
            transaction.commit().await?;
            Ok(KeptFile::Kept)
        })
    }

    /// Gives up a file in the state it must be in; `false` when there is none.
    pub async fn file_end(
        &self,
        application: &str,
        device: &str,
        id: &str,
        state: FileState,
    ) -> Result<bool, StoreError> {
        let state = match state {
            FileState::Open => "open",
            FileState::Kept => "kept",
            FileState::Gone => "gone",
        };
        let sql =
            "UPDATE device_files SET state = 'gone' WHERE application = $1 AND device = $2 AND id = $3 AND state = $4";
        let statement =
            Statement::new("give up a file", TABLE, sql).bind(application).bind(device).bind(id).bind(state);
        Ok(self.engine.execute(statement).await? > 0)
    }

    /// Gives up all files whose time is over or whose device is gone, and answers some of those that were given up.
    pub async fn files_ended(&self, now_ms: i64, most: u64) -> Result<Vec<FileRow>, StoreError> {
        let end = format!(
            "UPDATE device_files SET state = 'gone' WHERE state IN ('open', 'kept') AND (ends_ms <= $1 OR NOT {OF_DEVICE})"
        );
        self.engine.execute(Statement::new("give up old files", TABLE, end).bind(now_ms)).await?;
        let sql = format!("SELECT {COLUMNS} FROM device_files WHERE state = 'gone' ORDER BY application, id LIMIT $1");
        self.engine.fetch_all(Statement::new("list the files to be removed", TABLE, sql).bind(most)).await
    }

    /// Every file of an application, by id.
    pub async fn files_of_application(
        &self,
        application: &str,
        after: &str,
        most: u64,
    ) -> Result<Vec<FileRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM device_files WHERE application = $1 AND id > $2 ORDER BY id LIMIT $3");
        let statement = Statement::new("list the files of an application", TABLE, sql);
        self.engine.fetch_all(statement.bind(application).bind(after).bind(most)).await
    }

    /// Forgets a file whose bytes were removed.
    pub async fn file_forget(&self, application: &str, id: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM device_files WHERE application = $1 AND id = $2 AND state = 'gone'";
        let statement = Statement::new("forget a file", TABLE, sql).bind(application).bind(id);
        self.engine.execute(statement).await.map(drop)
    }
}

/// A file of a device that is there, and the one it was.
const OF_DEVICE: &str = "EXISTS (SELECT 1 FROM devices WHERE devices.application = device_files.application \
     AND devices.id = device_files.device AND devices.generation_id = device_files.generation)";
