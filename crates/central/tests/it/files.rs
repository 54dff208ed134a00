//! Files of devices: from the SDK's first request to a download, and what is refused on the way.

use bytes::Bytes;
use central::database::Database;
use http::{Method, Request, Response, StatusCode, header};
use hub::limits::{
    FILE_BLOCK_LIST_BYTES_MAX, FILE_BLOCK_NAME_BYTES_MAX, FILE_BLOCKS_MAX, FILE_BYTES_MAX, FILE_NAME_BYTES_MAX,
    FILE_TYPE_BYTES_MAX, FILE_UPLOADS_OPEN_MAX,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::client::https::HttpsClient;
use transport::limits::BODIES_BYTES_MAX;

use crate::central::{TestCentral, TestDevice, data, on_both_databases};
use crate::hub_http::Caller;
use crate::rest::client::Rest;

/// What a device was told for an upload.
struct Target {
    correlation: String,
    path: String,
    token: String,
}

impl Target {
    fn at(&self, more: &str) -> String {
        format!("{}{}{more}", self.path, self.token)
    }
}

async fn asked(device: &Caller, id: &str, name: &str) -> Response<Bytes> {
    let body = json!({ "blobName": name }).to_string();
    // With the slash of one SDK.
    device.send(Method::POST, &format!("/devices/{id}/files/"), &[], &body).await
}

async fn open(device: &Caller, id: &str, name: &str) -> Target {
    let answered = asked(device, id, name).await;
    assert_eq!(answered.status(), StatusCode::OK, "{:?}", answered.body());
    let target: Value = serde_json::from_slice(answered.body()).unwrap();
    assert_eq!(target["hostName"], "localhost");
    assert_eq!(target["blobName"], format!("{id}/{name}"));
    let text = |name: &str| target[name].as_str().unwrap().to_owned();
    let path = format!("/{}/{}", text("containerName"), text("blobName"));
    Target { correlation: text("correlationId"), path, token: text("sasToken") }
}

async fn put(central: &TestCentral, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Response<Bytes> {
    let mut request = Request::builder().method(Method::PUT).uri(uri).header("x-ms-version", "2023-11-03");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::copy_from_slice(body)).unwrap();
    HttpsClient::new("localhost", central.https_port(), central.tls()).request(request).await.unwrap()
}

/// Target, headers, body; status and code.
type Refused<'a> = (String, Vec<(&'a str, &'a str)>, &'a str, u16, &'a str);

const BLOB: (&str, &str) = ("x-ms-blob-type", "BlockBlob");

async fn done(device: &Caller, id: &str, target: &Target, is_success: bool) -> StatusCode {
    let body = json!({ "correlationId": target.correlation, "isSuccess": is_success, "statusCode": 200 }).to_string();
    device.send(Method::POST, &format!("/devices/{id}/files/notifications"), &[], &body).await.status()
}

fn code(answered: &Response<Bytes>) -> (u16, String) {
    let text = String::from_utf8_lossy(answered.body());
    let code = text.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next()).unwrap_or_default();
    assert_eq!(answered.headers()["x-ms-error-code"], code, "{text}");
    (answered.status().as_u16(), code.to_owned())
}

async fn files(rest: &Rest, id: &str) -> Vec<(String, u64)> {
    let list = rest.get(&format!("/api/ext/v1/devices/{id}/files")).await;
    let file = |file: &Value| (file["name"].as_str().unwrap().to_owned(), file["bytes"].as_u64().unwrap());
    list["value"].as_array().unwrap().iter().map(file).collect()
}

async fn download(central: &TestCentral, rest: &Rest, id: &str, at: usize) -> Response<Bytes> {
    let list = rest.get(&format!("/api/ext/v1/devices/{id}/files")).await;
    let file = list["value"][at]["id"].as_str().unwrap();
    let request = Request::get(format!("/api/ext/v1/devices/{id}/files/{file}"))
        .header(header::AUTHORIZATION, rest.header("authorization"));
    let client = HttpsClient::new("localhost", central.https_port(), central.tls());
    client.request(request.body(Bytes::new()).unwrap()).await.unwrap()
}

async fn device(central: &TestCentral, id: &str) -> (TestDevice, Caller) {
    let device = central.provision(id).await;
    let caller = Caller::device(central, &device);
    (device, caller)
}

on_both_databases!(a_file_is_uploaded_listed_read_replaced_and_deleted);

