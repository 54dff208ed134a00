//! The workload API: what a module asks this daemon for. Each module has a socket of its own, and the socket is what says
//! who asks: a module cannot reach another one's, so the name in the path must be the socket's module.
//!
//! | Call | Answer |
//! | --- | --- |
//! | `GET /modules` | the modules as the management API lists them |
//! | `POST /modules/{m}/genid/{g}/sign` | HMAC-SHA256 with the module's key; `keyId`, `algo` are not looked at |
//! | `POST …/genid/{g}/encrypt`, `…/decrypt` | secrets only this module of this life can read again |
//! | `POST …/genid/{g}/certificate/server`, `POST /modules/{m}/certificate/identity` | certificate and key; the names in it: [`certificate_names`] |
//! | `GET /trust-bundle`, `GET /manifest-trust-bundle` | what to trust |

pub mod certificate_names;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use model::module_name::ModuleName;
use model::twin::format_time;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::identity::{ModuleCertificate, SecretOf, SignError, Signer};
use crate::runtime::users::ModuleUsers;
use crate::unix_http::{self, Answer, Api, Call, Refused, ServeSocketError, Socket, refused, reply};
use certificate_names::{CertificateNames, NameRefused};

/// API versions modules send; any of them goes with any path.
const VERSIONS: &[&str] =
    &["2018-06-28", "2019-01-30", "2019-10-22", "2019-11-05", "2020-07-07", "2021-12-07", "2022-08-03"];

/// The version modules are told to use.
pub const API_VERSION: &str = "2019-01-30";

/// Lists modules the way both unix APIs answer.
pub trait ListModules: Send + Sync + 'static {
    /// `{"modules": […]}`
    fn list(&self) -> Value;
}

/// What the API answers from.
pub struct WorkloadContext {
    /// Signs, encrypts and issues certificates.
    pub signer: Arc<dyn Signer>,
    /// What modules shall trust, PEM.
    pub trust_bundle_pem: String,
    /// For `GET /modules`.
    pub list: Arc<dyn ListModules>,
    /// Folder of the sockets.
    pub sockets_dir: PathBuf,
    /// What modules may be called in their certificates.
    pub certificate_names: CertificateNames,
    /// Where each module has a user of its own, to whom its socket belongs.
    pub users: Option<Arc<ModuleUsers>>,
}

impl WorkloadContext {
    /// Path of a module's socket.
    pub fn socket_path(&self, module: &ModuleName) -> PathBuf {
        socket_path(&self.sockets_dir, module)
    }

    /// Opens a module's socket; it lives until the result is dropped.
    pub fn open_socket(self: &Arc<Self>, module: &ModuleName) -> Result<Socket, ServeSocketError> {
        let told = AtomicBool::new(false);
        let api = WorkloadApi { context: Arc::clone(self), module: module.clone(), told };
        let path = self.socket_path(module);
        match &self.users {
            Some(users) => {
                let failed = |source| ServeSocketError::Listen { path: path.clone(), source };
                unix_http::serve_user(&path, users.user_of(module).map_err(failed)?, Arc::new(api))
            }
            // Modules may run as other users; who may enter the folder may ask.
            None => unix_http::serve(&path, 0o666, Arc::new(api)),
        }
    }
}

/// Where the socket of a module is.
pub fn socket_path(dir: &Path, module: &ModuleName) -> PathBuf {
    dir.join(format!("{module}.sock"))
}

/// The API as one module sees it.
struct WorkloadApi {
    context: Arc<WorkloadContext>,
    module: ModuleName,
    /// Whether it was said that it asked for the name of another.
    told: AtomicBool,
}

