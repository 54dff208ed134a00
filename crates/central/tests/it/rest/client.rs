//! A caller of the interface that checks what it is told.

use std::sync::LazyLock;

use api::endpoint::ApiVersion;
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use serde_json::Value;
use testkit::openapi::Document;
use transport::client::https::HttpsClient;

use crate::central::TestCentral;

/// Schemas of the published documents that hold more than they declare.
const OPEN: [&str; 2] = ["DeviceTemplate", "ErrorDetails"];

static GENERAL: LazyLock<Document> = LazyLock::new(|| published(ApiVersion::V2022_07_31));
static NEWEST: LazyLock<Document> = LazyLock::new(|| published(ApiVersion::V2022_10_31Preview));
static OURS: LazyLock<Document> = LazyLock::new(|| document("central.json"));

fn document(name: &str) -> Document {
    let path = format!("{}/../../openapi/{name}", env!("CARGO_MANIFEST_DIR"));
    Document::new(&std::fs::read_to_string(path).unwrap(), &OPEN)
}

fn published(version: ApiVersion) -> Document {
    document(&format!("published/iotcentral-{}.json", version.as_str()))
}

/// An answer.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

/// Calls a Central with a credential.
pub struct Rest {
    https: HttpsClient,
    host: String,
    version: ApiVersion,
    headers: Vec<(&'static str, String)>,
}

impl Rest {
    /// With the administrator's token, in the newest version.
    pub fn new(central: &TestCentral) -> Self {
        let token = std::fs::read_to_string(central.folder.admin_token()).unwrap();
        Self::anonymous(central).with("authorization", token.trim())
    }

    /// Without a credential.
    pub fn anonymous(central: &TestCentral) -> Self {
        let port = central.https_port();
        Self {
            https: HttpsClient::new("localhost", port, central.tls()),
            host: format!("https://localhost:{port}"),
            version: ApiVersion::V2022_10_31Preview,
            headers: Vec::new(),
        }
    }

    /// The same with a header more.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// A header it sends.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value).unwrap()
    }

    /// The same in another version.
    pub fn in_version(mut self, version: ApiVersion) -> Self {
        self.version = version;
        self
    }

    /// Sends a request as it stands and checks nothing.
    pub async fn raw(&self, method: &str, path_and_query: &str, body: &str) -> Answered {
        let mut request = Request::builder().method(method).uri(path_and_query);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let (head, body) = self.https.request(request).await.unwrap().into_parts();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or(Value::Null) };
        Answered { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// Sends a request and holds the answer against the document of the version, and against ours.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answered {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let is_versioned = path.starts_with("/api/") && !path.starts_with("/api/ext/");
        let target = match (is_versioned, query) {
            (true, "") => format!("{path}?api-version={}", self.version.as_str()),
            (true, query) => format!("{path}?api-version={}&{query}", self.version.as_str()),
            (false, "") => path.to_owned(),
            (false, query) => format!("{path}?{query}"),
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answered = self.raw(method, &target, &body).await;
        if is_versioned {
            let document = if self.version == ApiVersion::V2022_07_31 { &GENERAL } else { &NEWEST };
            check(document, method, path, &answered);
        }
        check(&OURS, method, path, &answered);
        answered
    }

    /// The body of a success.
    pub async fn get(&self, path: &str) -> Value {
        self.expect("GET", path, Value::Null, 200).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Value {
        self.expect("PUT", path, body, 200).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Value {
        self.expect("PATCH", path, body, 200).await
    }

    pub async fn delete(&self, path: &str) {
        self.expect("DELETE", path, Value::Null, 204).await;
    }

    pub async fn expect(&self, method: &str, path: &str, body: Value, status: u16) -> Value {
        let answered = self.call(method, path, body).await;
        assert_eq!(answered.status, status, "{method} {path}: {}", answered.body);
        answered.body
    }

    /// A refusal: its status, its code, and the places of its faults.
    pub async fn refused(&self, method: &str, path: &str, body: Value) -> (u16, String, Vec<String>) {
        let answered = self.call(method, path, body).await;
        let error = &answered.body["error"];
        let code = error["code"].as_str().unwrap_or_default().to_owned();
        assert!(answered.status >= 400, "{method} {path}: {}", answered.body);
        assert_eq!(answered.headers["x-ms-error-code"], code.as_str());
        let context = error["innerError"]["context"].as_array().into_iter().flatten();
        let places = context.map(|fault| fault["dataPath"].as_str().unwrap().to_owned()).collect();
        (answered.status, code, places)
    }

    /// Follows an absolute link of one of this Central's answers.
    pub async fn follow(&self, link: &str) -> Answered {
        let path = link.strip_prefix(&self.host).unwrap_or_else(|| panic!("{link} leads away from {}", self.host));
        self.raw("GET", path, "").await
    }
}

fn check(document: &Document, method: &str, path: &str, answered: &Answered) {
    // What a version does not have is refused, and not described either.
    if answered.status == 404 && !document.has(method, path) {
        return;
    }
    if let Err(faults) = document.check_answer(method, path, answered.status, &answered.body) {
        panic!("{method} {path} answered {} {}: {faults:#?}", answered.status, answered.body);
    }
}
