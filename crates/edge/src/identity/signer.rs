//! What the rest of the daemon asks of the keys, without seeing one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use protocol::auth::sas::SasToken;
use time::OffsetDateTime;
use transport::client::token::TokenFuture;
use transport::client::{TokenError, TokenSource};
use transport::tls::ServerIdentity;

use super::device::Device;

/// Whose key is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOf<'a> {
    /// The device's own.
    Device,
    /// That of one of its modules, `$edgeAgent` and `$edgeHub` among them.
    Module(&'a str),
}

/// What binds a secret to who may read it again.
#[derive(Debug, Clone, Copy)]
pub struct SecretOf<'a> {
    /// The module.
    pub module: &'a str,
    /// Which life of it.
    pub generation: &'a str,
    /// The caller's initialization vector.
    pub vector: &'a [u8],
}

/// An answer of the signer: a hardware module may take its time.
pub type Signed<'a, T> = Pin<Box<dyn Future<Output = Result<T, SignError>> + Send + 'a>>;

/// Uses the private keys of this device for whoever may ask; the keys stay behind it. [`FileSigner`] has them in files; a
/// TPM or a PKCS#11 token is another implementation.
///
/// Two answers hold a key all the same, each made for who gets it: [`HubCertificate`], which the TLS listener must hold and
/// which is short-lived, and [`ModuleCertificate`], which belongs to the module that asked.
///
/// [`FileSigner`]: super::FileSigner
pub trait Signer: Send + Sync + 'static {
    /// The device whose keys these are.
    fn device(&self) -> &Device;

    /// Whether the device has a certificate, which its connections show, and no key to sign with.
    fn shows_certificate(&self) -> bool;

    /// A shared access signature for an audience (unescaped, e.g. `{hub}/devices/{d}`) that ends at that Unix second.
    fn token<'a>(&'a self, key: KeyOf<'a>, audience: &'a str, expiry_secs: u64) -> Signed<'a, String>;

    /// Whether this key signed the token, its primary or its secondary where there are two. Only the signature is looked
    /// at: audience and expiry are the caller's to judge. A key that is not there verifies nothing.
    ///
    /// Answers at once, because it is asked with every connection: an implementation whose keys sit in hardware derives those
    /// of modules in memory, as their hub has to know them anyway.
    fn verifies(&self, key: KeyOf<'_>, token: &SasToken) -> bool;

    /// HMAC-SHA256 with a module's primary key.
    fn hmac<'a>(&'a self, module: &'a str, data: &'a [u8]) -> Signed<'a, [u8; 32]>;

    /// Makes a text unreadable for everybody but the same module in the same life with the same vector.
    fn encrypt<'a>(&'a self, secret: SecretOf<'a>, plaintext: Vec<u8>) -> Signed<'a, Vec<u8>>;

    /// The text again.
    fn decrypt<'a>(&'a self, secret: SecretOf<'a>, ciphertext: Vec<u8>) -> Signed<'a, Vec<u8>>;

    /// A certificate for the hub's listener.
    fn hub_certificate<'a>(&'a self, hostname: &'a str) -> Signed<'a, HubCertificate>;

    /// A server certificate for a module under these names (host names and addresses, at least one).
    fn server_certificate<'a>(&'a self, names: &'a [String]) -> Signed<'a, ModuleCertificate>;

    /// A client certificate that names a module by a URI, in the form the original uses.
    fn identity_certificate<'a>(&'a self, module: &'a str) -> Signed<'a, ModuleCertificate>;
}

/// The certificate of the hub's listener.
pub struct HubCertificate {
    /// Certificate and key, for TLS only.
    pub identity: ServerIdentity,
    /// The end of its life.
    pub expires_at: OffsetDateTime,
}

/// A certificate made for a module, with the key that was made for it.
pub struct ModuleCertificate {
    /// The certificate and what leads to the root, PEM.
    pub chain_pem: String,
    /// Its private key, PEM: the module's own.
    pub key_pem: String,
    /// The end of its life.
    pub expires_at: OffsetDateTime,
}

/// A key was not used.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The module has no key here.
    #[error("module {module} has no identity yet")]
    NoIdentity {
        /// The module.
        module: String,
    },
    /// The device proves itself otherwise.
    #[error("the device has a certificate and no key to sign with")]
    NoDeviceKey,
    /// The key cannot be used.
    #[error("the key to sign with is not base64")]
    NotBase64,
    /// A secret was changed, or encrypted for another module, generation or vector.
    #[error("the ciphertext was not made here for this module, generation and initialization vector")]
    ForeignSecret,
    /// The system has no randomness, or the text is too long.
    #[error("the plaintext cannot be encrypted")]
    Encrypt,
    /// The authority did not issue the certificate.
    #[error("the certificate cannot be issued")]
    Issue(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Tokens of one module for a connection, signed as its key is at that moment: keys change when an identity is made anew.
pub struct ModuleTokens {
    /// Signs.
    pub signer: Arc<dyn Signer>,
    /// Whose key.
    pub module: String,
}

impl TokenSource for ModuleTokens {
    fn token<'a>(&'a self, audience: &'a str, expiry_secs: u64) -> TokenFuture<'a> {
        Box::pin(async move {
            let token = self.signer.token(KeyOf::Module(&self.module), audience, expiry_secs).await;
            token.map_err(|error| TokenError { message: error.to_string() })
        })
    }
}
