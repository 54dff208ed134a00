#![allow(clippy::unwrap_used)]
use super::*;
use crate::identity::testing;
use crate::runtime::named;
use bytes::Bytes;

struct NoModules;

impl ListModules for NoModules {
    fn list(&self) -> Value {
        json!({ "modules": [] })
    }
}

fn context(dir: &Path) -> Arc<WorkloadContext> {
    let signer = testing::signer(dir, "edge", &[("m", "primary")]);
    Arc::new(WorkloadContext {
        signer,
        trust_bundle_pem: std::fs::read_to_string(dir.join("ca.pem")).unwrap(),
        list: Arc::new(NoModules),
        sockets_dir: dir.to_owned(),
        certificate_names: CertificateNames::new("edge.local", None),
        users: None,
    })
}

async fn ask(context: &WorkloadContext, method: Method, path: &str, body: Value) -> (u16, Value) {
    let path = format!("{path}?api-version=2018-06-28");
    let body = Bytes::from(body.to_string());
    let (status, body) = unix_http::request(&context.socket_path(&named("m")), method, &path, body).await.unwrap();
    (status.as_u16(), serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_module_signs_with_its_own_key_and_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path());
    let _socket = context.open_socket(&named("m")).unwrap();
    let request = json!({ "keyId": "primary", "algo": "HMACSHA256", "data": STANDARD.encode("text") });
    let (status, answer) = ask(&context, Method::POST, "/modules/m/genid/1/sign", request.clone()).await;
    assert_eq!(status, 200);
    // HMAC-SHA256 of "text" under "primary".
    assert_eq!(answer, json!({ "digest": "/lHW5/ZuqLF9YNUDCkf/adC0+69Fjaag0gbO1cL3iSs=" }));
    let (status, _) = ask(&context, Method::POST, "/modules/other/genid/1/sign", request).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn secrets_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path());
    let _socket = context.open_socket(&named("m")).unwrap();
    let vector = STANDARD.encode("vector");
    let plain = json!({ "plaintext": STANDARD.encode("secret"), "initializationVector": vector });
    let (status, sealed) = ask(&context, Method::POST, "/modules/m/genid/1/encrypt", plain).await;
    assert_eq!(status, 200);
    let sealed = json!({ "ciphertext": sealed["ciphertext"], "initializationVector": vector });
    let (status, opened) = ask(&context, Method::POST, "/modules/m/genid/1/decrypt", sealed.clone()).await;
    assert_eq!((status, opened), (200, json!({ "plaintext": STANDARD.encode("secret") })));
    let (status, _) = ask(&context, Method::POST, "/modules/m/genid/2/decrypt", sealed).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn certificates_and_the_trust_bundle_fit_together() {
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path());
    let _socket = context.open_socket(&named("m")).unwrap();
    let (status, bundle) = ask(&context, Method::GET, "/trust-bundle", Value::Null).await;
    assert_eq!(status, 200);
    let bundle = bundle["certificate"].as_str().unwrap();
    let request = json!({ "commonName": "m", "expiration": "2030-01-01T00:00:00Z" });
    let (status, issued) = ask(&context, Method::POST, "/modules/m/genid/1/certificate/server", request).await;
    assert_eq!(status, 201);
    assert!(issued["certificate"].as_str().unwrap().ends_with(bundle));
    assert_eq!(issued["privateKey"]["type"], "key");
    let (status, _) = ask(&context, Method::POST, "/modules/m/certificate/identity", json!({})).await;
    assert_eq!(status, 201);
    let bad = json!({ "commonName": "no name", "expiration": "" });
    let (status, _) = ask(&context, Method::POST, "/modules/m/genid/1/certificate/server", bad).await;
    assert_eq!(status, 400);
}

/// Names in the first certificate of a chain.
fn names_in(chain: &Value) -> Vec<String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(chain.as_str().unwrap().as_bytes()).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap().value.general_names.iter();
    names.map(|name| name.to_string()).collect()
}

#[tokio::test]
async fn a_module_gets_certificates_for_itself_and_for_what_the_manifest_gives_it() {
    let complaints = testkit::complaints::Complaints::watch();
    complaints.expect("module m gets no certificate for edge.local, the name of this gateway");
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path());
    let _socket = context.open_socket(&named("m")).unwrap();
    let ask_for = async |name: &str| {
        let request = json!({ "commonName": name, "expiration": "2030-01-01T00:00:00Z" });
        ask(&context, Method::POST, "/modules/m/genid/1/certificate/server", request).await
    };
    let (status, issued) = ask_for("m").await;
    assert_eq!((status, names_in(&issued["certificate"])), (201, vec!["DNSName(m)".to_owned()]));
    for _ in 0..2 {
        let (status, answer) = ask_for("edge.local").await;
        assert_eq!(status, 403);
        assert!(answer["message"].as_str().unwrap().contains("TIDEGATE_CERTIFICATE_NAMES"), "{answer}");
    }
    context.certificate_names.give([("m", Some("$gateway"))].into_iter());
    let (status, issued) = ask_for("edge.local").await;
    let expected = vec!["DNSName(edge.local)".to_owned(), "DNSName(m)".to_owned()];
    assert_eq!((status, names_in(&issued["certificate"])), (201, expected));
    let told = testkit::complaints::take();
    assert_eq!(told.len(), 1, "once, however often it asks: {told:?}");
}

#[tokio::test]
async fn unknown_versions_and_paths_are_refused_and_a_closed_socket_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path());
    let socket = context.open_socket(&named("m")).unwrap();
    let (status, _) = ask(&context, Method::GET, "/nothing", Value::Null).await;
    assert_eq!(status, 404);
    let path = context.socket_path(&named("m"));
    let (status, _) =
        unix_http::request(&path, Method::GET, "/modules?api-version=1999-01-01", Bytes::new()).await.unwrap();
    assert_eq!(status, 400);
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_path_too_long_for_the_kernel_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path());
    let error = context.open_socket(&named(&"x".repeat(120))).unwrap_err();
    assert!(error.to_string().contains("data_dir"), "{error}");
}

/// Only root can be somebody else, and give a socket to somebody else.
#[tokio::test]
async fn a_socket_of_a_modules_user_answers_that_user_and_root_alone() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let complaints = testkit::complaints::Complaints::watch();
    complaints.expect("a connection to another module's socket is refused");
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let users = ModuleUsers::open(200_000..200_002, dir.path().join("users.json"), dir.path().join("homes")).unwrap();
    let WorkloadContext { signer, trust_bundle_pem, list, sockets_dir, certificate_names, .. } =
        Arc::into_inner(context(dir.path())).unwrap();
    let users = Some(Arc::new(users));
    let context = Arc::new(WorkloadContext { signer, trust_bundle_pem, list, sockets_dir, certificate_names, users });
    let _socket = context.open_socket(&named("m")).unwrap();
    let path = context.socket_path(&named("m"));
    let file = std::fs::metadata(&path).unwrap();
    assert_eq!((file.uid(), file.mode() & 0o777), (200_000, 0o600));
    assert_eq!(ask(&context, Method::GET, "/modules", Value::Null).await.0, 200, "root");
    // As if the file let everybody in.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    for (user, answered) in [(200_000, true), (200_001, false)] {
        let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
            s.sendall(b'GET /modules?api-version=2018-06-28 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')\n\
            print(s.recv(12))";
        let mut command = std::process::Command::new("python3");
        command.args(["-c", script]).arg(&path).uid(user).gid(user).current_dir("/");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let answer = String::from_utf8_lossy(&output.stdout).contains("HTTP/1.1 200");
        assert_eq!(answer, answered, "{user}: {output:?}");
    }
}
