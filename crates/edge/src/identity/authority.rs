//! The certificate authority of this edge: signs the hub's server certificate and those of modules.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use storage::state_file::{self, Access};
use time::OffsetDateTime;
use transport::tls::authority::{Certified, IssueError, create_ca, issue_server};

use super::IdentityFileError;
use crate::limits::{AUTHORITY_VALIDITY, CERTIFICATE_VALIDITY, KEY_FILE_BYTES_MAX};

/// Signs certificates. The key stays inside.
pub struct Authority {
    ca: Certified,
    ca_path: PathBuf,
}

/// A certificate that was issued, with its key.
pub struct Issued {
    /// Chain and key, PEM.
    pub certified: Certified,
    /// The end of its life.
    pub expires_at: OffsetDateTime,
}

/// The authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenAuthorityError {
    /// Its files cannot be read or written.
    #[error(transparent)]
    File(#[from] IdentityFileError),
    /// It could not be made.
    #[error("cannot make the certificate authority")]
    Create(#[source] IssueError),
}

impl Authority {
    /// Reads the authority kept in `dir`, or makes one.
    pub fn open(dir: &Path) -> Result<Self, OpenAuthorityError> {
        let (ca_path, key_path) = (dir.join("ca.pem"), dir.join("ca.key"));
        let read = |path: &Path| -> Result<Option<String>, IdentityFileError> {
            let bytes = state_file::read(path, KEY_FILE_BYTES_MAX)?;
            bytes
                .map(String::from_utf8)
                .transpose()
                .map_err(|_| IdentityFileError::Damaged { path: path.to_owned(), what: "it is no PEM text".to_owned() })
        };
        let kept = (read(&ca_path)?, read(&key_path)?);
        let ca = match kept {
            (Some(chain_pem), Some(key_pem)) => Certified { chain_pem, key_pem },
            // The certificate is written last: without it the key was never used.
            (None, _) => create(&ca_path, &key_path)?,
            (Some(_), None) => {
                let what = "its key ca.key is missing; delete both to make a new authority".to_owned();
                return Err(IdentityFileError::Damaged { path: ca_path, what }.into());
            }
        };
        Ok(Self { ca, ca_path })
    }

    /// The certificate others must trust, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.ca.chain_pem
    }

    /// Where the certificate is kept, for people and `check`.
    pub fn certificate_path(&self) -> &Path {
        &self.ca_path
    }

    /// A server certificate for these names.
    pub fn issue_server(&self, names: &[String]) -> Result<Issued, IssueError> {
        let certified = issue_server(&self.ca, names, CERTIFICATE_VALIDITY)?;
        Ok(Issued { certified, expires_at: expiry(CERTIFICATE_VALIDITY) })
    }

    /// A client certificate that names a module by a URI, in the form the original uses.
    pub fn issue_identity(&self, module: &str, uri: &str) -> Result<Issued, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, module);
        params.not_before = OffsetDateTime::now_utc() - Duration::from_secs(86_400);
        params.not_after = expiry(CERTIFICATE_VALIDITY);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        let issuer = Issuer::from_ca_cert_pem(&self.ca.chain_pem, KeyPair::from_pem(&self.ca.key_pem)?)?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        let chain_pem = certificate.pem() + &self.ca.chain_pem;
        let expires_at = expiry(CERTIFICATE_VALIDITY);
        Ok(Issued { certified: Certified { chain_pem, key_pem: key.serialize_pem() }, expires_at })
    }
}

/// Names of a certificate are either host names or addresses; anything else would make no certificate.
pub fn is_certificate_name(name: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_$".contains(&b));
    name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(label))
}

fn create(ca_path: &Path, key_path: &Path) -> Result<Certified, OpenAuthorityError> {
    let ca = create_ca("Tidegate Edge CA", AUTHORITY_VALIDITY).map_err(OpenAuthorityError::Create)?;
    let write = |path: &Path, text: &str, access| {
        state_file::replace(path, text.as_bytes(), access).map_err(|error| OpenAuthorityError::File(error.into()))
    };
    write(key_path, &ca.key_pem, Access::Private)?;
    write(ca_path, &ca.chain_pem, Access::Shared)?;
    Ok(ca)
}

fn expiry(validity: Duration) -> OffsetDateTime {
    OffsetDateTime::now_utc() + validity
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_authority_is_made_once_and_its_certificates_are_accepted_by_tls() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::open(dir.path()).unwrap();
        let again = Authority::open(dir.path()).unwrap();
        assert_eq!(first.certificate_pem(), again.certificate_pem());
        let issued = again.issue_server(&["edge.local".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        issued.certified.server_identity().unwrap();
        transport::tls::client_config(Some(first.certificate_pem().as_bytes())).unwrap();
    }

    #[test]
    fn an_identity_certificate_names_the_module() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path()).unwrap();
        let issued = authority.issue_identity("m", "azureiot://hub/devices/d/modules/m").unwrap();
        assert_eq!(issued.certified.chain_pem.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(issued.expires_at > OffsetDateTime::now_utc());
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Authority::open(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join("ca.key")).unwrap();
        assert!(matches!(Authority::open(dir.path()), Err(OpenAuthorityError::File(_))));
    }
}