async fn a_file_is_uploaded_listed_read_replaced_and_deleted(database: Database) {
    let (_dir, data) = data();
    let central = TestCentral::start_on(&database, &data).await;
    let rest = Rest::new(&central);
    let (_, caller) = device(&central, "d1").await;

    let target = open(&caller, "d1", "logs/a b.txt").await;
    let uri = target.at("").replace(' ', "%20");
    let answered = put(&central, &uri, &[BLOB, ("content-type", "text/html")], b"<b>first</b>").await;
    assert_eq!(answered.status(), StatusCode::CREATED, "{:?}", answered.body());
    for name in ["etag", "last-modified", "x-ms-request-id", "x-ms-version"] {
        assert!(answered.headers().contains_key(name), "{name}");
    }
    assert_eq!(files(&rest, "d1").await, [], "it is not said yet that it is done");
    assert_eq!(done(&caller, "d1", &target, true).await, StatusCode::NO_CONTENT);
    assert_eq!(files(&rest, "d1").await, [("logs/a b.txt".to_owned(), 12)]);
    let read = download(&central, &rest, "d1", 0).await;
    assert_eq!(read.body().as_ref(), b"<b>first</b>");
    assert_eq!(read.headers()[header::CONTENT_TYPE], "application/octet-stream", "a browser shows no page of a device");
    assert_eq!(read.headers()[header::CONTENT_DISPOSITION], "attachment; filename*=UTF-8''a%20b.txt");

    // The token and the id have done their work.
    assert_eq!(code(&put(&central, &uri, &[BLOB], b"x").await).0, 403);
    assert_eq!(done(&caller, "d1", &target, true).await, StatusCode::BAD_REQUEST);

    // In blocks, and told as another SDK does.
    let again = open(&caller, "d1", "logs/a b.txt").await;
    for (block, body) in [("Yg==", "second "), ("YQ==", "is "), ("YQ==", "is a "), ("Yys=", "list")] {
        let uri = again.at(&format!("&comp=block&blockid={}", block.replace('=', "%3D").replace('+', "%2B")));
        let answered = put(&central, &uri.replace(' ', "%20"), &[], body.as_bytes()).await;
        assert_eq!(answered.status(), StatusCode::CREATED, "{:?}", answered.body());
    }
    let list = "<?xml version='1.0' encoding='utf-8'?>\n<BlockList><Latest>Yg==</Latest><Latest>YQ==</Latest>\
                <Latest>Yys=</Latest></BlockList>";
    let uri = again.at("&comp=blocklist").replace(' ', "%20");
    assert_eq!(put(&central, &uri, &[], list.as_bytes()).await.status(), StatusCode::CREATED);
    let path = format!("/devices/d1/files/notifications/{}", again.correlation);
    let told = caller.send(Method::POST, &path, &[], r#"{"isSuccess":true,"statusCode":200}"#).await;
    assert_eq!(told.status(), StatusCode::NO_CONTENT);
    assert_eq!(files(&rest, "d1").await, [("logs/a b.txt".to_owned(), 16)]);
    assert_eq!(download(&central, &rest, "d1", 0).await.body().as_ref(), b"second is a list");

    // One that failed is not listed.
    let failed = open(&caller, "d1", "failed").await;
    assert_eq!(put(&central, &failed.at(""), &[BLOB], b"x").await.status(), StatusCode::CREATED);
    assert_eq!(done(&caller, "d1", &failed, false).await, StatusCode::NO_CONTENT);
    assert_eq!(files(&rest, "d1").await.len(), 1);

    let file = rest.get("/api/ext/v1/devices/d1/files").await["value"][0]["id"].as_str().unwrap().to_owned();
    rest.delete(&format!("/api/ext/v1/devices/d1/files/{file}")).await;
    assert_eq!(files(&rest, "d1").await, []);
    assert_eq!(rest.refused("DELETE", &format!("/api/ext/v1/devices/d1/files/{file}"), Value::Null).await.0, 404);
    central.running.core.files.sweep().await.unwrap();
    let left = std::fs::read_dir(data.join("files").join(central.app())).unwrap().count();
    assert_eq!(left, 0, "nothing is left of what was replaced, failed or deleted");
    central.stop().await;
}

#[tokio::test]
async fn what_is_not_an_upload_is_refused_in_the_words_of_storage() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let (_, caller) = device(&central, "d1").await;
    let target = open(&caller, "d1", "a").await;
    let other = open(&caller, "d1", "b").await;
    let long_type = "t".repeat(FILE_TYPE_BYTES_MAX + 1);
    let long_block = target.at(&format!("&comp=block&blockid={}", "YWFh".repeat(FILE_BLOCK_NAME_BYTES_MAX / 3 + 1)));
    let named = |count: u64| format!("<BlockList>{}</BlockList>", "<Latest>YQ==</Latest>".repeat(count as usize));
    let long_list = " ".repeat(FILE_BLOCK_LIST_BYTES_MAX + 1);
    let too_many = named(FILE_BLOCKS_MAX + 1);
    let cases: Vec<Refused<'_>> = vec![
        (target.path.clone(), vec![BLOB], "x", 403, "AuthenticationFailed"),
        (format!("{}?sig=guess", target.path), vec![BLOB], "x", 403, "AuthenticationFailed"),
        (format!("{}{}", other.path, target.token), vec![BLOB], "x", 403, "AuthenticationFailed"),
        (format!("/device-files/d1/{}", target.token), vec![BLOB], "x", 403, "AuthenticationFailed"),
        (target.at(""), vec![], "x", 400, "MissingRequiredHeader"),
        (target.at(""), vec![("x-ms-blob-type", "PageBlob")], "x", 400, "InvalidHeaderValue"),
        (target.at(""), vec![BLOB, ("x-ms-blob-content-type", &long_type)], "x", 400, "InvalidHeaderValue"),
        (target.at("&comp=page"), vec![BLOB], "x", 400, "InvalidQueryParameterValue"),
        (target.at("&comp=block"), vec![], "x", 400, "InvalidQueryParameterValue"),
        (target.at("&comp=block&blockid=%21"), vec![], "x", 400, "InvalidQueryParameterValue"),
        (long_block, vec![], "x", 400, "InvalidQueryParameterValue"),
        (target.at("&comp=blocklist"), vec![], "nonsense", 400, "InvalidXmlDocument"),
        (target.at("&comp=blocklist"), vec![], &long_list, 413, "MessageTooLarge"),
        (target.at("&comp=blocklist"), vec![], &too_many, 400, "BlockCountExceedsLimit"),
        (target.at("&comp=blocklist"), vec![], "<BlockList><Latest>!</Latest></BlockList>", 400, "InvalidBlockId"),
        (target.at("&comp=blocklist"), vec![], "<BlockList><Latest>YQ==</Latest></BlockList>", 400, "InvalidBlockList"),
    ];
    for (uri, headers, body, status, name) in cases {
        let answered = put(&central, &uri, &headers, body.as_bytes()).await;
        assert_eq!(code(&answered), (status, name.to_owned()), "{headers:?} {}", &body[..body.len().min(40)]);
    }
    let most = named(FILE_BLOCKS_MAX);
    let answered = put(&central, &target.at("&comp=blocklist"), &[], most.as_bytes()).await;
    assert_eq!(code(&answered).1, "InvalidBlockList", "so many may be named, if they are there");

    assert_eq!(put(&central, &target.at(""), &[BLOB], b"x").await.status(), StatusCode::CREATED);
    let answered = put(&central, &target.at(""), &[BLOB, ("if-none-match", "*")], b"y").await;
    assert_eq!(code(&answered), (409, "BlobAlreadyExists".to_owned()));
    assert_eq!(done(&caller, "d1", &other, true).await, StatusCode::BAD_REQUEST, "nothing was uploaded");
    assert_eq!(files(&Rest::new(&central), "d1").await, []);
    central.stop().await;
}

