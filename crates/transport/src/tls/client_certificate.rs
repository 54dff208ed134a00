//! Certificates of clients: asked for, and their keys' possession proved. Whose they are and whether they are believed is not
//! TLS's to decide, but [`protocol::auth::judge`]'s.
//!
//! None is demanded: most clients bring a token, and some have neither before they send one. A handshake fails only when what
//! the client sends is no certificate, too much, or not its own.

use std::sync::Arc;

use protocol::auth::certificate::{self, ClientCertificate};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, CommonState, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// Whom a listener asks for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    /// Whoever has one.
    Anybody,
    /// Who has one of an authority that nobody has certificates of. A browser shows its user a choice of those that fit and goes
    /// on without one when there are none; clients that were given a certificate to send do not look at it.
    NoBrowser,
}

/// DER of the name `CN=Tidegate devices`.
const NOBODY: &[u8] = b"\x30\x1b\x31\x19\x30\x17\x06\x03\x55\x04\x03\x0c\x10Tidegate devices";

/// Takes the certificate of anybody who holds its key.
#[derive(Debug)]
pub(super) struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
    hints: Vec<DistinguishedName>,
}

impl AnyCertificate {
    pub(super) fn new(hint: Hint) -> Arc<Self> {
        let hints = match hint {
            Hint::Anybody => Vec::new(),
            Hint::NoBrowser => vec![DistinguishedName::from(NOBODY.to_vec())],
        };
        Arc::new(Self { algorithms: super::provider().signature_verification_algorithms, hints })
    }
}

fn bad_encoding(_: certificate::CertificateError) -> Error {
    Error::InvalidCertificate(CertificateError::BadEncoding)
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        ClientCertificate::read(chain.map(|der| &**der)).map_err(bad_encoding)?;
        Ok(ClientCertVerified::assertion())
    }

    /// As rustls does it, but of certificates that it does not read: those of version 1.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let public = certificate::public_key(cert).map_err(bad_encoding)?;
        let schemes = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
        let is_signed = schemes.flat_map(|(_, algorithms)| *algorithms).any(|algorithm| {
            algorithm.public_key_alg_id().as_ref() == public.algorithm
                && algorithm.verify_signature(public.key, message, dss.signature()).is_ok()
        });
        if is_signed {
            return Ok(HandshakeSignatureValid::assertion());
        }
        Err(Error::InvalidCertificate(CertificateError::BadSignature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let public = certificate::public_key(cert).map_err(bad_encoding)?;
        let key = SubjectPublicKeyInfoDer::from(public.info);
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The certificate that the client of a connection has shown, now or when the session began that it took up again.
pub fn client_certificate(connection: &CommonState) -> Option<Arc<ClientCertificate>> {
    let chain = connection.peer_certificates()?;
    // It could be read in the handshake, which in a resumed session was another one of this process.
    ClientCertificate::read(chain.iter().map(|der| &**der)).ok().map(Arc::new)
}
