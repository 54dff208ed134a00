//! Files of devices over HTTPS: where to upload one, the upload itself in the shape of blob storage, and that it is done.
//!
//! ```text
//! POST /devices/{d}/files                   ──► hostName, containerName, blobName, sasToken
//! PUT  /device-files/{d}/{name}{sasToken}   ──► the whole file, or blocks of it and a list of them
//! POST /devices/{d}/files/notifications     ──► listed, or removed
//! ```
//!
//! The `sasToken` is a secret for one upload: it writes the one blob, until the device says that it is done, for an hour at most.
//! What it allows is judged with every request, from the row of the upload and that of its device, and again when the bytes have
//! come: a device that is disabled, deleted or made anew meanwhile has uploaded nothing. Only parameters that storage clients
//! hand on unchanged are in it.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use events::clock::{now_ms, rfc3339_ms};
use http::{HeaderMap, Response, StatusCode, header, response};
use http_body_util::BodyExt;
use model::identity::Identity;
use protocol::hub::{bag, block_list};
use registry::{FileRow, KeptFile, new_id};
use serde::Deserialize;
use serde_json::json;
use transport::server::body::Allowance;

use super::error::HubHttpError;
use super::{Call, HubHttp, body_failed, json, no_content, query_parameter};
use crate::authenticate::may_connect;
use crate::files::{FileError, Writing};
use crate::limits::{
    FILE_BLOCK_LIST_BYTES_MAX, FILE_BLOCK_NAME_BYTES_MAX, FILE_BLOCKS_MAX, FILE_BYTES_MAX, FILE_NAME_BYTES_MAX,
    FILE_TYPE_BYTES_MAX, HUB_HTTP_CALL_BYTES_MAX,
};

/// First word of the paths of uploads, where storage has the name of a container.
const CONTAINER: &str = "device-files";

/// Version of the storage interface that is spoken.
const VERSION: &str = "2018-03-28";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpenFile {
    blob_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileDone {
    #[serde(default)]
    correlation_id: Option<String>,
    is_success: bool,
}

impl From<FileError> for HubHttpError {
    fn from(error: FileError) -> Self {
        let message = error.to_string();
        let (status, name) = match error {
            FileError::TooManyOpen => (StatusCode::FORBIDDEN, "DeviceMaximumActiveFileUploadLimitExceeded"),
            FileError::Full => (StatusCode::FORBIDDEN, "QuotaExceeded"),
            FileError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge"),
            FileError::Ended => return not_allowed(),
            FileError::NoBlock => (StatusCode::BAD_REQUEST, "InvalidBlockList"),
            FileError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "ServerBusy"),
            FileError::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage"),
            FileError::Store(error) => return error.into(),
            FileError::Io { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "a device's file could not be written");
                return Self::unavailable();
            }
        };
        Self::file(status, name, message)
    }
}

/// Whoever writes may not, and is not told why.
fn not_allowed() -> HubHttpError {
    let message = "the sasToken does not allow this: it is not known, is for another blob, or has ended";
    HubHttpError::file(StatusCode::FORBIDDEN, "AuthenticationFailed", message)
}

fn invalid(name: &'static str, message: &str) -> HubHttpError {
    HubHttpError::file(StatusCode::BAD_REQUEST, name, message)
}

/// Whether every client can write the name into a URL and get it back: segments with dots only are resolved on the way.
fn is_file_name(name: &str) -> bool {
    let is_segment = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
    name.len() <= FILE_NAME_BYTES_MAX
        && name.split('/').all(is_segment)
        && !name.chars().any(|letter| letter.is_control() || matches!(letter, '\\' | '?' | '#'))
}

impl HubHttp {
    /// Opens an upload.
    pub(super) async fn file_open(&self, call: &Call<'_>, device: &str) -> Result<Response<Body>, HubHttpError> {
        let caller = self.caller(call, &Identity::device(device)).await?;
        let asked: OpenFile = serde_json::from_slice(&call.body(HUB_HTTP_CALL_BYTES_MAX).await?)
            .map_err(|error| HubHttpError::bad_request(format!("the body names no blob: {error}")))?;
        let name = asked.blob_name;
        if !is_file_name(&name) {
            let message = format!(
                "blobName must be words with / between them, of {FILE_NAME_BYTES_MAX} bytes at the most, without \\ ? #"
            );
            return Err(HubHttpError::bad_request(message));
        }
        let upload = self.gateway.files.open(&caller.app, device, &caller.principal.generation, &name).await?;
        let ends = rfc3339_ms(upload.ends_ms).replace(':', "%3A");
        Ok(json(
            StatusCode::OK,
            &json!({
                "correlationId": upload.id,
                "hostName": self.host_of(call),
                "containerName": CONTAINER,
                "blobName": format!("{device}/{name}"),
                "sasToken": format!("?sv={VERSION}&sr=b&sig={}&se={ends}&sp=w", upload.secret),
            }),
        ))
    }