#[tokio::test]
async fn an_upload_is_opened_by_its_device_for_names_that_survive_a_url() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let (_, d1) = device(&central, "d1").await;
    let (_, d2) = device(&central, "d2").await;
    assert_eq!(asked(&d2, "d1", "a").await.status(), StatusCode::UNAUTHORIZED);
    let longest = "n".repeat(FILE_NAME_BYTES_MAX);
    for name in ["", "/a", "a/", "a//b", ".", "a/../b", "a?b", "a#b", "a\\b", "a\nb", &format!("{longest}n")] {
        assert_eq!(asked(&d1, "d1", name).await.status(), StatusCode::BAD_REQUEST, "{name:?}");
    }
    let first = open(&d1, "d1", &longest).await;
    assert_eq!(done(&d2, "d2", &first, true).await, StatusCode::BAD_REQUEST, "another device's");
    for _ in 1..FILE_UPLOADS_OPEN_MAX {
        open(&d1, "d1", "a").await;
    }
    let refused = asked(&d1, "d1", "a").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.headers()["iothub-errorcode"], "DeviceMaximumActiveFileUploadLimitExceeded");
    open(&d2, "d2", "a").await;
    assert_eq!(done(&d1, "d1", &first, false).await, StatusCode::NO_CONTENT);
    open(&d1, "d1", "a").await;
    central.stop().await;
}

