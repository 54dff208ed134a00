//! Files that devices uploaded.

use api::files::DeviceFiles;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::answer::Answer;
use super::guard::Caller;
use super::place::DevicePath;
use super::routes::Routes;
use crate::app::files::ReadFile;
use crate::app::{App, AppError};

/// Bytes of a file that are read at a time.
const BLOCK_BYTES: usize = 64 * 1024;

pub(super) fn add(routes: Routes) -> Routes {
    routes.serve("Fleet_ListFiles", list).serve("Fleet_GetFile", get).serve("Fleet_RemoveFile", remove)
}

async fn list(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Answer<DeviceFiles> {
    Ok(Json(app.files(&access, path.name("deviceId")).await?))
}

async fn get(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Result<Response, AppError> {
    let ReadFile { name, bytes, file } = app.file_read(&access, path.name("deviceId"), path.name("fileId")).await?;
    // A device's file is nothing a browser may show: a page in it would be one of ours.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CONTENT_DISPOSITION, disposition(&name)),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, read(file)).into_response())
}

async fn remove(State(app): State<App>, Caller(access): Caller, path: DevicePath) -> Result<StatusCode, AppError> {
    app.file_delete(&access, path.name("deviceId"), path.name("fileId")).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The bytes of a file, a block at a time.
fn read(file: File) -> Body {
    Body::from_stream(stream::try_unfold(file, |mut file| async move {
        let mut block = vec![0; BLOCK_BYTES];
        let read = file.read(&mut block).await?;
        block.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(block), file)))
    }))
}

/// What names a download: its last word, every byte that has a meaning escaped.
fn disposition(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    let escaped: String = last
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    format!("attachment; filename*=UTF-8''{escaped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_have_the_last_word_of_the_name() {
        assert_eq!(disposition("logs/a b\"ü.txt"), "attachment; filename*=UTF-8''a%20b%22%C3%BC.txt");
    }
}
