//! A server's certificate chain and key.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// A server's certificate chain, leaf first, and the leaf's private key.
#[derive(Debug)]
pub struct ServerIdentity {
    pub(crate) certified: Arc<CertifiedKey>,
}

/// Why a chain and a key are no server identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The PEM text holds no readable certificate.
    #[error("no certificate can be read")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    /// The chain is empty.
    #[error("the chain is empty")]
    NoCertificate,
    /// The PEM text holds no readable private key.
    #[error("no private key can be read")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// The key is of an unknown kind, or not the leaf's.
    #[error("the private key does not fit the certificate")]
    Mismatch(#[source] rustls::Error),
}

impl ServerIdentity {
    /// Reads a chain (leaf first) and a key (PKCS#8, PKCS#1 or SEC1) from PEM.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(chain_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(IdentityError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(IdentityError::Key)?;
        Self::from_der(chain, key)
    }

    /// Takes a chain (leaf first) and a key, checked to belong together.
    pub fn from_der(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, IdentityError> {
        if chain.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let certified = CertifiedKey::from_der(chain, key, &super::provider()).map_err(IdentityError::Mismatch)?;
        Ok(Self { certified: Arc::new(certified) })
    }

    /// The leaf certificate, DER.
    pub fn leaf_der(&self) -> &[u8] {
        &self.certified.cert[0]
    }
}

/// A server identity that can be replaced while the listener runs: new handshakes use the new one, connections stay.
///
/// With it go the tickets with which clients take up a session again: who has not seen the new certificate is shown it.
#[derive(Debug)]
pub struct SwappableIdentity {
    current: RwLock<Current>,
}

#[derive(Debug, Clone)]
struct Current {
    certified: Arc<CertifiedKey>,
    /// Seals the tickets, with keys that live in this process only. Absent without randomness.
    tickets: Option<Arc<dyn ProducesTickets>>,
}

impl Current {
    fn of(identity: ServerIdentity) -> Self {
        Self { certified: identity.certified, tickets: Ticketer::new().ok() }
    }
}

impl SwappableIdentity {
    /// Starts with this one.
    pub fn new(identity: ServerIdentity) -> Arc<Self> {
        Arc::new(Self { current: RwLock::new(Current::of(identity)) })
    }

    /// Uses another one from the next handshake on.
    pub fn swap(&self, identity: ServerIdentity) {
        let current = Current::of(identity);
        // A poisoned lock still holds a whole identity: the value is replaced at once.
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for SwappableIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().certified)
    }
}

impl ProducesTickets for SwappableIdentity {
    fn enabled(&self) -> bool {
        self.current().tickets.is_some()
    }

    fn lifetime(&self) -> u32 {
        self.current().tickets.map_or(0, |tickets| tickets.lifetime())
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.current().tickets?.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.current().tickets?.decrypt(cipher)
    }
}