#[derive(Deserialize)]
struct SignRequest {
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EncryptRequest {
    plaintext: String,
    initialization_vector: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DecryptRequest {
    ciphertext: String,
    initialization_vector: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerCertificateRequest {
    common_name: String,
}

type Outcome = Result<Answer, Refused>;

impl Api for WorkloadApi {
    async fn call(&self, call: Call) -> Answer {
        self.answer(&call).await.unwrap_or_else(Answer::from)
    }
}

impl WorkloadApi {
    async fn answer(&self, call: &Call) -> Outcome {
        let version = call.query("api-version").unwrap_or_default();
        if !VERSIONS.contains(&version.as_str()) {
            return Err(refused(StatusCode::BAD_REQUEST, format!("api-version {version:?} is not known")));
        }
        match (&call.method, call.path().as_slice()) {
            (&Method::GET, ["modules"]) => Ok(reply(StatusCode::OK, &self.context.list.list())),
            (&Method::GET, ["trust-bundle"]) => {
                Ok(reply(StatusCode::OK, &json!({ "certificate": self.context.trust_bundle_pem })))
            }
            (&Method::GET, ["manifest-trust-bundle"]) => Ok(reply(StatusCode::OK, &json!({ "certificate": "" }))),
            (&Method::POST, ["modules", name, "genid", generation, rest @ ..]) => {
                self.require_own(name)?;
                self.answer_with_generation(call, generation, rest).await
            }
            (&Method::POST, ["modules", name, "certificate", "identity"]) => {
                self.require_own(name)?;
                self.identity_certificate().await
            }
            _ => Err(not_found()),
        }
    }

    async fn answer_with_generation(&self, call: &Call, generation: &str, rest: &[&str]) -> Outcome {
        match rest {
            ["sign"] => self.sign(call).await,
            ["encrypt"] => self.encrypt(call, generation).await,
            ["decrypt"] => self.decrypt(call, generation).await,
            ["certificate", "server"] => self.server_certificate(call).await,
            _ => Err(not_found()),
        }
    }

    /// The caller is the module of this socket; a leading `$` does not count.
    fn require_own(&self, name: &str) -> Result<(), Refused> {
        if name.trim_start_matches('$') == self.module.trim_start_matches('$') {
            return Ok(());
        }
        Err(refused(StatusCode::FORBIDDEN, format!("this socket belongs to module {}", self.module)))
    }

    async fn sign(&self, call: &Call) -> Outcome {
        let request: SignRequest = body(call)?;
        let data = base64("data", &request.data)?;
        let digest = self.context.signer.hmac(&self.module, &data).await.map_err(|error| self.not_signed(&error))?;
        Ok(reply(StatusCode::OK, &json!({ "digest": STANDARD.encode(digest) })))
    }

    async fn encrypt(&self, call: &Call, generation: &str) -> Outcome {
        let request: EncryptRequest = body(call)?;
        let plaintext = base64("plaintext", &request.plaintext)?;
        let vector = base64("initializationVector", &request.initialization_vector)?;
        let encrypted = self.context.signer.encrypt(self.secret_of(generation, &vector), plaintext).await;
        let ciphertext = encrypted.map_err(|error| self.not_signed(&error))?;
        Ok(reply(StatusCode::OK, &json!({ "ciphertext": STANDARD.encode(ciphertext) })))
    }

    async fn decrypt(&self, call: &Call, generation: &str) -> Outcome {
        let request: DecryptRequest = body(call)?;
        let ciphertext = base64("ciphertext", &request.ciphertext)?;
        let vector = base64("initializationVector", &request.initialization_vector)?;
        let decrypted = self.context.signer.decrypt(self.secret_of(generation, &vector), ciphertext).await;
        let plaintext = decrypted.map_err(|error| self.not_signed(&error))?;
        Ok(reply(StatusCode::OK, &json!({ "plaintext": STANDARD.encode(plaintext) })))
    }

    async fn server_certificate(&self, call: &Call) -> Outcome {
        let request: ServerCertificateRequest = body(call)?;
        let names = self.context.certificate_names.names_for(&self.module, &request.common_name);
        let names = names.map_err(|error| self.not_named(&error))?;
        let issued = self.context.signer.server_certificate(&names).await.map_err(|error| self.not_signed(&error))?;
        Ok(certificate_answer(&issued))
    }

    fn not_named(&self, error: &NameRefused) -> Refused {
        let status = match error {
            NameRefused::NoName(_) => StatusCode::BAD_REQUEST,
            NameRefused::NotGiven { .. } => {
                // A module may ask again and again.
                if !self.told.swap(true, Ordering::Relaxed) {
                    tracing::warn!("{error}");
                }
                StatusCode::FORBIDDEN
            }
        };
        refused(status, error.to_string())
    }

    async fn identity_certificate(&self) -> Outcome {
        let issued = self.context.signer.identity_certificate(&self.module).await;
        Ok(certificate_answer(&issued.map_err(|error| self.not_signed(&error))?))
    }

    fn secret_of<'a>(&'a self, generation: &'a str, vector: &'a [u8]) -> SecretOf<'a> {
        SecretOf { module: &self.module, generation, vector }
    }

    fn not_signed(&self, error: &SignError) -> Refused {
        let status = match error {
            SignError::NoIdentity { .. } => StatusCode::NOT_FOUND,
            SignError::ForeignSecret => StatusCode::BAD_REQUEST,
            SignError::NoDeviceKey | SignError::NotBase64 | SignError::Encrypt | SignError::Issue(_) => {
                let error = error as &dyn std::error::Error;
                tracing::error!(module = %self.module, error, "a call of the workload API failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        refused(status, error.to_string())
    }
}

fn certificate_answer(issued: &ModuleCertificate) -> Answer {
    let body = json!({
        "privateKey": { "type": "key", "bytes": issued.key_pem },
        "certificate": issued.chain_pem,
        "expiration": format_time(issued.expires_at),
    });
    reply(StatusCode::CREATED, &body)
}

fn body<T: DeserializeOwned>(call: &Call) -> Result<T, Refused> {
    serde_json::from_slice(&call.body)
        .map_err(|failure| refused(StatusCode::BAD_REQUEST, format!("the body cannot be read: {failure}")))
}

fn base64(name: &str, text: &str) -> Result<Vec<u8>, Refused> {
    STANDARD.decode(text).map_err(|_| refused(StatusCode::BAD_REQUEST, format!("{name} is no base64")))
}

fn not_found() -> Refused {
    refused(StatusCode::NOT_FOUND, "there is no such call")
}

#[cfg(test)]
mod tests;
