//! Certificates: those of a device itself, and those of the authorities whose devices a group lets in.
//!
//! They are read from whoever manages them and never shown again: what is shown is their thumbprint. A change therefore keeps
//! what it does not name.

use api::certificate::{
    SigningX509, SigningX509Certificate, SigningX509Certificates, X509, X509Certificate, X509CertificateInfo,
    X509Certificates, X509VerificationCertificate, X509VerificationCode,
};
use api::enrollment::{EnrollmentGroup, GroupAttestation};
use events::clock::{now_ms, now_secs};
use protocol::auth::certificate::{Authority, CertificateError, ClientCertificate, Thumbprint};
use registry::{
    DeviceCertificates, EnrollmentGroupRow, Precondition, SigningCertificate, SigningCertificates, random_bytes,
};

use super::enrollment_groups::EnrollmentGroups;
use super::{Access, App, AppError};
use crate::limits::PATCH_ATTEMPTS_MAX;

/// Which of a group's two certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

impl Entry {
    fn parse(text: &str) -> Result<Self, AppError> {
        match text {
            "primary" => Ok(Self::Primary),
            "secondary" => Ok(Self::Secondary),
            _ => Err(AppError::BadRequest(format!("'{text}' is no entry: primary or secondary."))),
        }
    }

    fn of(self, certificates: &SigningCertificates) -> Option<&SigningCertificate> {
        match self {
            Self::Primary => certificates.primary.as_ref(),
            Self::Secondary => certificates.secondary.as_ref(),
        }
    }