#[tokio::test]
async fn a_device_that_was_taken_away_uploads_nothing() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let rest = Rest::new(&central);
    let (_, caller) = device(&central, "d1").await;
    let (kept, target) = (open(&caller, "d1", "kept").await, open(&caller, "d1", "a").await);
    assert_eq!(put(&central, &kept.at(""), &[BLOB], b"x").await.status(), StatusCode::CREATED);
    assert_eq!(done(&caller, "d1", &kept, true).await, StatusCode::NO_CONTENT);

    // One that has begun: the head is there and half of the body.
    let mut begun = central.tls_stream().await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: localhost\r\nx-ms-blob-type: BlockBlob\r\nContent-Length: 2\r\n\r\nx",
        target.at("")
    );
    begun.write_all(head.as_bytes()).await.unwrap();
    let folder = data.join("files").join(central.app());
    while !std::fs::read_dir(&folder).unwrap().any(|entry| entry.unwrap().file_name() == *target.correlation) {
        tokio::task::yield_now().await;
    }
    rest.patch("/api/devices/d1", json!({ "enabled": false })).await;
    begun.write_all(b"y").await.unwrap();
    let mut answer = [0; 12];
    begun.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 403");
    assert_eq!(code(&put(&central, &target.at(""), &[BLOB], b"x").await).0, 403);

    rest.patch("/api/devices/d1", json!({ "enabled": true })).await;
    assert_eq!(put(&central, &target.at(""), &[BLOB], b"x").await.status(), StatusCode::CREATED);
    rest.delete("/api/devices/d1").await;
    let (_, again) = device(&central, "d1").await;
    assert_eq!(code(&put(&central, &target.at(""), &[BLOB], b"x").await).0, 403, "it is another device");
    assert_eq!(done(&again, "d1", &target, true).await, StatusCode::BAD_REQUEST);
    assert_eq!(files(&rest, "d1").await, [], "files go with their device");
    central.running.core.files.sweep().await.unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    central.stop().await;
}

#[tokio::test]
async fn a_file_larger_than_all_bodies_together_is_taken_in_and_one_too_large_is_not() {
    let (_dir, data) = data();
    let central = TestCentral::start(&data).await;
    let (_, caller) = device(&central, "d1").await;
    let target = open(&caller, "d1", "large").await;
    let announced = FILE_BYTES_MAX + 1;
    let mut stream = central.tls_stream().await;
    let head = |bytes: u64| {
        format!(
            "PUT {} HTTP/1.1\r\nHost: localhost\r\nx-ms-blob-type: BlockBlob\r\nContent-Length: {bytes}\r\n\r\n",
            target.at("")
        )
    };
    stream.write_all(head(announced).as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");

    let mut stream = central.tls_stream().await;
    let bytes = BODIES_BYTES_MAX as u64 + (1 << 20);
    stream.write_all(head(bytes).as_bytes()).await.unwrap();
    let block = vec![7; 1 << 20];
    for _ in 0..bytes >> 20 {
        stream.write_all(&block).await.unwrap();
    }
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");
    assert_eq!(done(&caller, "d1", &target, true).await, StatusCode::NO_CONTENT);
    assert_eq!(files(&Rest::new(&central), "d1").await, [("large".to_owned(), bytes)]);
    central.stop().await;
}

#[tokio::test]
async fn files_and_open_uploads_outlive_a_restart_and_files_are_in_backups() {
    let (dir, data) = data();
    let central = TestCentral::start(&data).await;
    let (d1, caller) = device(&central, "d1").await;
    let kept = open(&caller, "d1", "kept").await;
    assert_eq!(put(&central, &kept.at(""), &[BLOB], b"kept").await.status(), StatusCode::CREATED);
    assert_eq!(done(&caller, "d1", &kept, true).await, StatusCode::NO_CONTENT);
    let target = open(&caller, "d1", "later").await;
    let block = target.at("&comp=block&blockid=YQ%3D%3D");
    assert_eq!(put(&central, &block, &[], b"later").await.status(), StatusCode::CREATED);
    let (backup, restored) = (dir.path().join("backup"), dir.path().join("restored"));
    central::backup::make(&central.folder, &Database::Folder, &backup).await.unwrap();
    central.stop().await;

    let central = TestCentral::start(&data).await;
    let list = "<BlockList><Latest>YQ==</Latest></BlockList>";
    let listed = put(&central, &target.at("&comp=blocklist"), &[], list.as_bytes()).await;
    assert_eq!(listed.status(), StatusCode::CREATED, "{:?}", listed.body());
    assert_eq!(done(&Caller::device(&central, &d1), "d1", &target, true).await, StatusCode::NO_CONTENT);
    let rest = Rest::new(&central);
    assert_eq!(files(&rest, "d1").await, [("kept".to_owned(), 4), ("later".to_owned(), 5)]);
    assert_eq!(download(&central, &rest, "d1", 1).await.body().as_ref(), b"later");
    central.stop().await;

    central::backup::restore(&backup, &restored).await.unwrap();
    let central = TestCentral::start(&restored).await;
    let rest = Rest::new(&central);
    assert_eq!(files(&rest, "d1").await, [("kept".to_owned(), 4)]);
    assert_eq!(download(&central, &rest, "d1", 0).await.body().as_ref(), b"kept");
    central.stop().await;
}
