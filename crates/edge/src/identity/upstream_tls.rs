//! How this device speaks TLS with what is above it: whom it trusts, and the certificate it shows, if it has one. The
//! certificate's key stays in the configuration that is made here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use transport::tls::{ServerIdentity, client_config, client_config_as};

use crate::config::IdentityCertificate;
use crate::limits::KEY_FILE_BYTES_MAX;

/// There is no way to speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamTlsError {
    /// The roots cannot be trusted.
    #[error("cannot use the root certificates")]
    Roots(#[from] transport::tls::ClientConfigError),
    /// The identity certificate or its key cannot be used.
    #[error("cannot use the identity certificate {}: {what}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// For these roots beside the machine's, and this certificate.
pub fn upstream_tls(
    roots_pem: Option<&[u8]>,
    identity: Option<&IdentityCertificate>,
) -> Result<Arc<rustls::ClientConfig>, UpstreamTlsError> {
    match identity {
        Some(files) => Ok(client_config_as(roots_pem, read(files)?)?),
        None => Ok(client_config(roots_pem)?),
    }
}

/// Whether certificate and key can be read and belong together.
pub fn check_identity(files: &IdentityCertificate) -> Result<(), UpstreamTlsError> {
    read(files).map(drop)
}

fn read(files: &IdentityCertificate) -> Result<ServerIdentity, UpstreamTlsError> {
    let failed = |path: &Path, what: String| UpstreamTlsError::Identity { path: path.to_owned(), what };
    let bytes = |path: &Path| {
        let read = storage::state_file::read(path, KEY_FILE_BYTES_MAX);
        let read = read.map_err(|error| failed(path, crate::error_chain(&error)))?;
        read.ok_or_else(|| failed(path, "it is not there".to_owned()))
    };
    let (certificate, key) = (bytes(&files.certificate)?, bytes(&files.key)?);
    ServerIdentity::from_pem(&certificate, &key).map_err(|error| failed(&files.certificate, crate::error_chain(&error)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use testkit::certificates::TestCertificate;

    use super::*;

    #[test]
    fn a_certificate_and_its_key_are_read_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let files = IdentityCertificate { certificate: dir.path().join("c.pem"), key: dir.path().join("k.pem") };
        let said = || check_identity(&files).unwrap_err().to_string();
        assert!(said().contains("c.pem: it is not there"), "{}", said());
        let certificate = TestCertificate::self_signed("edge");
        std::fs::write(&files.certificate, certificate.chain_pem()).unwrap();
        std::fs::write(&files.key, TestCertificate::self_signed("other").key_pem()).unwrap();
        assert!(said().contains("the private key does not fit the certificate"), "{}", said());
        std::fs::write(&files.key, certificate.key_pem()).unwrap();
        check_identity(&files).unwrap();
        assert!(upstream_tls(None, Some(&files)).unwrap().client_auth_cert_resolver.has_certs());
        assert!(!upstream_tls(None, None).unwrap().client_auth_cert_resolver.has_certs());
        std::fs::write(&files.key, vec![b'\n'; KEY_FILE_BYTES_MAX as usize + 1]).unwrap();
        assert!(said().contains("more than the"), "{}", said());
    }
}