    fn of_mut(self, certificates: &mut SigningCertificates) -> &mut Option<SigningCertificate> {
        match self {
            Self::Primary => &mut certificates.primary,
            Self::Secondary => &mut certificates.secondary,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

fn info(sha1: Thumbprint) -> X509CertificateInfo {
    X509CertificateInfo { sha1_thumbprint: sha1.to_string() }
}

fn unreadable(pointer: &str, error: CertificateError) -> AppError {
    AppError::fault(pointer, format!("{error}: base64 of a PEM file is expected"))
}

fn kept_unread(error: CertificateError) -> AppError {
    AppError::internal("a stored certificate cannot be read", error)
}

/// A device's own certificates as the interface shows them.
pub(super) fn device_to_api(certificates: &DeviceCertificates) -> Result<X509, AppError> {
    let shown = |text: &String| {
        let certificate = ClientCertificate::from_text(text).map_err(kept_unread)?;
        Ok::<_, AppError>(X509Certificate { certificate: None, info: Some(info(certificate.sha1())) })
    };
    let secondary = certificates.secondary.as_ref().map(shown).transpose()?;
    let both = X509Certificates { primary: shown(&certificates.primary)?, secondary };
    Ok(X509 { client_certificates: Some(both) })
}

/// A device's own certificates as they are kept; one that is not given stays what it was.
pub(super) fn device_from_api(
    wanted: &X509,
    known: Option<DeviceCertificates>,
) -> Result<DeviceCertificates, AppError> {
    let missing = || AppError::fault("/x509/clientCertificates/primary/certificate", "a certificate is needed");
    let both = wanted.client_certificates.as_ref().ok_or_else(missing)?;
    let (known_primary, known_secondary) = known.map(|known| (known.primary, known.secondary)).unzip();
    let read = |entry: &str, wanted: &X509Certificate, known: Option<String>| match &wanted.certificate {
        None => Ok(known),
        Some(text) => {
            let pointer = format!("/x509/clientCertificates/{entry}/certificate");
            let read = ClientCertificate::from_text(text).map_err(|error| unreadable(&pointer, error))?;
            Ok::<_, AppError>(Some(read.to_text()))
        }
    };
    let primary = read("primary", &both.primary, known_primary)?.ok_or_else(missing)?;
    let secondary = match &both.secondary {
        Some(secondary) => read("secondary", secondary, known_secondary.flatten())?,
        None => None,
    };
    Ok(DeviceCertificates { primary, secondary })
}

fn signing_to_api(certificate: &SigningCertificate) -> Result<SigningX509Certificate, AppError> {
    let authority = Authority::from_text(&certificate.certificate).map_err(kept_unread)?;
    Ok(SigningX509Certificate {
        verified: Some(certificate.verified),
        certificate: None,
        info: Some(info(authority.sha1())),
        etag: Some(certificate.etag.clone()),
    })
}

/// How the devices of a group prove themselves, where they have certificates.
pub(super) fn group_to_api(certificates: &SigningCertificates) -> Result<GroupAttestation, AppError> {
    let shown = |entry: Entry| entry.of(certificates).map(signing_to_api).transpose();
    let (primary, secondary) = (shown(Entry::Primary)?, shown(Entry::Secondary)?);
    let both = SigningX509Certificates { primary, secondary };
    Ok(GroupAttestation::X509 { x509: Some(SigningX509 { signing_certificates: Some(both) }) })
}

/// The certificates of a group as they are kept. When none are named, those it has stay.
pub(super) fn group_from_api(
    wanted: Option<&SigningX509>,
    known: Option<&SigningCertificates>,
) -> Result<SigningCertificates, AppError> {
    let Some(both) = wanted.and_then(|x509| x509.signing_certificates.as_ref()) else {
        return Ok(known.cloned().unwrap_or_default());
    };
    let read = |entry: Entry, wanted: &Option<SigningX509Certificate>| {
        let pointer = format!("/attestation/x509/signingCertificates/{}/certificate", entry.name());
        let known = known.and_then(|known| entry.of(known));
        wanted.as_ref().map(|wanted| signing_from_api(&pointer, wanted, known)).transpose()
    };
    Ok(SigningCertificates {
        primary: read(Entry::Primary, &both.primary)?,
        secondary: read(Entry::Secondary, &both.secondary)?,
    })
}

/// One that takes another's place has to be verified itself, unless somebody vouches for it.
fn signing_from_api(
    pointer: &str,
    wanted: &SigningX509Certificate,
    known: Option<&SigningCertificate>,
) -> Result<SigningCertificate, AppError> {
    let text = match (&wanted.certificate, known) {
        (Some(text), _) => Authority::from_text(text).map_err(|error| unreadable(pointer, error))?.to_text(),
        (None, Some(known)) => known.certificate.clone(),
        (None, None) => return Err(AppError::fault(pointer, "a certificate is needed")),
    };
    match known.filter(|known| known.certificate == text) {
        Some(known) => match wanted.verified.unwrap_or(known.verified) {
            verified if verified == known.verified => Ok(known.clone()),
            verified => Ok(SigningCertificate { code: known.code.clone(), ..SigningCertificate::new(text, verified) }),
        },
        None => Ok(SigningCertificate::new(text, wanted.verified.unwrap_or(false))),
    }
}

impl App {
    /// One certificate of a group.
    pub async fn signing_certificate(
        &self,
        access: &Access,
        group: &str,
        entry: &str,
    ) -> Result<SigningX509Certificate, AppError> {
        let entry = Entry::parse(entry)?;
        let row = self.resource_row::<EnrollmentGroups>(access, group).await?;
        let certificate = row.certificates.as_ref().and_then(|both| entry.of(both));
        signing_to_api(certificate.ok_or_else(|| no_certificate(group, entry))?)
    }

    /// Sets one.
    pub async fn signing_certificate_put(
        &self,
        access: &Access,
        group: &str,
        entry: &str,
        wanted: &SigningX509Certificate,
        precondition: &Precondition,
    ) -> Result<SigningX509Certificate, AppError> {
        let entry = Entry::parse(entry)?;
        let precondition = super::resource::precondition(precondition, wanted.etag.as_deref());
        let row = self
            .change_certificates(access, group, |both| {
                let known = entry.of(both);
                require(&precondition, known)?;
                *entry.of_mut(both) = Some(signing_from_api("/certificate", wanted, known)?);
                Ok(())
            })
            .await?;
        let stored = row.certificates.as_ref().and_then(|both| entry.of(both));
        signing_to_api(stored.ok_or_else(|| no_certificate(group, entry))?)
    }

    /// Deletes one; devices whose certificates lead to it are out.
    pub async fn signing_certificate_delete(
        &self,
        access: &Access,
        group: &str,
        entry: &str,
        precondition: &Precondition,
    ) -> Result<(), AppError> {
        let entry = Entry::parse(entry)?;
        let changed = self.change_certificates(access, group, |both| {
            let known = entry.of(both).ok_or_else(|| no_certificate(group, entry))?;
            require(precondition, Some(known))?;
            *entry.of_mut(both) = None;
            Ok(())
        });
        changed.await.map(drop)
    }

    /// What a certificate has to be named that proves possession of one's key. A new one each time.
    pub async fn verification_code(
        &self,
        access: &Access,
        group: &str,
        entry: &str,
    ) -> Result<X509VerificationCode, AppError> {
        let entry = Entry::parse(entry)?;
        let code: String = random_bytes::<24>().iter().map(|byte| format!("{byte:02X}")).collect();
        let changed = self.change_certificates(access, group, |both| {
            let certificate = entry.of_mut(both).as_mut().ok_or_else(|| no_certificate(group, entry))?;
            certificate.code = Some(code.clone());
            Ok(())
        });
        changed.await?;
        Ok(X509VerificationCode { verification_code: code })
    }

    /// Verifies one: whoever could sign a certificate with the code's name has its key.
    pub async fn verify_certificate(
        &self,
        access: &Access,
        group: &str,
        entry: &str,
        proof: &X509VerificationCertificate,
    ) -> Result<(), AppError> {
        let entry = Entry::parse(entry)?;
        let proof =
            ClientCertificate::from_text(&proof.certificate).map_err(|error| unreadable("/certificate", error))?;
        let changed = self.change_certificates(access, group, |both| {
            let certificate = entry.of_mut(both).as_mut().ok_or_else(|| no_certificate(group, entry))?;
            let Some(code) = &certificate.code else {
                let message = "No verification code has been generated for this certificate, or it is used up.";
                return Err(AppError::Conflict(message.to_owned()));
            };
            let authority = Authority::from_text(&certificate.certificate).map_err(kept_unread)?;
            require_proof(&proof, code, &authority)?;
            *certificate = SigningCertificate::new(certificate.certificate.clone(), true);
            Ok(())
        });
        changed.await.map(drop)
    }

    /// Changes the certificates of a group. When somebody else changed the group meanwhile, it is done again.
    async fn change_certificates(
        &self,
        access: &Access,
        group: &str,
        mut change: impl FnMut(&mut SigningCertificates) -> Result<(), AppError>,
    ) -> Result<EnrollmentGroupRow, AppError> {
        let mut attempt = 1;
        loop {
            let mut row = self.resource_row::<EnrollmentGroups>(access, group).await?;
            let unchanged = Precondition::Etag(row.etag.clone());
            let certificates = row.certificates.as_mut().ok_or_else(|| {
                AppError::BadRequest(format!("The enrollment group '{group}' has keys and no certificates."))
            })?;
            change(certificates)?;
            row.updated_ms = now_ms();
            self.require_certificates_are_its_own(access, &row).await?;
            match self.resource_store::<EnrollmentGroups>(access, &row, &unchanged).await {
                Err(AppError::EtagMismatch) if attempt < PATCH_ATTEMPTS_MAX => attempt += 1,
                stored => return stored,
            }
        }
    }

    /// A certificate of an authority is of one group, which is how it is known whose a device is.
    pub(super) async fn require_certificates_are_its_own(
        &self,
        access: &Access,
        row: &EnrollmentGroupRow,
    ) -> Result<(), AppError> {
        let Some(certificates) = &row.certificates else { return Ok(()) };
        let texts = |both: &SigningCertificates| {
            let both = [both.primary.as_ref(), both.secondary.as_ref()].into_iter().flatten();
            both.map(|one| one.certificate.clone()).collect::<Vec<_>>()
        };
        let own = texts(certificates);
        if own.len() == 2 && own[0] == own[1] {
            return Err(AppError::Conflict("The primary and the secondary certificate are the same.".to_owned()));
        }
        if own.is_empty() {
            return Ok(());
        }
        let groups = self.registry().enrollment_groups_list(access.application()).await?;
        let others = groups.iter().filter(|other| other.id != row.id);
        let other = others.into_iter().find(|other| {
            other.certificates.as_ref().is_some_and(|both| texts(both).iter().any(|text| own.contains(text)))
        });
        match other {
            Some(other) => {
                let message = format!("The certificate is one of the enrollment group '{}' already.", other.id);
                Err(AppError::Conflict(message))
            }
            None => Ok(()),
        }
    }
}

fn no_certificate(group: &str, entry: Entry) -> AppError {
    AppError::NotFound(format!("There is no {} certificate of the enrollment group '{group}'.", entry.name()))
}

fn require(precondition: &Precondition, known: Option<&SigningCertificate>) -> Result<(), AppError> {
    let holds = match (precondition, known) {
        (Precondition::None, _) | (Precondition::Absent, None) | (Precondition::Present, Some(_)) => true,
        (Precondition::Etag(etag), Some(known)) => *etag == known.etag,
        _ => false,
    };
    if holds { Ok(()) } else { Err(AppError::EtagMismatch) }
}

fn require_proof(proof: &ClientCertificate, code: &str, authority: &Authority) -> Result<(), AppError> {
    let refused = |message: &str| Err(AppError::fault("/certificate", message));
    if proof.common_name() != Some(code) {
        return refused("the common name of the certificate is not the verification code");
    }
    if !authority.signed(proof) {
        return refused("the certificate is not signed with the key of the certificate it shall verify");
    }
    if !proof.is_valid_at(now_secs()) {
        return refused("the certificate is not valid now");
    }
    Ok(())
}

/// The certificates a group shall have, or none where its devices have keys.
pub(super) fn of_group(
    wanted: &EnrollmentGroup,
    known: Option<&EnrollmentGroupRow>,
) -> Result<Option<SigningCertificates>, AppError> {
    match &wanted.attestation {
        GroupAttestation::X509 { x509 } => {
            let known = known.and_then(|known| known.certificates.as_ref());
            group_from_api(x509.as_ref(), known).map(Some)
        }
        GroupAttestation::SymmetricKey { .. } => Ok(None),
    }
}
