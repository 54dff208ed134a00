//! The certificate authority of this edge: signs the hub's server certificate and those of modules.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use storage::state_file::{self, Access};
use time::OffsetDateTime;
use transport::tls::authority::{Certified, IssueError, create_ca, issue_server};
use x509_parser::pem::Pem;

use super::OpenKeyError;
use super::signer::{HubCertificate, ModuleCertificate, SignError};
use crate::config::EdgeCa;
use crate::limits::{AUTHORITY_VALIDITY, CERTIFICATE_VALIDITY, CLOCK_MIN_SECS, KEY_FILE_BYTES_MAX};
use crate::state::StateError;

/// Signs certificates. The key stays inside.
pub(super) struct Authority {
    ca: Certified,
}

/// The identity folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdentityError {
    /// The master key cannot be had.
    #[error(transparent)]
    MasterKey(#[from] OpenKeyError),
    /// Its files cannot be read or written.
    #[error(transparent)]
    File(#[from] StateError),
    /// The operator's own authority cannot be used.
    #[error("cannot use [edge_ca] {}: {what}", path.display())]
    EdgeCa {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The authority could not be made.
    #[error("cannot make the certificate authority")]
    Create(#[source] IssueError),
}

impl Authority {
    /// Reads the authority kept in `dir`, or makes one.
    pub(super) fn open(dir: &Path) -> Result<Self, OpenIdentityError> {
        let (ca_path, key_path) = (dir.join("ca.pem"), dir.join("ca.key"));
        let read = |path: &Path| -> Result<Option<String>, StateError> {
            let bytes = state_file::read(path, KEY_FILE_BYTES_MAX)?;
            bytes
                .map(String::from_utf8)
                .transpose()
                .map_err(|_| StateError::Damaged { path: path.to_owned(), what: "it is no PEM text".to_owned() })
        };
        let kept = (read(&ca_path)?, read(&key_path)?);
        let ca = match kept {
            (Some(chain_pem), Some(key_pem)) => Certified { chain_pem, key_pem },
            // The certificate is written last: without it the key was never used.
            (None, _) => create(&ca_path, &key_path)?,
            (Some(_), None) => {
                let what = "its key ca.key is missing; delete both to make a new authority".to_owned();
                return Err(StateError::Damaged { path: ca_path, what }.into());
            }
        };
        Ok(Self { ca })
    }

    /// Reads the operator's own: a certificate that may sign others, with those above it, and its key.
    pub(super) fn of_operator(edge_ca: &EdgeCa) -> Result<Self, OpenIdentityError> {
        let read = |path: &Path| {
            let failed = |what: String| OpenIdentityError::EdgeCa { path: path.to_owned(), what };
            let bytes =
                state_file::read(path, KEY_FILE_BYTES_MAX).map_err(|error| failed(crate::error_chain(&error)))?;
            let bytes = bytes.ok_or_else(|| failed("it is not there".to_owned()))?;
            String::from_utf8(bytes).map_err(|_| failed("it is no PEM text".to_owned()))
        };
        let ca = Certified { chain_pem: read(&edge_ca.certificate)?, key_pem: read(&edge_ca.key)? };
        let failed =
            |path: &Path, what: &str| OpenIdentityError::EdgeCa { path: path.to_owned(), what: what.to_owned() };
        let bad_certificate = |what: &str| failed(&edge_ca.certificate, what);
        let first = Pem::iter_from_buffer(ca.chain_pem.as_bytes()).next().and_then(Result::ok);
        let first = first.ok_or_else(|| bad_certificate("it holds no certificate"))?;
        let certificate = first.parse_x509().map_err(|_| bad_certificate("it holds no certificate"))?;
        if !certificate.is_ca() {
            return Err(bad_certificate("its first certificate may not sign others (it is no CA certificate)"));
        }
        let key = KeyPair::from_pem(&ca.key_pem)
            .map_err(|_| failed(&edge_ca.key, "it is no private key of a known kind (PKCS#8, PEM)"))?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(failed(&edge_ca.key, "it is not the key of the certificate"));
        }
        Ok(Self { ca })
    }

    /// The certificate others must trust, PEM.
    pub(super) fn certificate_pem(&self) -> &str {
        &self.ca.chain_pem
    }

    /// A certificate for the hub's listener.
    pub(super) fn issue_hub(&self, hostname: &str) -> Result<HubCertificate, SignError> {
        let certified = issue_server(&self.ca, &[hostname.to_owned()], CERTIFICATE_VALIDITY).map_err(not_issued)?;
        let identity = certified.server_identity().map_err(not_issued)?;
        Ok(HubCertificate { identity, expires_at: expiry(CERTIFICATE_VALIDITY) })
    }

    /// A server certificate for these names.
    pub(super) fn issue_server(&self, names: &[String]) -> Result<ModuleCertificate, SignError> {
        let certified = issue_server(&self.ca, names, CERTIFICATE_VALIDITY).map_err(not_issued)?;
        Ok(for_module(certified))
    }

    /// A client certificate that names a module by a URI, in the form the original uses.
    pub(super) fn issue_identity(&self, module: &str, uri: &str) -> Result<ModuleCertificate, SignError> {
        self.sign_identity(module, uri).map(for_module).map_err(not_issued)
    }

    fn sign_identity(&self, module: &str, uri: &str) -> Result<Certified, rcgen::Error> {
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
        Ok(Certified { chain_pem: certificate.pem() + &self.ca.chain_pem, key_pem: key.serialize_pem() })
    }
}

fn for_module(certified: Certified) -> ModuleCertificate {
    let Certified { chain_pem, key_pem } = certified;
    ModuleCertificate { chain_pem, key_pem, expires_at: expiry(CERTIFICATE_VALIDITY) }
}

fn not_issued(error: impl std::error::Error + Send + Sync + 'static) -> SignError {
    SignError::Issue(Box::new(error))
}

/// Names of a certificate are either host names or addresses; anything else would make no certificate.
pub fn is_certificate_name(name: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_$".contains(&b));
    name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(label))
}

fn create(ca_path: &Path, key_path: &Path) -> Result<Certified, OpenIdentityError> {
    let ca = create_ca("Tidegate Edge CA", authority_validity(SystemTime::now())).map_err(OpenIdentityError::Create)?;
    let write = |path: &Path, text: &str, access| {
        state_file::replace(path, text.as_bytes(), access).map_err(|error| OpenIdentityError::File(error.into()))
    };
    write(key_path, &ca.key_pem, Access::Private)?;
    write(ca_path, &ca.chain_pem, Access::Shared)?;
    Ok(ca)
}

/// A device without a clock of its own begins in 1970: what is made then must not have ended when the time arrives.
fn authority_validity(now: SystemTime) -> Duration {
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    AUTHORITY_VALIDITY + Duration::from_secs(CLOCK_MIN_SECS).saturating_sub(since_1970)
}

fn expiry(validity: Duration) -> OffsetDateTime {
    OffsetDateTime::now_utc() + validity
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use protocol::auth::certificate::{self, ClientCertificate};

    use super::*;

    #[test]
    fn the_authority_is_made_once_and_its_certificates_are_accepted_by_tls() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::open(dir.path()).unwrap();
        let again = Authority::open(dir.path()).unwrap();
        assert_eq!(first.certificate_pem(), again.certificate_pem());
        again.issue_hub("edge.local").unwrap();
        let issued = again.issue_server(&["edge.local".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        transport::tls::ServerIdentity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes()).unwrap();
        transport::tls::client_config(Some(first.certificate_pem().as_bytes())).unwrap();
    }

    #[test]
    fn an_authority_of_the_operators_own_signs_and_one_that_cannot_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        let plant = create_ca("Plant CA", AUTHORITY_VALIDITY).unwrap();
        let other = create_ca("Other CA", AUTHORITY_VALIDITY).unwrap();
        let leaf = issue_server(&plant, &["edge.local".to_owned()], AUTHORITY_VALIDITY).unwrap();
        let good = EdgeCa { certificate: write("ca.pem", &plant.chain_pem), key: write("ca.key", &plant.key_pem) };
        let authority = Authority::of_operator(&good).unwrap();
        let issued = authority.issue_server(&["edge.local".to_owned()]).unwrap();
        let chain: Vec<_> = Pem::iter_from_buffer(issued.chain_pem.as_bytes()).map(Result::unwrap).collect();
        let [server, above] = &chain[..] else { panic!("{}", chain.len()) };
        let above = above.parse_x509().unwrap();
        assert_eq!(above.subject().to_string(), "CN=Plant CA");
        assert_eq!(server.parse_x509().unwrap().issuer(), above.subject());
        for (certificate, key, problem) in [
            (plant.chain_pem.as_str(), other.key_pem.as_str(), "other.key: it is not the key of the certificate"),
            (&leaf.chain_pem, &leaf.key_pem, "other.pem: its first certificate may not sign others"),
            ("nothing", &plant.key_pem, "other.pem: it holds no certificate"),
            (&plant.chain_pem, "nothing", "other.key: it is no private key"),
        ] {
            let bad = EdgeCa { certificate: write("other.pem", certificate), key: write("other.key", key) };
            let error = Authority::of_operator(&bad).err().unwrap().to_string();
            assert!(error.contains(problem), "{error}");
        }
        let missing = EdgeCa { certificate: dir.path().join("none.pem"), ..good };
        assert!(Authority::of_operator(&missing).err().unwrap().to_string().ends_with("it is not there"));
    }

    #[test]
    fn an_identity_certificate_names_the_module() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path()).unwrap();
        let issued = authority.issue_identity("m", "azureiot://hub/devices/d/modules/m").unwrap();
        assert_eq!(issued.chain_pem.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(issued.expires_at > OffsetDateTime::now_utc());
    }

    /// Of a plant that has one authority for everything.
    #[test]
    fn what_is_made_for_modules_is_no_devices_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path()).unwrap();
        let root = certificate::Authority::from_text(authority.certificate_pem()).unwrap();
        let identity = authority.issue_identity("pump-7", "azureiot://hub/devices/d/modules/pump-7").unwrap();
        let server = authority.issue_server(&["pump-7".to_owned()]).unwrap();
        let now_secs = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap();
        for pem in [identity.chain_pem, server.chain_pem] {
            let shown = ClientCertificate::from_text(&pem).unwrap();
            assert_eq!(shown.common_name(), Some("pump-7"));
            assert_eq!(shown.leads_to([&root], now_secs), Err(certificate::Untrusted::Purpose));
        }
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Authority::open(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join("ca.key")).unwrap();
        assert!(matches!(Authority::open(dir.path()), Err(OpenIdentityError::File(_))));
    }

    /// The first certificate's end, to the second.
    fn end_of(pem: &[u8]) -> OffsetDateTime {
        let pem = Pem::iter_from_buffer(pem).next().unwrap().unwrap();
        end_of_der(&pem.contents)
    }

    fn end_of_der(der: &[u8]) -> OffsetDateTime {
        x509_parser::parse_x509_certificate(der).unwrap().1.validity().not_after.to_datetime()
    }

    fn whole_seconds(time: OffsetDateTime) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(time.unix_timestamp()).unwrap()
    }

    #[test]
    fn certificates_end_when_their_time_is_up_and_say_so() {
        let dir = tempfile::tempdir().unwrap();
        let begun = whole_seconds(OffsetDateTime::now_utc());
        let authority = Authority::open(dir.path()).unwrap();
        let hub = authority.issue_hub("edge.local").unwrap();
        let server = authority.issue_server(&["m".to_owned()]).unwrap();
        let identity = authority.issue_identity("m", "azureiot://hub/devices/d/modules/m").unwrap();
        let done = OffsetDateTime::now_utc();
        for (name, end, validity) in [
            ("authority", end_of(authority.certificate_pem().as_bytes()), AUTHORITY_VALIDITY),
            ("hub", end_of_der(hub.identity.leaf_der()), CERTIFICATE_VALIDITY),
            ("hub, as told", whole_seconds(hub.expires_at), CERTIFICATE_VALIDITY),
            ("server", end_of(server.chain_pem.as_bytes()), CERTIFICATE_VALIDITY),
            ("server, as told", whole_seconds(server.expires_at), CERTIFICATE_VALIDITY),
            ("identity", end_of(identity.chain_pem.as_bytes()), CERTIFICATE_VALIDITY),
            ("identity, as told", whole_seconds(identity.expires_at), CERTIFICATE_VALIDITY),
        ] {
            assert!((begun + validity..=done + validity).contains(&end), "{name}: {end}");
        }
    }

    #[test]
    fn an_authority_made_before_the_clock_was_set_lives_as_long_as_any() {
        let at = |second| authority_validity(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        assert_eq!(at(CLOCK_MIN_SECS), AUTHORITY_VALIDITY);
        assert_eq!(at(CLOCK_MIN_SECS - 1), AUTHORITY_VALIDITY + Duration::from_secs(1));
        assert_eq!(at(0), AUTHORITY_VALIDITY + Duration::from_secs(CLOCK_MIN_SECS));
    }

    #[test]
    fn an_authority_file_of_the_largest_size_is_read_and_one_byte_more_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        Authority::open(dir.path()).unwrap();
        let mut pem = std::fs::read(&path).unwrap();
        pem.resize(KEY_FILE_BYTES_MAX as usize, b'\n');
        std::fs::write(&path, &pem).unwrap();
        Authority::open(dir.path()).unwrap().issue_hub("edge.local").unwrap();
        pem.push(b'\n');
        std::fs::write(&path, &pem).unwrap();
        let refusal = Authority::open(dir.path()).err().unwrap();
        let words = format!("{} has 1048577 bytes, more than the 1048576 allowed", path.display());
        assert!(crate::error_chain(&refusal).contains(&words), "{}", crate::error_chain(&refusal));
    }
}