    /// The device is done with an upload.
    pub(super) async fn file_done(
        &self,
        call: &Call<'_>,
        device: &str,
        id: Option<&str>,
    ) -> Result<Response<Body>, HubHttpError> {
        let caller = self.caller(call, &Identity::device(device)).await?;
        let done: FileDone = serde_json::from_slice(&call.body(HUB_HTTP_CALL_BYTES_MAX).await?)
            .map_err(|error| HubHttpError::bad_request(format!("the body does not say how it went: {error}")))?;
        let id = id.or(done.correlation_id.as_deref());
        let id = id.ok_or_else(|| HubHttpError::bad_request("the correlationId is missing"))?;
        match self.gateway.files.keep(&caller.app, device, id, done.is_success).await? {
            KeptFile::Kept => Ok(no_content()),
            KeptFile::Nothing => Err(HubHttpError::bad_request("nothing was uploaded to the blob")),
            KeptFile::Ended => Err(HubHttpError::bad_request("the correlationId is of no open upload of the device")),
        }
    }

    /// Writes a blob, a block of one, or a list of its blocks.
    pub(super) async fn blob_put(&self, call: &Call<'_>) -> Result<Response<Body>, HubHttpError> {
        let upload = self.upload(call).await?;
        call.admit();
        let etag = match query_parameter(call.query, "comp").as_deref() {
            None => Some(self.put_blob(call, &upload).await?),
            Some("block") => {
                self.put_block(call, &upload).await?;
                None
            }
            Some("blocklist") => Some(self.put_block_list(call, &upload).await?),
            Some(_) => return Err(invalid("InvalidQueryParameterValue", "comp must be block or blocklist")),
        };
        let mut builder = Response::builder()
            .status(StatusCode::CREATED)
            .header("x-ms-request-id", new_id())
            .header("x-ms-version", VERSION)
            .header("x-ms-request-server-encrypted", "false");
        if let Some(etag) = etag {
            builder = builder.header(header::ETAG, format!("\"{etag}\"")).header(header::LAST_MODIFIED, http_date());
        }
        Ok(builder.body(Body::empty()).expect("the headers are well formed"))
    }

    /// The open upload a request may write.
    async fn upload(&self, call: &Call<'_>) -> Result<FileRow, HubHttpError> {
        let application = self.application(call).await?;
        let secret = query_parameter(call.query, "sig").ok_or_else(not_allowed)?;
        let upload = self.gateway.files.by_secret(&application.id, &secret).await?.ok_or_else(not_allowed)?;
        let path = call.path.strip_prefix('/').and_then(|path| path.split_once('/')).map_or("", |(_, path)| path);
        let blob = format!("{}/{}", upload.device, upload.name);
        // Not every client escapes what it writes into a path.
        if path != blob && bag::decode(path.as_bytes()) != blob {
            return Err(not_allowed());
        }
        self.refuse_revoked(&upload).await?;
        Ok(upload)
    }

    /// Refuses an upload whose device may not connect any more, or is another one.
    async fn refuse_revoked(&self, upload: &FileRow) -> Result<(), HubHttpError> {
        let admitted = self.gateway.registry.device_admitted(&upload.application, &upload.device).await?;
        let is_same = |generation: &str| generation == upload.generation;
        match admitted {
            Some(admitted) if may_connect(&admitted) && is_same(&admitted.device.generation_id) => Ok(()),
            _ => Err(not_allowed()),
        }
    }

