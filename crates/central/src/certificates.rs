//! Central's own certificates: the CA that devices trust, and the server certificate below it.
//!
//! The CA is made once, for ten years, EC P-256; its certificate is `ca.pem`, its key never leaves `keys/ca.key`. The server
//! certificate names the host name, everything below it (`*.HOST`, for further applications), and the loopback addresses. It is
//! made again when the host name changed, when the CA did, or when a third of its life is left; a running server swaps it
//! without dropping a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use storage::file_layer::Access;
use transport::tls::authority::{Certified, IssueError, create_ca, issue_server};
use transport::tls::{IdentityError, ServerIdentity};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::data_folder::{DataFolder, DataFolderError};

#[cfg(test)]
mod tests;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Life of the CA.
const CA_VALIDITY: Duration = Duration::from_secs(3_650 * DAY.as_secs());
/// Life of a server certificate: clients refuse much longer ones.
const SERVER_VALIDITY: Duration = Duration::from_secs(365 * DAY.as_secs());
/// Left at the least when a start or a daily look finds the certificate good.
const SERVER_RENEWAL: Duration = Duration::from_secs(120 * DAY.as_secs());

/// The server has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file of the folder.
    #[error("a certificate or key cannot be stored or read")]
    Folder(#[from] DataFolderError),
    /// Making one.
    #[error("a certificate cannot be made")]
    Issue(#[from] IssueError),
    /// The stored chain and key do not work.
    #[error("the server certificate in tls/ cannot be used")]
    Identity(#[from] IdentityError),
    /// One half of the CA is missing: making a new one would cut off every device that trusts the old one.
    #[error("{missing} is missing; restore it, or remove {other} too for a new CA that devices have to be given")]
    HalfCa {
        /// The file that is not there.
        missing: String,
        /// The file that is.
        other: String,
    },
}

/// The names a server certificate for `hostname` holds.
pub fn server_names(hostname: &str) -> Vec<String> {
    let mut names = vec![hostname.to_owned(), format!("*.{hostname}")];
    if hostname != "localhost" {
        names.push("localhost".to_owned());
    }
    names.push(Ipv4Addr::LOCALHOST.to_string());
    names.push(Ipv6Addr::LOCALHOST.to_string());
    names
}

/// The server's identity, with CA and certificate made where needed.
pub fn server_identity(folder: &DataFolder, hostname: &str) -> Result<ServerIdentity, CertificateError> {
    let ca = authority(folder)?;
    if let Some(stored) = stored_identity(folder, &ca, hostname)? {
        return Ok(stored);
    }
    let issued = issue_server(&ca, &server_names(hostname), SERVER_VALIDITY)?;
    // Certificate and key are two files: a crash in between leaves a pair that does not fit, which is made again.
    folder.write(&folder.server_key(), issued.key_pem.as_bytes(), Access::Private)?;
    folder.write(&folder.server_certificate(), issued.chain_pem.as_bytes(), Access::Shared)?;
    tracing::info!(hostname, "made a new server certificate");
    Ok(issued.server_identity()?)
}

/// Seconds until the stored server certificate ends; negative when it is over, `None` when there is none.
pub fn server_certificate_ends_in_secs(folder: &DataFolder) -> Option<i64> {
    let chain = folder.read(&folder.server_certificate()).ok()??;
    let key = folder.read(&folder.server_key()).ok()??;
    let identity = ServerIdentity::from_pem(chain.as_bytes(), key.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(identity.leaf_der()).ok()?;
    Some(certificate.validity().not_after.timestamp() - now_secs())
}

fn authority(folder: &DataFolder) -> Result<Certified, CertificateError> {
    let certificate = folder.read(&folder.ca_pem())?;
    let key = folder.read(&folder.ca_key())?;
    let half = |missing: &str, other: &str| CertificateError::HalfCa { missing: missing.into(), other: other.into() };
    match (certificate, key) {
        (Some(chain_pem), Some(key_pem)) => Ok(Certified { chain_pem, key_pem }),
        (Some(_), None) => Err(half("keys/ca.key", "ca.pem")),
        // Killed between the two writes of the first start: nobody was ever given the certificate.
        (None, key)
            if folder.read(&folder.server_certificate())?.is_none()
                && (key.is_none() || !folder.admin_token().exists()) =>
        {
            let ca = create_ca("Tidegate CA", CA_VALIDITY)?;
            folder.write(&folder.ca_key(), ca.key_pem.as_bytes(), Access::Private)?;
            folder.write(&folder.ca_pem(), ca.chain_pem.as_bytes(), Access::Shared)?;
            Ok(ca)
        }
        (None, _) => Err(half("ca.pem", "tls/server.pem and keys/ca.key")),
    }
}

/// The stored identity, if it still serves.
fn stored_identity(
    folder: &DataFolder,
    ca: &Certified,
    hostname: &str,
) -> Result<Option<ServerIdentity>, CertificateError> {
    let (Some(chain), Some(key)) = (folder.read(&folder.server_certificate())?, folder.read(&folder.server_key())?)
    else {
        return Ok(None);
    };
    if !chain.ends_with(&ca.chain_pem) {
        return Ok(None);
    }
    let Ok(identity) = ServerIdentity::from_pem(chain.as_bytes(), key.as_bytes()) else { return Ok(None) };
    let Ok((_, leaf)) = X509Certificate::from_der(identity.leaf_der()) else { return Ok(None) };
    let left_secs = leaf.validity().not_after.timestamp() - now_secs();
    let lasts = left_secs >= i64::try_from(SERVER_RENEWAL.as_secs()).unwrap_or(i64::MAX);
    let serves = lasts && names_of(&leaf) == server_names(hostname);
    Ok(serves.then_some(identity))
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(IpAddr::from(v4).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|v6| IpAddr::from(v6).to_string()),
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

fn now_secs() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
