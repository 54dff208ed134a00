//! Certificates as the registry keeps them, in the form they are judged.

use std::sync::Arc;

use protocol::auth::certificate::{Authority, CertificateError, ClientCertificate, Thumbprint};
use registry::{DeviceCertificates, SigningCertificates};

/// A device's own certificates.
pub fn own(certificates: &DeviceCertificates) -> Vec<ClientCertificate> {
    let both = [Some(&certificates.primary), certificates.secondary.as_ref()].into_iter().flatten();
    both.filter_map(|text| told(ClientCertificate::from_text(text), "a certificate of a device")).collect()
}

/// The thumbprints of a device's own certificates.
pub fn thumbprints(certificates: &DeviceCertificates) -> Vec<Thumbprint> {
    own(certificates).iter().map(ClientCertificate::sha256).collect()
}

/// An authority.
pub fn authority(text: &str) -> Option<Authority> {
    told(Authority::from_text(text), "a certificate of an enrollment group")
}

/// The authorities that let the devices of a group in.
pub fn authorities(certificates: &SigningCertificates) -> Vec<Arc<Authority>> {
    certificates.verified().filter_map(authority).map(Arc::new).collect()
}

fn told<T>(read: Result<T, CertificateError>, what: &str) -> Option<T> {
    read.inspect_err(|error| tracing::error!(%error, "{what} in the registry cannot be read: it lets nobody in")).ok()
}