    /// Takes the body in as it comes.
    async fn take_in(&self, call: &Call<'_>, writing: &mut Writing<'_>) -> Result<(), HubHttpError> {
        let allowance = call.extensions.get::<Allowance>();
        let mut body = call.take_body(usize::try_from(FILE_BYTES_MAX).unwrap_or(usize::MAX));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| body_failed(error.into_inner().as_ref()))?;
            if let Ok(bytes) = frame.into_data() {
                writing.write(&bytes).await?;
            }
            allowance.inspect(|allowance| allowance.give_back());
        }
        Ok(())
    }

    async fn put_blob(&self, call: &Call<'_>, upload: &FileRow) -> Result<String, HubHttpError> {
        match text(call.headers, "x-ms-blob-type") {
            Some(kind) if kind.eq_ignore_ascii_case("BlockBlob") => {}
            Some(_) => return Err(invalid("InvalidHeaderValue", "x-ms-blob-type must be BlockBlob")),
            None => return Err(invalid("MissingRequiredHeader", "x-ms-blob-type is missing")),
        }
        let content_type = content_type(call.headers, true)?;
        self.refuse_present(call, upload).await?;
        let mut writing = self.gateway.files.write(upload, announced(call.headers)).await?;
        self.take_in(call, &mut writing).await?;
        self.refuse_revoked(upload).await?;
        Ok(self.gateway.files.commit(upload, writing, content_type).await?)
    }

    async fn put_block(&self, call: &Call<'_>, upload: &FileRow) -> Result<(), HubHttpError> {
        let block = query_parameter(call.query, "blockid").and_then(|id| block_id(&id));
        let block = block.ok_or_else(|| invalid("InvalidQueryParameterValue", "blockid is no name of a block"))?;
        let mut writing = self.gateway.files.write(upload, announced(call.headers)).await?;
        self.take_in(call, &mut writing).await?;
        self.refuse_revoked(upload).await?;
        Ok(self.gateway.files.stage(upload, writing, &block).await?)
    }

    async fn put_block_list(&self, call: &Call<'_>, upload: &FileRow) -> Result<String, HubHttpError> {
        let content_type = content_type(call.headers, false)?;
        self.refuse_present(call, upload).await?;
        let list = call.body(FILE_BLOCK_LIST_BYTES_MAX).await?;
        let blocks = block_list::read(&list).ok_or_else(|| invalid("InvalidXmlDocument", "this is no BlockList"))?;
        if blocks.len() as u64 > FILE_BLOCKS_MAX {
            let message = format!("the list names more than {FILE_BLOCKS_MAX} blocks");
            return Err(invalid("BlockCountExceedsLimit", &message));
        }
        let blocks: Option<Vec<_>> = blocks.into_iter().map(block_id).collect();
        let blocks = blocks.ok_or_else(|| invalid("InvalidBlockId", "the list has what is no name of a block"))?;
        let writing = self.gateway.files.join(upload, &blocks).await?;
        self.refuse_revoked(upload).await?;
        Ok(self.gateway.files.commit(upload, writing, content_type).await?)
    }

    /// Refuses to write over a blob, where the client does not want that.
    async fn refuse_present(&self, call: &Call<'_>, upload: &FileRow) -> Result<(), HubHttpError> {
        if text(call.headers, header::IF_NONE_MATCH.as_str()) != Some("*") {
            return Ok(());
        }
        let FileRow { application, device, name, content, .. } = upload;
        if content.is_some() || self.gateway.registry.file_named(application, device, name).await?.is_some() {
            return Err(HubHttpError::file(StatusCode::CONFLICT, "BlobAlreadyExists", "the blob is there already"));
        }
        Ok(())
    }
}

/// A block's name, of base64.
fn block_id(text: &str) -> Option<Vec<u8>> {
    let id = STANDARD.decode(text).ok()?;
    (!id.is_empty() && id.len() <= FILE_BLOCK_NAME_BYTES_MAX).then_some(id)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// How long the body will be, if that is said.
fn announced(headers: &HeaderMap) -> u64 {
    text(headers, header::CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// The type of a blob: as said for the blob, or of the body if that is the blob.
fn content_type(headers: &HeaderMap, body_is_blob: bool) -> Result<Option<&str>, HubHttpError> {
    let of_body = || text(headers, header::CONTENT_TYPE.as_str()).filter(|_| body_is_blob);
    match text(headers, "x-ms-blob-content-type").or_else(of_body) {
        Some(kind) if kind.len() > FILE_TYPE_BYTES_MAX => {
            Err(invalid("InvalidHeaderValue", &format!("a content type has {FILE_TYPE_BYTES_MAX} bytes at the most")))
        }
        kind => Ok(kind.filter(|kind| !kind.is_empty())),
    }
}

/// Now, as headers have it.
fn http_date() -> String {
    let seconds = now_ms().div_euclid(1_000);
    let now = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (weekday, month) = (now.weekday().to_string(), now.month().to_string());
    let (hour, minute, second) = now.to_hms();
    format!("{:.3}, {:02} {month:.3} {} {hour:02}:{minute:02}:{second:02} GMT", weekday, now.day(), now.year())
}

/// A refusal as blob storage words it.
pub(super) fn error_response(
    builder: response::Builder,
    status: StatusCode,
    code: &'static str,
    message: &str,
    request: &str,
    now: &str,
) -> Response<Body> {
    let message = message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}\nRequestId:{request}\n\
         Time:{now}</Message></Error>"
    );
    builder
        .status(status)
        .header(header::CONTENT_TYPE, "application/xml")
        .header("x-ms-error-code", code)
        .header("x-ms-request-id", request)
        .header("x-ms-version", VERSION)
        .body(Body::from(body))
        .expect("the headers are well formed")
}
